"""Alternative names under a profile: which kinds, which of each, how many, and whose word counts."""

import pytest

from ca.asn1 import writer
from ca.profiles import Grants
from ca.scep.messages import Failure
from ca.x509.extensions import Extension
from tests.forging_csr import alternative_names, dns
from tests.policing import (
    DUE,
    REJECTED,
    ask_for,
    assert_no,
    got,
    govern,
    names_of,
    profile_of,
    renew,
    validated,
)
from tests.world import World, certificate_of

pytestmark = pytest.mark.uses(1)


ALL = ("dns:a.example", "email:a@b.example", "uri:urn:x:1", "ip:192.0.2.1", "upn:a@corp.example")
FROM_CHALLENGE = '[profiles.default.san]\nsource = "challenge"\n'


def _raw(tag: int, octets: bytes) -> Extension:
    return alternative_names(writer.encode(tag, octets))


def test_every_kind_is_given_where_nothing_is_said(world: World) -> None:
    """The default profile works untouched; the challenge password is what authorises the names."""
    assert names_of(ask_for(world, "CN=ipad-17", *ALL)) == list(ALL)


@pytest.mark.parametrize("name", ALL)
def test_the_kinds_of_a_list_are_given_and_no_others(world: World, name: str) -> None:
    """``san = ["dns"]`` is what people write first."""
    kind = name.partition(":")[0]
    govern(world, f'[profiles.default]\nsan = ["{kind}"]\n')

    for other in set(ALL) - {name}:
        assert_no(ask_for(world, "CN=ipad-17", name, other), "is not certified here")
    assert names_of(ask_for(world, "CN=ipad-17", name)) == [name]


def test_an_empty_list_gives_none(world: World) -> None:
    """No kind is in it."""
    govern(world, "[profiles.default]\nsan = []\n")

    assert_no(ask_for(world, "CN=ipad-17", "dns:a.example"), "of kind dns is not certified here")
    assert names_of(ask_for(world)) == []


PATTERNS = [
    ("dns", "*.example.org", "a.example.org", True),
    ("dns", "*.example.org", "A.EXAMPLE.ORG", True),
    ("dns", "*.EXAMPLE.org", "a.example.org", True),
    ("dns", "*.example.org", "a.b.example.org", False),
    ("dns", "*.example.org", "example.org", False),
    ("dns", "*.example.org", "a.example.org.evil", False),
    ("dns", "*.example.org", "aXexample.org", False),
    ("dns", "**.example.org", "a.b.example.org", True),
    ("dns", "**.example.org", "evilexample.org", False),
    ("dns", "ipad-*.example.org", "ipad-17.example.org", True),
    ("dns", "ipad*.example.org", "ipad.example.org", False),
    ("dns", "example.org", "example.org", True),
    ("dns", "*", "host", True),
    ("dns", "*", "host.example", False),
    ("dns", "**", "host.example", True),
    ("dns", "[a-z]+.example.org", "abc.example.org", False),
    ("email", "*@example.org", "a.b@example.org", True),
    ("email", "*@example.org", "a@EXAMPLE.ORG", True),
    ("email", "*@example.org", "a@example.com", False),
    ("email", "*@example.org", "a@b.example.org", False),
    ("upn", "*@corp.example", "anna@corp.example", True),
    ("upn", "*@corp.example", "anna@CORP.example", False),
    ("upn", "*@corp.example", "anna@other.example", False),
    ("uri", "https://example.org/*", "https://example.org/device", True),
    ("uri", "https://example.org/*", "https://example.org/a/b", False),
    ("uri", "https://example.org/*", "HTTPS://example.org/device", False),
    ("uri", "https://example.org/**", "https://example.org/a/b", True),
    ("uri", "https://*.example.org", "https://a.example.org", True),
    ("uri", "urn:uuid:**", "urn:uuid:7", True),
    ("uri", "https://*.example.org/**", "https://a.example.org/x?y#z", True),
    ("uri", "https://*.example.org/**", "https://evil.com?.example.org/x", False),
    ("uri", "https://*.example.org/**", "https://evil.com#.example.org/x", False),
    ("uri", "https://*.example.org/**", "https://a@evil.com:1?.example.org/x", False),
    ("uri", "https://*.example.org/**", "https://evil.com:80.example.org/x", False),
    ("uri", "https://*.example.org/**", "https://evil.com%2f.example.org/x", False),
    ("uri", "https://**.example.org/x", "https://a.b.example.org/x", True),
    ("uri", "https://**.example.org/x", "https://evil.com/.example.org/x", False),
    ("uri", "https://**.example.org", "https://evil.com/?.example.org", False),
    ("uri", "https://example.org/*/x", "https://example.org/a?/x", False),
    ("uri", "https://**", "https://evil.com/x", True),
    ("uri", "**", "https://evil.com?x", True),
    ("ip", "192.0.2.0/24", "192.0.2.255", True),
    ("ip", "192.0.2.0/24", "192.0.3.0", False),
    ("ip", "192.0.2.7", "192.0.2.7", True),
    ("ip", "192.0.2.7", "192.0.2.8", False),
    ("ip", "2001:db8::/32", "2001:db8::1", True),
    ("ip", "2001:db8::/32", "2001:db9::1", False),
    ("ip", "2001:db8::/32", "192.0.2.1", False),
    ("ip", "0.0.0.0/0", "::1", False),
    ("ip", "192.0.2.0/24", "::ffff:192.0.2.1", False),
    ("ip", "**", "::1", True),
]


