"""What somebody else says of a request, taken apart: only what is clearly a verdict counts as one."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.validators.redaction import Redaction
from app.validators.verdict import MAX_OCTETS, REFUSED, NoVerdict, Statement, read_statement, safe_text
from ca.approval import MAX_REASON, check_reason
from ca.ports import Allowed, Deferred, Denied, Verdict
from ca.profiles import Grants

SID = "S-1-5-21-1004336348-1177238915-682003330-1104"


def verdict(said: object, secret: str | None = None) -> Verdict:
    return read_statement(json.dumps(said).encode(), Redaction(secret)).verdict()


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"allow": True}, Allowed()),
        ({"allow": True, "data": {"role": "dba"}}, Allowed()),
        ({"allow": True, "hold": False, "reason": "ticket 7"}, Allowed(note="ticket 7")),
        ({"allow": False}, Denied(REFUSED)),
        (
            {"allow": False, "reason": "", "subject": "", "sid": "", "subject_alt_names": None},
            Denied(REFUSED),
        ),
        ({"allow": False, "reason": "not one of ours"}, Denied("not one of ours")),
        ({"hold": True}, Deferred()),
        ({"hold": True, "allow": False, "reason": "new model"}, Deferred(note="new model")),
    ],
)
def test_yes_no_and_later_are_told_apart(said: object, expected: Verdict) -> None:
    """A language without null sends empty texts and false for what it does not say."""
    assert verdict(said) == expected


def test_names_and_sid_are_vouched_for() -> None:
    """They come in the place of the device's own, in the form that the rest of the program has."""
    said = {
        "subject": "cn = ipad-17, O=Example",
        "subject_alt_names": ["a.example.org", "upn:ada"],
        "sid": SID,
    }

    expected = Grants("CN=ipad-17,O=Example", ("dns:a.example.org", "upn:ada"), SID)
    assert verdict({"allow": True, **said}) == Allowed(expected)
    assert verdict({"hold": True, **said}) == Deferred(expected)


def test_no_alternative_names_is_something_else_than_nothing_said() -> None:
    """An empty list takes the device's wishes away; no list leaves them."""
    assert verdict({"allow": True, "subject_alt_names": []}) == Allowed(Grants(None, ()))


NONSENSE = {
    "nothing": b"",
    "no JSON": b"allow",
    "a list": b"[true]",
    "a word": b"true",
    "neither": b"{}",
    "yes as a text": b'{"allow": "true"}',
    "yes as a number": b'{"allow": 1}',
    "hold as a text": b'{"hold": "yes"}',
    "yes and later": b'{"allow": true, "hold": true}',
    "yes and no": b'{"allow": true, "allow": false}',
    "no and yes": b'{"allow": false, "allow": true}',
    "a mistyped key": b'{"allow": true, "subjct": "CN=a"}',
    "a key of another case": b'{"Allow": true}',
    "a subject that is none": b'{"allow": true, "subject": "ipad-17"}',
    "a subject of an unknown type": b'{"allow": true, "subject": "XYZ=a"}',
    "half a character": b'{"allow": true, "subject": "CN=\\ud800"}',
    "a long subject": b'{"allow": true, "subject": "CN=' + b"a" * 3000 + b'"}',
    "a subject that is a list": b'{"allow": true, "subject": ["CN=a"]}',
    "names that are a text": b'{"allow": true, "subject_alt_names": "a.example.org"}',
    "names that are numbers": b'{"allow": true, "subject_alt_names": [1]}',
    "a name of an unknown kind": b'{"allow": true, "subject_alt_names": ["fax:1"]}',
    "101 names": json.dumps({"allow": True, "subject_alt_names": ["a"] * 101}).encode(),
    "a SID that is none": b'{"allow": true, "sid": "1104"}',
    "a SID with more behind": b'{"allow": true, "sid": "S-1-5-21-1\\n"}',
    "a SID of a built-in group": b'{"allow": true, "sid": "S-1-5-32-544"}',
    "a SID of the system": b'{"allow": true, "sid": "S-1-5-18"}',
    "a SID of other digits": '{"allow": true, "sid": "S-1-5-٢١"}'.encode(),
    "not UTF-8": b'{"allow": true, "reason": "\xff"}',
    "UTF-16": '{"allow": true}'.encode("utf-16"),
    "a bottomless list": b"[" * 30_000,
    "a bottomless list behind a yes": b'{"allow": true, "data": ' + b"[" * 30_000,
    "too much": b'{"allow": true}' + b" " * MAX_OCTETS,
    "two verdicts": b'{"allow": true}{"allow": true}',
    "HTML": b"<html>allow</html>",
}


