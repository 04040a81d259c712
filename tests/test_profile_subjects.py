"""Subjects under a profile: whose word counts, what a template makes of it, and which limits hold."""

from dataclasses import replace
from time import perf_counter

import pytest

from app.linter import PkiLinter
from ca.asn1 import tags, writer
from ca.ports import Allowed, Deferred
from ca.profiles import Grants
from ca.scep.messages import Failure, MessageType, Pending
from ca.x509.name import Name
from tests.forging_csr import rdn
from tests.policing import (
    DUE,
    REJECTED,
    FakeValidator,
    ask_for,
    assert_no,
    got,
    govern,
    names_of,
    renew,
    validated,
)
from tests.waiting import desk, poll
from tests.world import SECRET, Device, World, certificate_of, rsa_key

pytestmark = pytest.mark.uses(1)


FROM_CHALLENGE = '[profiles.default.subject]\nsource = "challenge"\n'
FROM_VALIDATOR = '[profiles.default]\nvalidator = "mdm"\n[profiles.default.subject]\nsource = "validator"\n'


def test_a_template_makes_the_subject_of_what_was_asked(world: World) -> None:
    """Devices ask for what they like; the administrator says how names look."""
    govern(world, '[profiles.default]\nsubject = "CN={serialNumber}.{cn},OU=Phones,O=Example"\n')

    assert got(ask_for(world, "CN=ipad-17,serialNumber=C02X,O=Evil")) == "CN=C02X.ipad-17,OU=Phones,O=Example"


def test_a_value_in_a_template_stays_a_value(world: World) -> None:
    """What a device writes into its name must not become another attribute, or another place."""
    govern(world, '[profiles.default]\nsubject = "CN={CN},O=Example"\n')

    certificate = certificate_of(ask_for(world, r"CN=a\,O\=Evil+{O},O=X".replace("+", r"\+")))

    values = [(one.label, one.value) for one in certificate.subject.attributes()]
    assert values == [("O", "Example"), ("CN", "a,O=Evil+{O}")]


def test_a_template_takes_the_first_of_several(world: World) -> None:
    """The first in the order of the encoding, which is the last of the text (RFC 4514 2.1)."""
    govern(world, '[profiles.default]\nsubject = "CN={OU}"\n')

    assert got(ask_for(world, "CN=x,OU=inner,OU=outer")) == "CN=outer"


def test_a_template_may_name_an_attribute_by_its_oid(world: World) -> None:
    """For those that have no short name."""
    govern(world, '[profiles.default]\nsubject = "CN={2.5.4.97},2.5.4.97={2.5.4.97}"\n')

    assert got(ask_for(world, "2.5.4.97=VATDE-1")) == "CN=VATDE-1,2.5.4.97=VATDE-1"


def test_what_a_template_needs_has_to_be_asked_for(world: World) -> None:
    """A place that stays empty would give two devices one name."""
    govern(world, '[profiles.default]\nsubject = "CN={serialNumber},O=Example"\n')

    assert_no(ask_for(world, "CN=ipad-17"), "the subject has no serialNumber, which this profile needs")
    assert world.uses_left() == [1]


def test_a_filled_template_is_bounded_like_any_name(world: World) -> None:
    """Each value fits, and what the template makes of them does not."""
    govern(world, '[profiles.default]\nsubject = "CN={CN}{CN}"\n')

    assert_no(ask_for(world, f"CN={'x' * 128}"), "longer than 255 characters")


def test_a_template_needs_no_request_of_a_name(world: World) -> None:
    """A constant one names a role, whoever has it."""
    govern(world, '[profiles.default]\nsubject = "CN=kiosk,O=Example"\n')

    assert got(ask_for(world, b"\x30\x00")) == "CN=kiosk,O=Example"


KEPT = {
    "PrintableString": writer.sequence(
        rdn("2.5.4.10", "Example", tags.PRINTABLE_STRING), rdn("2.5.4.3", "ipad-17", tags.PRINTABLE_STRING)
    ),
    "another case": writer.sequence(rdn("2.5.4.10", "EXAMPLE"), rdn("2.5.4.3", "ipad-17")),
    "BMPString": writer.sequence(
        rdn("2.5.4.10", "Example"), rdn("2.5.4.3", "ipad-17".encode("utf-16-be"), tags.BMP_STRING)
    ),
}