@pytest.mark.parametrize(("kind", "pattern", "name", "fits"), PATTERNS)
def test_a_pattern_says_which_names_are_given(
    world: World, kind: str, pattern: str, name: str, fits: bool
) -> None:
    """An asterisk is a label, a mailbox or a part of a path; two are anything."""
    another = "198.51.100.0/24" if kind == "ip" else "other.invalid"
    govern(world, f'[profiles.default.san]\n{kind} = ["{another}", "{pattern}"]\n')

    outcome = ask_for(world, "CN=ipad-17", f"{kind}:{name}")

    if fits:
        assert names_of(outcome) == [f"{kind}:{name}"]
    else:
        assert_no(outcome, f"a subjectAltName of kind {kind} is not one that this profile certifies")
        assert world.uses_left() == [1]


def test_a_pattern_of_one_kind_leaves_no_other(world: World) -> None:
    """Who lists hosts did not mean to let every mailbox pass."""
    govern(world, '[profiles.default.san]\ndns = ["**"]\n')

    assert_no(ask_for(world, "CN=a", "dns:a.example", "email:a@b.example"), "of kind email is not certified")


def test_a_name_that_is_not_allowed_is_dropped(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Where the profile says so; the log has the kinds."""
    govern(world, '[profiles.default.san]\ndns = ["*.example.org"]\nothers = "drop"\n')
    asked = ("dns:b.example", "dns:a.example.org", "ip:192.0.2.1", "dns:c.example", "upn:root@corp")

    with caplog.at_level("INFO", "ca.responder"):
        outcome = ask_for(world, "CN=a", *asked)

    assert names_of(outcome) == ["dns:a.example.org"]
    kinds = ("dns", "ip", "upn")
    assert f"dropped={','.join(f'subjectAltName:{kind}' for kind in kinds)} " in caplog.messages[-1]


def test_a_refused_name_is_told_to_the_log_alone(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """The device knows what it asked for; the administrator does not."""
    govern(world, '[profiles.default.san]\ndns = ["*.example.org"]\n')

    with caplog.at_level("INFO", "ca.responder"):
        outcome = ask_for(world, "CN=a", "dns:vpn.example.com")

    assert_no(outcome, "a subjectAltName of kind dns is not one that this profile certifies")
    assert "detail=dns:vpn.example.com " in caplog.messages[-1]


def test_a_required_kind_has_to_be_there(world: World) -> None:
    """Browsers and Wi-Fi look at the alternative names alone (RFC 6125 6.4.4)."""
    govern(world, '[profiles.default.san]\nrequired = ["dns"]\n')

    assert_no(ask_for(world), "there is no subjectAltName of kind dns, which there must be")
    assert_no(ask_for(world, "CN=a", "ip:192.0.2.1"), "no subjectAltName of kind dns")
    assert names_of(ask_for(world, "CN=a", "dns:a.example")) == ["dns:a.example"]


def test_what_was_dropped_is_not_there(world: World) -> None:
    """A kind is required of the certificate, and not of the request."""
    govern(world, '[profiles.default.san]\ndns = ["*.example.org"]\nothers = "drop"\nrequired = ["dns"]\n')

    assert_no(ask_for(world, "CN=a", "dns:a.example"), "no subjectAltName of kind dns")


def test_there_are_as_many_names_as_the_profile_says(world: World) -> None:
    """And one more is refused, also where others are dropped: which to drop is no guess of ours."""
    govern(world, '[profiles.default.san]\nmost = 3\nothers = "drop"\n')
    hosts = [f"dns:{number}.example" for number in range(4)]

    assert_no(ask_for(world, "CN=a", *hosts), "more than 3 subjectAltNames")
    assert names_of(ask_for(world, "CN=a", *hosts[:3])) == hosts[:3]


@pytest.mark.parametrize("others", ["refuse", "drop"])
@pytest.mark.parametrize("source", ["request", "challenge"])
def test_ten_thousand_names_are_bounded_work(
    world: World, others: str, source: str, caplog: pytest.LogCaptureFixture
) -> None:
    """They are counted before any is looked at, and no log line has them all."""
    govern(world, f'[profiles.default.san]\nothers = "{others}"\nsource = "{source}"\n')
    many = alternative_names(*(dns(f"{number}.example") for number in range(10_000)))

    with caplog.at_level("INFO", "ca.responder"):
        outcome = ask_for(world, wishes=(many,))

    if source == "request":
        assert_no(outcome, "more than 100 subjectAltNames")
    else:
        assert names_of(outcome) == []
    assert len(caplog.messages[-1]) < 1000


MALFORMED = {
    "a wildcard": (0x82, b"*.example"),
    "a wildcard in a label": (0x82, b"a*.example"),
    "a lone asterisk": (0x82, b"*"),
    "two dots": (0x82, b"a..example"),
    "a dot in front": (0x82, b".example"),
    "a dot at the end": (0x82, b"example."),
    "a hyphen in front": (0x82, b"-a.example"),
    "a hyphen at the end": (0x82, b"a-.example"),
    "a label of 64": (0x82, b"a" * 64 + b".example"),
    "254 characters": (0x82, b".".join([b"a" * 49] * 5) + b".exam"),
    "a space": (0x82, b"a b.example"),
    "a list": (0x82, b"a.example,b.example"),
    "an address as a host with a port": (0x82, b"192.0.2.1:80"),
    "a mailbox as a host": (0x82, b"a@b.example"),
    "a mailbox without @": (0x81, b"example"),
    "a mailbox of two": (0x81, b"a@b@c.example"),
    "a mailbox without a name": (0x81, b"@b.example"),
    "a mailbox without a host": (0x81, b"a@"),
    "a mailbox at a wildcard": (0x81, b"a@*.example"),
    "a mailbox with a name": (0x81, b"Anna <a@b.example>"),
    "a mailbox that looks like two names": (0x81, b"a,DNS:b@c.example"),
    "a quoted mailbox": (0x81, b'"a"@b.example'),
    "a URI without a scheme": (0x86, b"//example.org/a"),
    "a URI of a scheme alone": (0x86, b"https:"),
    "a URI with a space": (0x86, b"https://example.org/a b"),
    "a URI in angle brackets": (0x86, b"https://example.org/<a>"),
    "a URI with a quote": (0x86, b'https://example.org/"a'),
}


@pytest.mark.parametrize(("tag", "octets"), MALFORMED.values(), ids=MALFORMED)
def test_a_name_of_no_sound_form_is_refused(world: World, tag: int, octets: bytes) -> None:
    """RFC 5280 4.2.1.6, RFC 1123 2.1: verifiers read the odd ones each in its own way."""
    assert_no(ask_for(world, wishes=(_raw(tag, octets),)), "is not of the form that it must have")
    assert world.uses_left() == [1]


@pytest.mark.parametrize(("tag", "octets"), MALFORMED.values(), ids=MALFORMED)
def test_no_pattern_lets_an_unsound_name_pass(world: World, tag: int, octets: bytes) -> None:
    """Who wrote ** meant any name, and no wildcard."""
    govern(world, '[profiles.default.san]\ndns = ["**"]\nemail = ["**"]\nuri = ["**"]\nothers = "drop"\n')

    assert names_of(ask_for(world, wishes=(_raw(tag, octets),))) == []


SOUND = [
    ("dns", b"xn--bcher-kva.example"),
    ("dns", b"_dev.example"),
    ("dns", b"a"),
    ("dns", b"1.2.example"),
    ("dns", b"a" * 63 + b".example"),
    ("dns", b".".join([b"a" * 49] * 5) + b".exa"),
    ("email", b"o'hara+x=1@b.example"),
    ("uri", b"https://[2001:db8::1]:443/a?b=c#d%20"),
    ("uri", b"spiffe://example.org/ns/a"),
]


@pytest.mark.parametrize(("kind", "octets"), SOUND)
def test_what_devices_have_is_of_a_sound_form(world: World, kind: str, octets: bytes) -> None:
    """Underscores, short names, international names as they are written in the DNS."""
    tag = {"dns": 0x82, "email": 0x81, "uri": 0x86}[kind]

    assert names_of(ask_for(world, wishes=(_raw(tag, octets),))) == [f"{kind}:{octets.decode()}"]


@pytest.mark.parametrize("others", ["refuse", "drop"])
def test_a_kind_that_is_never_written_is_never_given(world: World, others: str) -> None:
    """A registeredID, a directoryName, an otherName: nobody checks them, and some believe them."""
    govern(world, f'[profiles.default.san]\nothers = "{others}"\n')
    directory = _raw(0xA4, b"\x30\x00")

    outcome = ask_for(world, "CN=a", wishes=(directory,))

    if others == "refuse":
        assert_no(outcome, "a subjectAltName of kind dirname is not certified here")
    else:
        assert names_of(outcome) == []


def test_a_name_that_is_asked_for_twice_is_there_once(world: World) -> None:
    """Some clients copy the common name into names that have it already."""
    outcome = ask_for(world, "CN=a", "dns:a.example", "dns:b.example", "dns:a.example")

    assert names_of(outcome) == ["dns:a.example", "dns:b.example"]


def test_a_challenge_says_the_names(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """And whatever the device asks for counts for nothing, which the log says."""
    govern(world, FROM_CHALLENGE)
    world.add_challenge("bound", names=("dns:a.example", "ip:192.0.2.1", "dns:a.example"))

    with caplog.at_level("INFO", "ca.responder"):
        outcome = ask_for(world, "CN=x", "dns:root.example", "dns:a.example", secret="bound")

    assert (got(outcome), names_of(outcome)) == ("CN=x", ["dns:a.example", "ip:192.0.2.1"])
    assert "dropped=subjectAltName:dns " in caplog.messages[-1]


def test_a_challenge_that_says_none_gives_none(world: World) -> None:
    """Names that nobody vouched for are left out."""
    govern(world, FROM_CHALLENGE)

    assert names_of(ask_for(world, "CN=x", "dns:root.example")) == []


def test_a_profiles_limits_hold_for_the_challenges_names(world: World) -> None:
    """They are nobody's to widen."""
    govern(world, FROM_CHALLENGE + 'dns = ["*.example.org"]\n')
    world.add_challenge("bound", names=("dns:a.example.com",))

    assert_no(ask_for(world, secret="bound"), "of kind dns is not one that this profile certifies")


def test_a_validator_says_the_names(world: World) -> None:
    """In the place of those that were asked for, and bounded all the same."""
    govern(world, '[profiles.default]\nvalidator = "mdm"\nsan = { source = "validator", most = 2 }\n')
    validator = validated(world, Grants(subject_alt_names=("dns:a.example",)))

    assert names_of(ask_for(world, "CN=x", "dns:root.example")) == ["dns:a.example"]
    assert validator.asked[0].subject_alt_names == ("dns:root.example",)
    validated(world, Grants(subject_alt_names=("dns:a", "dns:b", "dns:c")))
    world.add_challenge("second")
    assert_no(ask_for(world, "CN=y", secret="second", transaction_id="t2"), "more than 2 subjectAltNames")


def test_a_bound_challenge_bounds_what_is_asked_for(world: World) -> None:
    """Where the request says the names, those of the password are the most there may be."""
    world.add_challenge("bound", names=("dns:a.example", "dns:b.example"))

    assert_no(ask_for(world, "CN=x", "dns:a.example", "dns:c.example", secret="bound"), REJECTED)
    assert names_of(ask_for(world, "CN=x", "dns:b.example", secret="bound")) == ["dns:b.example"]


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("dns:a.example",), ""),
        (("dns:b.example", "dns:a.example"), "keeps the subjectAltNames"),
        ((), "keeps the subjectAltNames"),
    ],
)
def test_a_renewal_asks_for_the_names_it_has(world: World, names: tuple[str, ...], words: str) -> None:
    """No more of them and no fewer, unless the profile lets them change."""
    old = certificate_of(ask_for(world, "CN=a", "dns:a.example"))
    world.now = DUE

    outcome = renew(world, old, "CN=a", *names)

    if words:
        assert_no(outcome, words)
    else:
        assert names_of(outcome) == ["dns:a.example"]