@pytest.mark.parametrize("octets", NONSENSE.values(), ids=NONSENSE)
def test_nonsense_is_no_verdict(octets: bytes) -> None:
    """Whatever is not understood must not become a certificate."""
    with pytest.raises(NoVerdict):
        read_statement(octets, Redaction(None)).verdict()


@pytest.mark.parametrize(
    "reason",
    [
        "a" * 5000,
        "two\nlines",
        "\x1b[31mred",
        "\u202eturned",
        "\ud800",
        " \t ",
        "\0",
        "é" * 300,
        "a" * MAX_REASON,
    ],
)
def test_a_reason_is_fit_for_a_device_whatever_was_sent(reason: str) -> None:
    """RFC 8894 3.2.1.4: failInfoText is one line of text; terminals and logs obey some characters."""
    said = verdict({"allow": False, "reason": reason})

    assert isinstance(said, Denied)
    assert check_reason(said.reason) == said.reason


def test_a_long_reason_says_that_it_was_cut() -> None:
    """So that nobody takes half a sentence for a whole one."""
    assert safe_text("a" * MAX_REASON) == "a" * MAX_REASON
    assert safe_text("a" * (MAX_REASON + 1)) == "a" * (MAX_REASON - 1) + "…"


def test_a_reason_never_repeats_the_challenge_password() -> None:
    """It is told to the log, which others read."""
    said = verdict({"allow": False, "reason": "unknown password hunter2!"}, "hunter2")

    assert said == Denied("unknown password ***!")
    with pytest.raises(NoVerdict) as caught:
        verdict({"allow": True, "hunter2": True}, "hunter2")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("before", [150, 190, 196, 200, 396])
def test_what_is_cut_was_looked_through_before(before: int) -> None:
    """Half a password is half the work of guessing it."""
    long = "x " * (before // 2) + "hunter2-of-the-device"

    told = verdict({"allow": False, "reason": long}, "hunter2-of-the-device")
    with pytest.raises(NoVerdict) as caught:
        verdict({"allow": True, long: True}, "hunter2-of-the-device")

    assert isinstance(told, Denied)
    assert "hun" not in told.reason + str(caught.value)


def test_a_statement_of_nothing_is_no_verdict() -> None:
    """Default deny."""
    with pytest.raises(NoVerdict):
        Statement().verdict()


_SAMPLES: list[object] = [
    True,
    False,
    None,
    1,
    0.5,
    "",
    "CN=a",
    "dns:a",
    "S-1-5-21-1-2-3-7",
    [],
    ["a"],
    [1],
    {},
]
_VALUES = st.sampled_from(_SAMPLES) | st.text()
_FIELDS = st.sampled_from(["allow", "hold", "reason", "subject", "subject_alt_names", "sid", "data", "x"])


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.binary(max_size=200) | st.dictionaries(_FIELDS, _VALUES).map(lambda said: json.dumps(said).encode())
)
def test_any_octets_are_a_verdict_or_none(octets: bytes) -> None:
    """Never a fault, which would be a 500 for the device; and an allowance only of a plain yes."""
    try:
        found = read_statement(octets, Redaction("secret")).verdict()
    except NoVerdict:
        return
    if isinstance(found, Allowed):
        assert json.loads(octets)["allow"] is True
    if isinstance(found, Denied):
        assert check_reason(found.reason) == found.reason