@pytest.mark.parametrize("subject", KEPT.values(), ids=KEPT)
@pytest.mark.parametrize(
    "toml",
    ["", '[profiles.default]\nsubject = "CN={CN},O=Example"\n', FROM_CHALLENGE, FROM_VALIDATOR],
    ids=["request", "template", "challenge", "validator"],
)
def test_a_subject_keeps_its_bytes_where_it_is_the_same_name(world: World, toml: str, subject: bytes) -> None:
    """RFC 5280 7.1: it is one name in either spelling, and devices compare the octets."""
    govern(world, toml)
    world.add_challenge("bound", subject="CN=ipad-17,O=Example")
    validated(world, Grants("CN=ipad-17,O=Example"))

    assert certificate_of(ask_for(world, subject, secret="bound")).subject_der == subject


def test_a_challenge_says_the_subject(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Many devices cannot be told their name; the password is made for one."""
    govern(world, FROM_CHALLENGE)
    world.add_challenge("for 17", subject="CN=ipad-17,O=Example")

    with caplog.at_level("INFO", "ca.responder"):
        outcome = ask_for(world, "CN=whatever", secret="for 17")

    assert got(outcome) == "CN=ipad-17,O=Example"
    # What the device asked for and did not get is told.
    assert "dropped=subject " in caplog.messages[-1]


@pytest.mark.parametrize(
    ("bound", "asked"),
    [
        ("kiosk-1", "kio\u017fk-1"),
        ("kiosk-1", "\u212aiosk-1"),
        ("ipad-17", "ipad-17\u00a0"),
        ("ipad 17", "ipad\u00a017"),
        ("ipad 17", "ipad\u200317"),
        ("weiss", "wei\u00df"),
        ("office", "o\ufb03ce"),
        ("ÄRGER", "ärger"),
    ],
)
@pytest.mark.parametrize("toml", ["", FROM_CHALLENGE], ids=["request", "challenge"])
def test_a_name_that_only_looks_bound_is_not_certified(
    world: World, toml: str, bound: str, asked: str
) -> None:
    """Case and spaces of ASCII are the device's to choose; whoever reads the rest reads another name."""
    govern(world, toml)
    world.add_challenge("bound", subject=f"CN={bound}")

    outcome = ask_for(world, Name.from_text(f"CN={asked}").der, secret="bound")

    assert got(outcome) == f"CN={bound}" if toml else isinstance(outcome, Failure)


def test_a_challenge_that_says_none_gives_none(world: World) -> None:
    """Else the device would choose, which is what the profile is there to prevent."""
    govern(world, FROM_CHALLENGE)

    assert_no(ask_for(world), "takes the subject from the challenge, which says none")
    assert world.uses_left() == [1]


def test_a_template_is_filled_from_the_challenge(world: World) -> None:
    """The name that was given out is a part of the whole one; the device's own wishes count for nothing."""
    govern(world, FROM_CHALLENGE + 'template = "CN={CN},O=Example"\n')
    world.add_challenge("for 17", subject="CN=ipad-17")

    assert got(ask_for(world, "CN=whatever,O=Evil", secret="for 17")) == "CN=ipad-17,O=Example"


def test_a_validator_says_the_subject(world: World) -> None:
    """A device management knows the device by more than it says itself."""
    govern(world, FROM_VALIDATOR + 'template = "CN={CN},OU={serialNumber}"\n')
    validator = validated(world, Grants("CN=ipad-17,serialNumber=C02X"))

    assert got(ask_for(world, "CN=whatever")) == "CN=ipad-17,OU=C02X"
    assert [one.subject for one in validator.asked] == ["CN=whatever"]


def test_a_validator_that_says_none_gives_none(world: World) -> None:
    """It allows the request, and nobody has said a name."""
    govern(world, FROM_VALIDATOR)
    validated(world, Grants())

    assert_no(ask_for(world), "takes the subject from the validator, which says none")


def test_a_validator_knows_better_than_the_request(world: World) -> None:
    """It is asked last, by who set it up; its word stands in the place of the device's."""
    govern(world, '[profiles.default]\nvalidator = "mdm"\n')
    validated(world, Grants("CN=right", ("dns:right.example",)))

    outcome = ask_for(world, "CN=wrong", "dns:wrong.example")

    assert (got(outcome), names_of(outcome)) == ("CN=right", ["dns:right.example"])


def test_a_validator_may_name_who_holds_a_bound_challenge(world: World) -> None:
    """The password is for ipad-17, and the validator adds the names that ipad-17 has."""
    govern(world, '[profiles.default]\nvalidator = "mdm"\n')
    world.add_challenge("bound", subject="CN=ipad-17")
    validated(world, Grants(subject_alt_names=("dns:ipad-17.example",)))

    assert names_of(ask_for(world, secret="bound")) == ["dns:ipad-17.example"]


ALLOWED = '[profiles.default.subject]\nallowed = ["CN", "o", "2.5.4.5"]\n'


@pytest.mark.parametrize("subject", ["CN=ipad-17", "CN=ipad-17,O=Example", "CN=a+serialNumber=7"])
def test_allowed_attributes_are_given(world: World, subject: str) -> None:
    """Names of attributes are not case-sensitive, and an OID is one (RFC 4514 2.3)."""
    govern(world, ALLOWED)

    assert got(ask_for(world, subject)) == subject


def test_another_attribute_is_refused(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """The device hears which, and the log its value."""
    govern(world, ALLOWED)

    with caplog.at_level("INFO", "ca.responder"):
        outcome = ask_for(world, "CN=ipad-17,OU=Domain Admins")

    assert_no(outcome, "the subject may not have a OU here")
    assert 'detail="OU=Domain Admins"' in caplog.messages[-1]


def test_another_attribute_is_dropped(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Where the profile says so, and also out of an RDN of several."""
    govern(world, ALLOWED + 'others = "drop"\n')

    with caplog.at_level("INFO", "ca.responder"):
        outcome = ask_for(world, "CN=a+OU=Evil,OU=Domain Admins,O=Example")

    assert got(outcome) == "CN=a,O=Example"
    assert "dropped=subject:OU,subject:OU " in caplog.messages[-1]


def test_a_subject_of_which_nothing_is_left_is_refused(world: World) -> None:
    """RFC 5280 4.1.2.6: a certificate names somebody."""
    govern(world, '[profiles.default.subject]\nallowed = []\nothers = "drop"\n')

    assert_no(ask_for(world), "names nobody")
    assert got(ask_for(world, "CN=ipad-17", "dns:a.example")) == ""


def test_a_required_attribute_has_to_be_there(world: World) -> None:
    """Or what reads the certificate later has nothing to go by."""
    govern(world, '[profiles.default.subject]\nrequired = ["CN", "serialNumber"]\n')

    assert_no(ask_for(world), "the subject has no serialNumber, which it must have")
    assert got(ask_for(world, "CN=a+serialNumber=7")) == "CN=a+serialNumber=7"


def test_what_was_dropped_is_not_there(world: World) -> None:
    """An attribute is required of the certificate, and not of the request."""
    toml = '[profiles.default]\nsubject = { template = "O={O}", required = ["CN"] }\n'
    govern(world, toml)

    assert_no(ask_for(world, "CN=a,O=Example"), "the subject has no CN")


@pytest.mark.parametrize(
    ("value", "fits"),
    [
        ("ipad-17", True),
        ("ipad-", False),
        ("ipad-17x", False),
        ("xipad-17", False),
        ("ipad-17\\0Aevil", False),
        # A digit of another script is one to the regular expression as it is written without flags.
        ("größe-1", True),
        ("größe-", False),
    ],
)
def test_a_pattern_has_to_fit_the_whole_value(world: World, value: str, fits: bool) -> None:
    """A pattern that fits a part would let anything stand around it."""
    govern(
        world,
        r"""[profiles.default.subject.match]
cn = '(ipad|größe)-[0-9]+'
""",
    )

    outcome = ask_for(world, f"CN={value}")

    assert isinstance(outcome, Failure) is not fits
    if not fits:
        assert world.uses_left() == [1]


@pytest.mark.parametrize(
    ("toml", "subject", "names"),
    [
        ("subject.match = { CN = '([a-z0-9]+-?)+\\.lab' }", f"CN={'a' * 34}!", ()),
        ("subject.match = { CN = '(a?){1,200}a{1,200}b' }", f"CN={'a' * 200}", ()),
        (f'san.upn = ["{"*a" * 12}"]', "CN=a", (f"upn:{'a' * 200}b",)),
        (f'san.uri = ["urn:{"**a" * 12}"]', "CN=a", (f"uri:urn:{'a' * 200}b",)),
    ],
    ids=["nested", "optional", "of asterisks", "of two asterisks"],
)
def test_no_pattern_takes_longer_than_its_text(
    world: World, toml: str, subject: str, names: tuple[str, ...]
) -> None:
    """It is asked while nobody else can write: by backtracking it took hours, for a single request."""
    govern(world, f"[profiles.default]\n{toml}\n")
    started = perf_counter()

    outcome = ask_for(world, subject, *names)

    assert_no(outcome, "is not one that this profile certifies")
    assert perf_counter() - started < 2


def test_a_pattern_has_to_fit_every_value(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Of two common names a verifier may read either."""
    govern(world, "[profiles.default.subject.match]\nCN = 'ipad-[0-9]+'\n")

    with caplog.at_level("INFO", "ca.responder"):
        outcome = ask_for(world, "CN=ipad-17+CN=root")

    assert_no(outcome, "the CN of the subject is not one that this profile certifies")
    assert "CN=root; the pattern is ipad-[0-9]+" in caplog.messages[-1]


def test_a_pattern_looks_at_what_is_certified(world: World) -> None:
    """At what the template made, and not at what was asked for."""
    toml = '[profiles.default.subject]\ntemplate = "CN=dev-{CN}"\nmatch = { CN = "dev-[a-z]+" }\n'
    govern(world, toml)

    assert_no(ask_for(world, "CN=dev-1"), "the CN of the subject")
    assert got(ask_for(world, "CN=abc")) == "CN=dev-abc"


@pytest.mark.parametrize("toml", [FROM_CHALLENGE, FROM_VALIDATOR], ids=["challenge", "validator"])
@pytest.mark.parametrize(
    ("limit", "said", "words"),
    [
        ('allowed = ["CN"]', "CN=a,O=Example", "may not have a O"),
        ('required = ["O"]', "CN=a", "has no O"),
        ('match = { CN = "b.*" }', "CN=a", "the CN of the subject"),
        ("", "CN=..", "leads out of a folder"),
        ("", "CN=p\u0430ypal", "mixes letters"),
    ],
)
def test_the_limits_of_a_profile_are_nobodys_to_widen(
    world: World, toml: str, limit: str, said: str, words: str
) -> None:
    """Whoever says the name; a password is made by many people, and a validator may be wrong."""
    govern(world, toml + limit + "\n")
    world.add_challenge("bound", subject=said)
    validated(world, Grants(said))

    assert_no(ask_for(world, "CN=a", secret="bound"), words)
    assert world.uses_left() == [1, 1]


def test_a_multi_valued_rdn_is_one_name(world: World) -> None:
    """RFC 5280 7.1: it is a set, whose order in a request counts for nothing."""
    govern(world, '[profiles.default]\nsubject = "CN={CN}+serialNumber={serialNumber},O=Example"\n')
    outcome = ask_for(world, "CN=a,serialNumber=7")

    (rdn_of_two,) = [one for one in certificate_of(outcome).subject.rdns if len(one) > 1]

    assert {one.label for one in rdn_of_two} == {"CN", "serialNumber"}


BOUND = {
    "as the profile makes it": ("CN=ipad-17,O=Example", "CN=ipad-17", True),
    "as the device asks for it": ("CN=ipad-17", "CN=ipad-17", True),
    "as the device asks for it, in another case": ("CN=IPAD-17", "CN=ipad-17", True),
    "to another": ("CN=ipad-18", "CN=ipad-17", False),
    "to another of the same make": ("CN=ipad-18,O=Example", "CN=ipad-17", False),
}


@pytest.mark.parametrize(("bound", "asked", "good"), BOUND.values(), ids=BOUND)
def test_a_bound_challenge_fits_before_or_after_the_template(
    world: World, bound: str, asked: str, good: bool
) -> None:
    """Who makes a password knows the device's name, and need not know the profile's."""
    govern(world, '[profiles.default]\nsubject = "CN={CN},O=Example"\n')
    world.add_challenge("bound", subject=bound)

    outcome = ask_for(world, asked, secret="bound")

    if good:
        assert got(outcome) == "CN=ipad-17,O=Example"
    else:
        assert_no(outcome, REJECTED)
        assert world.uses_left() == [1, 1]


def test_a_challenge_for_one_name_does_not_go_with_a_validators_other(world: World) -> None:
    """Neither what was asked for nor what would be given is what the password was made for."""
    govern(world, FROM_CHALLENGE.replace(".subject]", "]\nvalidator = 'mdm'\n[profiles.default.subject]"))
    world.add_challenge("bound", subject="CN=ipad-17")
    validated(world, Grants("CN=ipad-18"))

    assert_no(ask_for(world, "CN=whatever", secret="bound"), REJECTED)


TEMPLATE = 'template = "CN={serialNumber}"\n'
ASKED = "CN=ipad,serialNumber=C02X"
RENEWALS = {
    "request": ("[profiles.default.subject]\n" + TEMPLATE, "CN=C02X"),
    "challenge": (FROM_CHALLENGE + TEMPLATE, "CN=17"),
    "validator": (FROM_VALIDATOR + TEMPLATE, "CN=V"),
}


def _first(world: World, toml: str) -> None:
    govern(world, toml)
    world.add_challenge("first", subject="serialNumber=17", names=("dns:a.example",), uses=None)
    validated(world, Grants("serialNumber=V"))


@pytest.mark.parametrize("asks_by", ["the certificate's name", "its own name"])
@pytest.mark.parametrize(("toml", "subject"), RENEWALS.values(), ids=RENEWALS)
def test_a_renewal_keeps_what_a_template_made(world: World, toml: str, subject: str, asks_by: str) -> None:
    """Its result lacks what it reads: the serialNumber went into the CN, once."""
    _first(world, toml)
    old = certificate_of(ask_for(world, ASKED, secret="first" if FROM_CHALLENGE in toml else SECRET))
    world.now = DUE

    outcome = renew(world, old, subject if asks_by == "the certificate's name" else ASKED)

    assert str(old.subject) == got(outcome) == subject


@pytest.mark.parametrize(("toml", "subject"), RENEWALS.values(), ids=RENEWALS)
def test_a_renewal_asks_for_nobody_else(world: World, toml: str, subject: str) -> None:
    """Who chose the first name chose it for the renewal too; a device that may choose keeps its choice."""
    _first(world, toml)
    old = certificate_of(ask_for(world, ASKED, secret="first" if FROM_CHALLENGE in toml else SECRET))
    world.now = DUE

    outcome = renew(world, old, "CN=root,serialNumber=root")

    if toml == RENEWALS["request"][0]:
        assert_no(outcome, "a renewal keeps the subject of the old certificate")
    else:
        assert got(outcome) == subject


MIXED = {
    "the challenge says the subject, the request the SANs": (
        FROM_CHALLENGE,
        "CN=ipad-17",
        ["dns:b.example"],
    ),
    "the request says the subject, the challenge the SANs": (
        '[profiles.default.san]\nsource = "challenge"\n',
        "CN=mine",
        ["dns:a.example", "dns:b.example"],
    ),
}


@pytest.mark.parametrize(("toml", "subject", "names"), MIXED.values(), ids=MIXED)
def test_a_renewal_keeps_both_where_two_said_them(
    world: World, toml: str, subject: str, names: list[str]
) -> None:
    """The one was chosen by the device and the other was not; it asks again as it did before."""
    govern(world, toml)
    bound_to = "CN=ipad-17" if "subject" in toml else None
    world.add_challenge("first", subject=bound_to, names=("dns:a.example", "dns:b.example"))
    old_outcome = ask_for(world, "CN=mine", "dns:b.example", secret="first")
    world.now = DUE

    outcome = renew(world, certificate_of(old_outcome), "CN=mine", "dns:b.example")

    assert (got(old_outcome), names_of(old_outcome)) == (subject, names)
    assert (got(outcome), names_of(outcome)) == (subject, names)


CHANGING = "[profiles.default]\nrenewal_same_names = false\n"


def test_a_renewal_may_change_its_names_where_the_profile_says_so(world: World) -> None:
    """Devices are renamed; within the limits that hold for everybody."""
    govern(world, CHANGING + '[profiles.default.subject]\ntemplate = "CN={CN},O=Example"\n')
    old = certificate_of(ask_for(world))
    world.now = DUE

    outcome = renew(world, old, "CN=ipad-18", "dns:b.example")

    assert (got(outcome), names_of(outcome)) == ("CN=ipad-18,O=Example", ["dns:b.example"])


def test_a_renewal_that_changes_names_keeps_to_the_limits(world: World) -> None:
    """Or the first certificate would be a way round them."""
    govern(world, CHANGING + "[profiles.default.subject.match]\nCN = 'ipad-[0-9]+'\n")
    old = certificate_of(ask_for(world))
    world.now = DUE

    assert_no(renew(world, old, "CN=root"), "the CN of the subject")


def test_a_renewal_changes_no_names_that_a_challenge_said(world: World) -> None:
    """The device has none to say it anew, so that what was said stands."""
    govern(world, CHANGING + '[profiles.default.subject]\nsource = "challenge"\n')
    world.add_challenge("first", subject="CN=ipad-17")
    old = certificate_of(ask_for(world, "CN=whatever", secret="first"))
    world.now = DUE

    assert got(renew(world, old, "CN=root")) == "CN=ipad-17"


def test_a_validator_changes_names_at_a_renewal(world: World) -> None:
    """It is asked at renewals where the profile says so, and knows better then too."""
    validating = CHANGING + 'validator = "mdm"\nvalidate_renewals = true\n'
    govern(world, validating)
    validator = validated(world, Grants())
    old = certificate_of(ask_for(world))
    validator.verdict = Allowed(Grants("CN=renamed"))
    world.now = DUE

    assert got(renew(world, old, "CN=ipad-17")) == "CN=renamed"
    assert [bool(one.renewal_of) for one in validator.asked] == [False, True]


def test_a_renewal_under_another_name_leaves_the_account_behind(world: World) -> None:
    """It was vouched for under the old name; with it, any name would be a way into that account."""
    govern(world, CHANGING)
    sid = "S-1-5-21-1-2-3-1104"
    world.add_challenge("for ann", sid=sid)
    old = certificate_of(ask_for(world, "CN=ann", "dns:ann.example", secret="for ann"))
    assert sid.encode() in old.der
    world.now = DUE

    for subject, names in [("CN=administrator", ("dns:ann.example",)), ("CN=ann", ("dns:b.example",))]:
        renamed = certificate_of(renew(world, old, subject, *names, transaction_id=f"{subject}{names}"))
        assert sid.encode() not in renamed.der
    again = certificate_of(renew(world, old, "CN=ann", "dns:ann.example", transaction_id="t9"))
    assert sid.encode() in again.der


@pytest.mark.parametrize(
    ("said", "keeps"),
    [
        (Grants("CN=administrator"), False),
        (Grants(subject_alt_names=("upn:administrator@corp.example",)), False),
        (Grants("CN=ann"), True),
        (Grants(), True),
    ],
)
def test_a_validator_that_renames_vouches_for_no_account(world: World, said: Grants, keeps: bool) -> None:
    """Unless it says so: the account that it said before was another name's."""
    govern(world, CHANGING + 'validator = "mdm"\nvalidate_renewals = true\n')
    sid = "S-1-5-21-1-2-3-1104"
    validator = validated(world, Grants(sid=sid))
    old = certificate_of(ask_for(world, "CN=ann"))
    validator.verdict = Allowed(said)
    world.now = DUE

    assert (sid.encode() in certificate_of(renew(world, old, "CN=ann")).der) is keeps


def test_the_log_says_that_a_validators_names_do_not_count(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """Else who runs it believes that the device has its name. Once, though a lint decides anew."""
    govern(world, '[profiles.default]\nvalidator = "mdm"\nvalidate_renewals = true\nlint = "warn"\n')
    world.responder = replace(world.responder, linter=PkiLinter())
    validator = validated(world, Grants())
    old = certificate_of(ask_for(world))
    world.now = DUE
    words = "names that the validator says do not count: renewal_same_names = true"

    with caplog.at_level("INFO", "ca.responder"):
        validator.verdict = Allowed(Grants("CN=ipad-17"), note="known")
        certificate_of(renew(world, old, transaction_id="t2"))
        validator.verdict = Allowed(Grants(sid="S-1-5-21-1-2-3-1104"), note="known")
        certificate_of(renew(world, old, transaction_id="t3", key=3))
        validator.verdict = Allowed(Grants("CN=renamed"))
        certificate_of(renew(world, old, transaction_id="t4", key=4))

    assert words not in caplog.messages[-3]
    assert f'note="known; {words}"' in caplog.messages[-2]
    assert f'note="{words}"' in caplog.messages[-1]


def test_a_validator_changes_nothing_where_names_stay(world: World) -> None:
    """The profile's rule is above the validator's word."""
    govern(world, '[profiles.default]\nvalidator = "mdm"\nvalidate_renewals = true\n')
    validator = validated(world, Grants())
    old = certificate_of(ask_for(world))
    validator.verdict = Allowed(Grants("CN=renamed"))
    world.now = DUE

    assert got(renew(world, old, "CN=ipad-17")) == "CN=ipad-17"


def test_an_enrolment_signed_by_an_old_certificate_takes_its_name_from_the_challenge(world: World) -> None:
    """A device that is given away signs as who it was, and the new password says who it is."""
    govern(world, FROM_CHALLENGE)
    world.add_challenge("first", subject="CN=ipad-17")
    old = certificate_of(ask_for(world, "CN=x", secret="first"))
    world.add_challenge("second", subject="CN=ipad-18")

    outcome = renew(world, old, "CN=x", secret="second", message_type=MessageType.PKCS_REQ)

    assert got(outcome) == "CN=ipad-18"
    assert world.uses_left() == [1, 0, 0]


def test_an_enrolment_that_the_old_names_forbid_may_have_a_challenge(world: World) -> None:
    """The profile was narrowed since: the old name is nobody's any more, and a new one needs a password."""
    old = certificate_of(ask_for(world, "CN=old"))
    govern(world, '[profiles.default.subject]\nallowed = ["CN"]\nmatch = { CN = "new" }\n')
    world.add_challenge("second")
    world.now = DUE

    assert_no(renew(world, old, "CN=old"), "the CN of the subject")
    assert_no(renew(world, old, "CN=old", secret="second", message_type=MessageType.PKCS_REQ), "the CN")
    outcome = renew(world, old, "CN=new", secret="second", message_type=MessageType.PKCS_REQ)
    assert got(outcome) == "CN=new"


@pytest.mark.parametrize("deferred", [False, True], ids=["by the profile", "by the validator"])
def test_what_waits_for_a_person_keeps_what_was_vouched_for(world: World, deferred: bool) -> None:
    """The password is spent by then, and the validator is not asked again."""
    govern(
        world,
        FROM_VALIDATOR
        + 'template = "CN={CN},O=Example"\n'
        + ("" if deferred else '[profiles.default.san]\nsource = "validator"\n'),
    )
    grants = Grants("CN=right", ("dns:right.example",), sid="S-1-5-21-1-2-3-1104")
    validator = FakeValidator(Deferred(grants)) if deferred else validated(world, grants)
    world.responder = replace(world.responder, validators={"mdm": validator})
    world.profile = replace(world.profile, manual_approval=not deferred)

    assert ask_for(world, "CN=wrong") == Pending()
    desk(world).approve(1)

    outcome = poll(world, Device())
    assert got(outcome) == "CN=right,O=Example"
    assert names_of(outcome)[0] == "dns:right.example"
    assert certificate_of(outcome).spki == certificate_of(poll(world, Device())).spki
    assert world.uses_left() == [0]


@pytest.mark.parametrize("toml", ["", CHANGING], ids=["same names", "other names"])
def test_a_renewal_that_waits_for_a_person_keeps_its_names(world: World, toml: str) -> None:
    """What the challenge of the first enrolment said is not asked for again."""
    source = '[profiles.default.subject]\nsource = "challenge"\ntemplate = "CN={CN},O=Example"\n'
    govern(world, (toml or "[profiles.default]\n") + source)
    world.add_challenge("first", subject="CN=ipad-17")
    old = certificate_of(ask_for(world, "CN=x", secret="first"))
    world.profile = replace(world.profile, manual_approval=True)
    world.now = DUE

    assert renew(world, old, "CN=x") == Pending()
    issued = desk(world).approve(3 if len(world.issued()) > 1 else 2).certificate

    assert issued.subject == "CN=ipad-17,O=Example"
    assert issued.renewed_from == f"{old.serial_number:x}"


def test_the_devices_key_is_certified_whatever_its_name_became(world: World) -> None:
    """A name by the profile, and the key by the device."""
    govern(world, '[profiles.default]\nsubject = "CN=kiosk"\n')
    key = rsa_key(3)

    assert certificate_of(ask_for(world, key=key)).public_key() == key.public_key()