def test_a_renewal_under_narrower_rules_is_refused(world: World) -> None:
    """What a profile does not certify any more it does not renew."""
    old = certificate_of(ask_for(world, "CN=a", "dns:a.example"))
    govern(world, '[profiles.default.san]\ndns = ["*.example.org"]\n')
    world.now = DUE

    assert_no(renew(world, old, "CN=a", "dns:a.example"), "is not one that this profile certifies")


def test_a_list_of_kinds_stands_in_the_place_of_inherited_patterns(world: World) -> None:
    """``san = ["ip"]`` says ip, whatever the default profile says of hosts."""
    toml = '[profiles.default.san]\ndns = ["**"]\nmost = 7\n[profiles.lan]\nsan = ["ip"]\n'
    world.profile = profile_of(toml, "lan")
    world.add_challenge("lan", profile="lan")

    assert isinstance(ask_for(world, "CN=a", "dns:a.example", secret="lan"), Failure)
    assert names_of(ask_for(world, "CN=a", "ip:192.0.2.1", secret="lan")) == ["ip:192.0.2.1"]
    assert world.profile.san.most == 7


def test_a_validator_is_not_asked_about_names_that_cannot_be_read(world: World) -> None:
    """It would be told another request than the one that is decided on."""
    govern(world, '[profiles.default]\nvalidator = "mdm"\n')
    validator = validated(world, Grants())

    assert_no(ask_for(world, wishes=(_raw(0x87, bytes(5)),)), "a requested extension cannot be read")
    assert validator.asked == []
    assert world.uses_left() == [1]
