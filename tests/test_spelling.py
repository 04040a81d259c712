"""Names that deceive who reads them, or a program that makes a path of them, and names that only look so."""

import pytest

from ca.asn1 import tags, writer
from ca.issuing.spelling import MAX_NAME_CHARACTERS, check_spelling
from ca.scep.messages import Failure
from ca.x509.extensions import Extension
from tests.conformance.marks import cases
from tests.forging_csr import alternative_names, subject
from tests.policing import ask_for, assert_no, govern
from tests.waiting import requests
from tests.world import SECRET, World, certificate_of

pytestmark = pytest.mark.uses(1)


UNSEEN = "a name holds characters that cannot be seen"
MIXED = "a name mixes letters that look alike"
PATH = "a name leads out of a folder"
LENGTH = f"a name is empty or longer than {MAX_NAME_CHARACTERS} characters"
DECEIVING = {
    "N-120 a NUL": ("ipad\0.evil", UNSEEN),
    "N-120 a line": ("ipad\n17", UNSEEN),
    "N-120 a carriage return": ("ipad\r17", UNSEEN),
    "N-120 a tab": ("ipad\t17", UNSEEN),
    "N-120 an escape sequence": ("\x1b[2Jipad", UNSEEN),
    "N-120 a delete": ("ipad\x7f", UNSEEN),
    "N-120 a control of Latin-1": ("ipad\x85größe", UNSEEN),
    "N-120 a line separator": ("ipad\u2028x", UNSEEN),
    "N-120 a right-to-left override": ("ipad\u202e71", UNSEEN),
    "N-120 a right-to-left isolate": ("ipad\u2067x\u2069", UNSEEN),
    "N-120 a zero-width space": ("ip\u200bad", UNSEEN),
    "N-120 a zero-width joiner": ("ip\u200dad", UNSEEN),
    "N-120 a byte order mark": ("\ufeffipad", UNSEEN),
    "N-120 a soft hyphen": ("ip\u00adad", UNSEEN),
    "N-120 a tag character": ("ipad\U000e0061", UNSEEN),
    "N-120 a filler of Hangul": ("ipad\u3164", UNSEEN),
    "N-120 a blank of Braille": ("ipad\u2800", UNSEEN),
    "N-120 a variation selector": ("ipad\ufe0f", UNSEEN),
    "N-120 a variation selector of the supplement": ("ipad\U000e0101", UNSEEN),
    "N-120 a variation selector of Mongolian": ("ipad\u180b", UNSEEN),
    "N-120 what is ignored though it is nothing yet": ("ipad\u2065", UNSEEN),
    "N-120 what is nothing yet": ("ipad\u0378", UNSEEN),
    "N-120 what is no character": ("ipad\ufffe", UNSEEN),
    "N-120 a space of another kind behind": ("ipad-17\u00a0", UNSEEN),
    "N-120 a space of another kind in front": ("\u3000ipad-17", UNSEEN),
    "N-120 a space of another kind behind a space": ("ipad-17 \u2003", UNSEEN),
    "N-120 a Lisu letter": ("\ua4eedmin", MIXED),
    "N-120 a syllable of Canada": ("admi\u144e", MIXED),
    "N-120 a Roman numeral": ("paypa\u217c", MIXED),
    "N-120 a ligature": ("o\ufb03ce", MIXED),
    "N-120 a long s": ("kio\u017fk-1", MIXED),
    "N-120 the sign of Kelvin": ("\u212aiosk-1", MIXED),
    "N-120 Fullwidth beside mathematical": ("\uff41\U0001d41a", MIXED),
    "N-120 Cyrillic letters in a Latin word": ("p\u0430yp\u0430l", MIXED),
    "N-120 one of them beside a digit": ("\u0430dmin1", MIXED),
    "N-120 a Greek omicron": ("micr\u03bfsoft", MIXED),
    "N-120 a Latin letter in a Cyrillic word": ("Моcква", MIXED),
    "N-120 an accent between the letters": ("a\u0301dm\u0456n", MIXED),
    "N-120 an accent that parts them": ("admin\u0301\u0430", MIXED),
    "N-120 an Armenian letter": ("\u0561dmin", MIXED),
    "N-120 a fullwidth letter": ("\uff41dmin", MIXED),
    "N-120 a mathematical letter": ("\U0001d41admin", MIXED),
    "N-120 a second word that mixes": ("Anna m\u0430c", MIXED),
    "N-120 a folder up": ("../../etc/cron.d/x", PATH),
    "N-120 a folder up within": ("a/../b", PATH),
    "N-120 a folder up at the end": ("a/..", PATH),
    "N-120 a folder up as all there is": ("..", PATH),
    "N-120 a folder up of Windows": ("..\\..\\Windows", PATH),
    "N-120 a folder up of Windows within": ("a\\..\\b", PATH),
    "N-120 a character too many": ("x" * (MAX_NAME_CHARACTERS + 1), LENGTH),
    "N-120 nothing": ("", LENGTH),
    "N-120 spaces": ("   ", LENGTH),
    "N-120 spaces of another kind": ("\u3000\u00a0", LENGTH),
}


@pytest.mark.parametrize("case", cases(DECEIVING))
def test_a_name_that_deceives_is_refused(
    world: World, case: tuple[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """As badRequest, in words without the name; and whatever it is, the log has one line without a secret."""
    name, words = case

    with caplog.at_level("INFO", "ca.responder"):
        outcome = ask_for(world, subject(name))

    assert_no(outcome, words)
    (line,) = caplog.messages
    assert line.isprintable()
    assert line.isascii()
    assert SECRET not in line
    assert world.issued() == []
    assert world.uses_left() == [1]


@pytest.mark.parametrize("name", ["ip\u200bad", "p\u0430ypal", "../x"])
def test_a_second_attribute_deceives_as_well(world: World, name: str) -> None:
    """Every value of a subject is read by somebody."""
    pair = writer.set_of(
        [
            writer.sequence(writer.oid("2.5.4.3"), writer.utf8_string("ipad")),
            writer.sequence(writer.oid("2.5.4.10"), writer.encode(tags.UTF8_STRING, name.encode())),
        ]
    )

    assert_no(ask_for(world, writer.sequence(pair)), "a name")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("anna\u200b@corp.example", UNSEEN),
        ("\u0430nna@corp.example", MIXED),
        ("../anna@corp.example", PATH),
        ("x" * 256, LENGTH),
    ],
)
def test_a_user_principal_name_deceives_as_well(world: World, name: str, words: str) -> None:
    """Of the alternative names it alone has letters of all the world; Windows logs people on by it."""
    value = writer.explicit(0, writer.utf8_string(name))
    upn = writer.encode(0xA0, writer.oid("1.3.6.1.4.1.311.20.2.3") + value)

    assert_no(ask_for(world, wishes=(alternative_names(upn),)), words)


@pytest.mark.parametrize(
    ("tag", "octets"),
    [(0x82, b"a\0.example"), (0x81, b"a\r\n@b.example"), (0x86, b"https://example.org/../x")],
)
def test_a_host_a_mailbox_and_a_uri_deceive_as_well(world: World, tag: int, octets: bytes) -> None:
    """The NUL that cut certificates short in 2009 stood in a dNSName."""
    assert_no(ask_for(world, wishes=(alternative_names(writer.encode(tag, octets)),)), "a name")


HONEST = {
    "Latin": "Größe Ærø Łódź Ñandú",
    "Latin with accents of their own": "Zoe\u0308s iPad",
    "Vietnamese": "Nguye\u0302\u0303n",
    "Cyrillic": "Планшет Анны",
    "Cyrillic beside Latin words": "iPad Анны-Mac (Вася_Windows)",
    "Greek": "Υπολογιστής",
    "Greek beside a Latin word": "iPad Ελένη",
    "Armenian": "Երևան",
    "Japanese in three scripts": "営業部のタブレット",
    "Japanese in four": "山田のiPad",
    "an ideographic space": "株式会社\u3000例",
    "Korean": "서울 사무소 iPad",
    "Chinese": "张伟的Mac",
    "Arabic": "جهاز محمد",
    "Hebrew": "המחשב של דוד",
    "Hindi": "नई दिल्ली",
    "Thai": "เครื่องของสมชาย",
    "an apostrophe of print": "Anna’s iPhone",
    "an emoji": "Anna 📱",
    "a space that does not break": "iPad\u00a0d’Anna",
    "fullwidth letters throughout": "\uff49\uff30\uff41\uff44",
    "an ordinal": "Nº 5, 1ª planta",
    "a trade mark": "iPad™ №5",
    "two dots": "a..b",
    "dots in a row": "Anna...",
    "a slash": "host/printer-3",
    "a path that leads nowhere up": "/dev/null",
    "as long as it may be": "x" * MAX_NAME_CHARACTERS,
    "a plus": "C++",
}


@pytest.mark.parametrize("name", HONEST.values(), ids=HONEST)
def test_an_honest_name_is_certified_to_the_letter(world: World, name: str) -> None:
    """People call their devices what they like, in all the scripts of the world."""
    certificate = certificate_of(ask_for(world, subject(name)))

    assert certificate.subject_der == subject(name)


def test_half_a_character_is_no_name() -> None:
    """No encoding that is read here can say one, so that only a caller's own text could."""
    with pytest.raises(Exception, match="cannot be seen"):
        check_spelling("ipad\ud800")


def test_a_subject_too_long_is_refused_before_it_is_looked_at(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """Escaped, it is three times as long; kept for each request of a stranger it fills the disk."""
    with caplog.at_level("INFO", "ca.responder"):
        outcome = ask_for(world, subject("\x01" * 180_000))

    assert_no(outcome, "the subject is longer than 8192 octets")
    assert len(caplog.messages[-1]) < 1000
    (kept,) = requests(world)
    assert len(kept.record.subject + kept.record.reason) < 1000


@pytest.mark.parametrize(
    ("names", "wishes"),
    [
        (",".join(f"OU={'x' * 249}" for _ in range(30)), ()),
        ("CN=ipad-17", (alternative_names(writer.encode(0x82, b"x" * 20_000)),)),
    ],
    ids=["a subject just short enough", "an alternative name"],
)
def test_of_what_is_refused_a_beginning_is_kept(
    world: World, names: str, wishes: tuple[Extension, ...], caplog: pytest.LogCaptureFixture
) -> None:
    """Enough to see what it was about."""
    govern(world, '[profiles.default]\nsan = []\nsubject = { allowed = ["CN"] }\n')
    with caplog.at_level("INFO", "ca.responder"):
        outcome = ask_for(world, names, wishes=wishes)

    assert isinstance(outcome, Failure)
    assert len(caplog.messages[-1]) < 2000
    (kept,) = requests(world)
    assert max(len(kept.record.subject), len(kept.record.reason)) <= 500
    assert "\u2026" in kept.record.subject + kept.record.reason
