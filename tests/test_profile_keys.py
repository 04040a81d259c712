"""Keys under a profile: which types, where else they may be in use, for what, and until when."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ca.asn1 import writer
from ca.errors import DecisionImpossible
from ca.issuing.reasons import Reason
from ca.scep.messages import Failure, Pending
from ca.x509 import oids
from ca.x509.extensions import Extension, KeyUsageBit, encode_key_usage, read_key_purposes
from ca.x509.name import Name
from tests.forging_csr import Key, ask, challenge, csr
from tests.policing import DUE, ask_for, assert_no, got, govern, profile_of, renew, withdraw
from tests.waiting import desk
from tests.world import NOW, SECRET, Device, World, certificate_of, rsa_key


@pytest.fixture
def world() -> Iterator[World]:
    """A CA with a challenge password without limit, and another for the profile ``lan``."""
    world = World()
    world.add_challenge("lan", profile="lan", uses=None)
    yield world
    world.store.close()


@pytest.fixture(scope="module")
def keys() -> dict[str, Key]:
    """A key of each type."""
    return {
        "rsa:2048": rsa_key(1),
        "rsa:3072": rsa.generate_private_key(65537, 3072),
        "rsa:4096": rsa_key(1, 4096),
        "ec:p256": ec.generate_private_key(ec.SECP256R1()),
        "ec:p384": ec.generate_private_key(ec.SECP384R1()),
        "ec:p521": ec.generate_private_key(ec.SECP521R1()),
        "ed25519": ed25519.Ed25519PrivateKey.generate(),
    }


TYPES = [
    ("[]", {"rsa:2048", "rsa:3072", "rsa:4096", "ec:p256", "ec:p384", "ec:p521", "ed25519"}),
    ('["rsa"]', {"rsa:2048", "rsa:3072", "rsa:4096"}),
    ('["rsa:3072"]', {"rsa:3072"}),
    ('["rsa:3072+"]', {"rsa:3072", "rsa:4096"}),
    ('["rsa:2048+"]', {"rsa:2048", "rsa:3072", "rsa:4096"}),
    ('["ec"]', {"ec:p256", "ec:p384", "ec:p521"}),
    ('["ec:p256"]', {"ec:p256"}),
    ('["ec:p384", "ec:p521"]', {"ec:p384", "ec:p521"}),
    ('["ed25519"]', {"ed25519"}),
    ('["rsa:4096", "ec:p256", "ed25519"]', {"rsa:4096", "ec:p256", "ed25519"}),
]


@pytest.mark.parametrize(("types", "certified"), TYPES)
def test_the_key_types_of_a_profile_are_certified_and_no_others(
    world: World, keys: dict[str, Key], types: str, certified: set[str]
) -> None:
    """Just so many bits, so many or more, or a whole family."""
    govern(world, f"[profiles.default]\nkey_types = {types}\n")

    for number, (label, key) in enumerate(keys.items()):
        outcome = ask_for(world, f"CN=a-{number}", key=key, transaction_id=f"t{number}")
        if label in certified:
            certificate_of(outcome)
        else:
            assert_no(outcome, f"a key of type {label} is not certified here; use ")


def test_a_refused_key_spends_no_challenge(keys: dict[str, Key]) -> None:
    """The device makes another key and asks again."""
    world = World(uses=1)
    govern(world, '[profiles.default]\nkey_types = ["ec:p256"]\n')

    assert_no(ask_for(world), "a key of type rsa:2048 is not certified here; use ec:p256")
    certificate_of(ask_for(world, key=keys["ec:p256"], transaction_id="t2"))
    world.store.close()


def test_a_renewal_needs_a_key_of_todays_types(world: World, keys: dict[str, Key]) -> None:
    """A profile that asks for larger keys gets them with time."""
    old = certificate_of(ask_for(world))
    govern(world, '[profiles.default]\nkey_types = ["rsa:3072+"]\n')
    world.now = DUE

    assert_no(renew(world, old), "a key of type rsa:2048 is not certified here; use rsa:3072+")


def test_a_person_approves_no_key_that_the_profile_refuses_by_now(world: World) -> None:
    """The request waited while the administrator changed the rules."""
    govern(world, '[profiles.default]\napproval = "manual"\n')
    assert ask_for(world) == Pending()
    govern(world, '[profiles.default]\napproval = "manual"\nkey_types = ["ec"]\n')

    with pytest.raises(DecisionImpossible, match="a key of type rsa:2048 is not certified here"):
        desk(world).approve(1)


NOT_SHARED = "[profiles.default]\nkeys_shared = false\n"
SHARED = "this key is certified under another subject already"


def test_a_key_may_have_several_subjects_unless_told_otherwise(world: World) -> None:
    """Devices are renamed, and the CSR proves that they have the key."""
    certificate_of(ask_for(world, "CN=a"))

    certificate_of(ask_for(world, "CN=b", transaction_id="t2"))


def test_a_key_in_use_is_not_certified_under_another_subject(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """A key that was copied to a second device is no longer one device's; the log has the certificate."""
    govern(world, NOT_SHARED)
    first = certificate_of(ask_for(world, "CN=a"))

    with caplog.at_level("INFO", "ca.responder"):
        outcome = ask_for(world, "CN=b", transaction_id="t2")

    assert_no(outcome, SHARED)
    assert f"detail={first.serial_number:x}" in caplog.messages[-1]
    assert len(world.issued()) == 1


def _compressed(key: ec.EllipticCurvePrivateKey) -> bytes:
    """The same key, its point compressed (SEC 1 2.3.3)."""
    curve = writer.sequence(writer.oid("1.2.840.10045.2.1"), writer.oid("1.2.840.10045.3.1.7"))
    point = key.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    return writer.sequence(curve, writer.bit_string(point))


def test_a_key_is_the_same_however_it_is_written(world: World) -> None:
    """A compressed point is another text, and no other key."""
    govern(world, NOT_SHARED)
    key = ec.generate_private_key(ec.SECP256R1())
    certificate_of(ask_for(world, "CN=a", key=key))

    payload = csr(challenge(SECRET), key=key, subject_der=Name.from_text("CN=b").der, spki=_compressed(key))

    assert_no(ask(world, Device(), payload, transaction_id="t2", spki=_compressed(key)), SHARED)


@pytest.mark.parametrize("subject", ["CN=ipad-17", "CN=IPAD-17", "CN= ipad-17 "])
def test_a_key_in_use_is_certified_again_under_its_subject(world: World, subject: str) -> None:
    """The same device enrols once more (RFC 5280 7.1: in whatever spelling)."""
    govern(world, NOT_SHARED)
    certificate_of(ask_for(world))

    certificate_of(ask_for(world, subject, "dns:a.example", transaction_id="t2"))


def test_a_key_in_use_is_another_subjects_in_every_profile(world: World) -> None:
    """A key is shared wherever it is, and a subject is one wherever it is."""
    certificate_of(ask_for(world, "CN=a"))
    world.profile = profile_of(NOT_SHARED + "[profiles.lan]\n", "lan")

    assert_no(ask_for(world, "CN=b", secret="lan", transaction_id="t2"), SHARED)
    certificate_of(ask_for(world, "CN=a", secret="lan", transaction_id="t3"))


def test_a_profile_that_asks_nothing_of_keys_finds_none(world: World) -> None:
    """The rule is of the profile that has it."""
    govern(world, NOT_SHARED)
    certificate_of(ask_for(world, "CN=a"))
    world.profile = profile_of(NOT_SHARED + "[profiles.lan]\nkeys_shared = true\n", "lan")

    certificate_of(ask_for(world, "CN=b", secret="lan", transaction_id="t2"))


@pytest.mark.parametrize("ending", ["revoked", "expired"])
def test_a_key_is_free_once_its_certificate_is_over(world: World, ending: str) -> None:
    """Nobody believes the other name any more."""
    govern(world, NOT_SHARED)
    first = certificate_of(ask_for(world, "CN=a"))
    if ending == "revoked":
        withdraw(world, first, Reason.cessationOfOperation)
    else:
        world.now = first.not_valid_after + timedelta(seconds=1)

    certificate_of(ask_for(world, "CN=b", transaction_id="t2"))


def test_devices_without_a_subject_are_told_apart_by_their_names(world: World) -> None:
    """RFC 5280 4.1.2.6: who is named by alternative names alone is another under others."""
    govern(world, NOT_SHARED)
    certificate_of(ask_for(world, b"\x30\x00", "dns:a.example", "dns:b.example"))

    assert_no(ask_for(world, b"\x30\x00", "dns:c.example", transaction_id="t2"), SHARED)
    again = ask_for(world, b"\x30\x00", "dns:B.example", "dns:a.example", transaction_id="t3")
    assert certificate_of(again).subject_alt_names


def test_two_that_wait_for_a_person_do_not_share_a_key(world: World) -> None:
    """Neither had a certificate when it came, and only one of them gets it."""
    govern(world, NOT_SHARED + 'approval = "manual"\n')
    assert ask_for(world, "CN=a") == Pending()
    assert ask_for(world, "CN=b", transaction_id="t2") == Pending()

    desk(world).approve(1)

    with pytest.raises(DecisionImpossible, match=SHARED):
        desk(world).approve(2)
    assert [one.subject for one in world.issued()] == ["CN=a"]


def test_a_renewal_under_another_name_needs_another_key(world: World) -> None:
    """The old certificate is in force still, and its key has the old name."""
    govern(world, NOT_SHARED + "renewal_same_names = false\n")
    old = certificate_of(ask_for(world, "CN=a"))
    world.now = DUE

    assert_no(renew(world, old, "CN=b", key=1), SHARED)
    assert got(renew(world, old, "CN=b", key=2)) == "CN=b"


NEW_KEYS = "[profiles.default]\nkeys_renewed = false\n"


@pytest.mark.parametrize(("toml", "good"), [("", True), (NEW_KEYS, False)])
def test_a_renewal_keeps_its_key_where_the_profile_lets_it(world: World, toml: str, good: bool) -> None:
    """A key that never changes is one that leaks in the end."""
    govern(world, toml)
    old = certificate_of(ask_for(world))
    world.now = DUE

    outcome = renew(world, old, key=1)

    if good:
        assert certificate_of(outcome).public_key() == old.public_key()
    else:
        assert_no(outcome, "a renewal needs a new key here")


def test_a_renewal_brings_a_new_key_where_it_must(world: World) -> None:
    """And an enrolment may have any."""
    govern(world, NEW_KEYS)
    old = certificate_of(ask_for(world))
    world.now = DUE

    assert certificate_of(renew(world, old, key=2)).public_key() != old.public_key()


def test_a_person_renews_no_key_that_must_be_new(world: World) -> None:
    """The rule came while the request waited."""
    old = certificate_of(ask_for(world))
    world.now = DUE
    govern(world, '[profiles.default]\napproval = "manual"\n')
    assert renew(world, old, key=1) == Pending()
    govern(world, NEW_KEYS + 'approval = "manual"\n')

    with pytest.raises(DecisionImpossible, match="a renewal needs a new key here"):
        desk(world).approve(2)


ALL_USES = frozenset({KeyUsageBit(number) for number in range(5)})
RSA_ABLE = {
    KeyUsageBit.digitalSignature,
    KeyUsageBit.nonRepudiation,
    KeyUsageBit.keyEncipherment,
    KeyUsageBit.dataEncipherment,
}
EC_ABLE = {KeyUsageBit.digitalSignature, KeyUsageBit.nonRepudiation, KeyUsageBit.keyAgreement}
USAGES = [
    # The ceiling, the key, what is asked for, and what is given; None is all of the ceiling.
    (["digitalSignature"], "rsa:2048", None, {KeyUsageBit.digitalSignature}),
    (["digitalSignature"], "rsa:2048", ALL_USES, {KeyUsageBit.digitalSignature}),
    (["digitalSignature"], "ec:p256", None, {KeyUsageBit.digitalSignature}),
    (["digitalSignature"], "ed25519", ALL_USES, {KeyUsageBit.digitalSignature}),
    (["keyEncipherment"], "rsa:2048", None, {KeyUsageBit.keyEncipherment}),
    (["keyEncipherment", "dataEncipherment"], "rsa:2048", ALL_USES, None),
    (["keyAgreement"], "ec:p384", None, {KeyUsageBit.keyAgreement}),
    (
        ["keyAgreement", "nonRepudiation"],
        "ec:p384",
        {KeyUsageBit.nonRepudiation},
        {KeyUsageBit.nonRepudiation},
    ),
    (["nonRepudiation"], "ed25519", None, {KeyUsageBit.nonRepudiation}),
    (["digitalSignature", "keyEncipherment"], "rsa:2048", {KeyUsageBit.keyAgreement}, None),
]


@pytest.mark.parametrize(("ceiling", "label", "asked", "given"), USAGES)
def test_the_profile_is_the_ceiling_of_key_usage(
    world: World,
    keys: dict[str, Key],
    caplog: pytest.LogCaptureFixture,
    ceiling: list[str],
    label: str,
    asked: frozenset[KeyUsageBit] | None,
    given: set[KeyUsageBit] | None,
) -> None:
    """What is beyond it is left out and told; where it leaves no usual bit, all that it leaves is given."""
    govern(world, f"[profiles.default]\nkey_usage = {ceiling}\n")
    wishes = () if asked is None else (Extension(oids.KEY_USAGE, True, encode_key_usage(frozenset(asked))),)

    with caplog.at_level("INFO", "ca.responder"):
        certificate = certificate_of(ask_for(world, key=keys[label], wishes=wishes))

    allowed = {KeyUsageBit[one] for one in ceiling}
    assert certificate.key_usage == frozenset(allowed if given is None else given)
    beyond = sorted(set(asked or ()) - allowed)
    told = ",".join(f"keyUsage:{one.name}" for one in beyond)
    assert (f"dropped={told} " in caplog.messages[-1]) is bool(beyond)


@pytest.mark.parametrize(
    ("ceiling", "label"),
    [
        ("keyAgreement", "rsa:2048"),
        ("keyEncipherment", "ec:p256"),
        ("keyAgreement", "ed25519"),
        ("dataEncipherment", "ed25519"),
    ],
)
def test_a_key_that_can_do_nothing_allowed_is_refused(
    world: World, keys: dict[str, Key], ceiling: str, label: str
) -> None:
    """RFC 4055 1.2, RFC 8813 3, RFC 8410 5: an empty keyUsage would be worse than none."""
    govern(world, f'[profiles.default]\nkey_usage = ["{ceiling}"]\n')

    assert_no(
        ask_for(world, key=keys[label]), "a key of this type can do nothing that this profile certifies"
    )


PURPOSES = {
    "none": (None, ("serverAuth", "1.2.3"), ""),
    "one of them": (("1.2.3",), ("1.2.3",), ""),
    "one beyond": (("1.2.3", oids.CLIENT_AUTH), ("1.2.3",), f"extendedKeyUsage:{oids.CLIENT_AUTH}"),
    "those beyond alone": (
        (oids.CLIENT_AUTH,),
        ("serverAuth", "1.2.3"),
        f"extendedKeyUsage:{oids.CLIENT_AUTH}",
    ),
}


@pytest.mark.parametrize(("asked", "given", "dropped"), PURPOSES.values(), ids=PURPOSES)
def test_the_profile_is_the_ceiling_of_purposes(
    world: World,
    caplog: pytest.LogCaptureFixture,
    asked: tuple[str, ...] | None,
    given: tuple[str, ...],
    dropped: str,
) -> None:
    """By name or by OID; what is beyond them is told."""
    govern(world, '[profiles.default]\neku = ["serverAuth", "1.2.3"]\n')
    value = writer.sequence(*map(writer.oid, asked or ()))
    wishes = () if asked is None else (Extension(oids.EXTENDED_KEY_USAGE, False, value),)

    with caplog.at_level("INFO", "ca.responder"):
        certificate = certificate_of(ask_for(world, wishes=wishes))

    purposes = tuple(oids.KEY_PURPOSES.get(one, one) for one in given)
    assert read_key_purposes(certificate.extensions[oids.EXTENDED_KEY_USAGE].value) == purposes
    assert (f"dropped={dropped} " in caplog.messages[-1]) is bool(dropped)


UNTIL = "[profiles.default]\nvalid_until = 2026-12-31\n"
LAST = datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "toml", "end"),
    [
        (NOW, UNTIL, LAST),
        (NOW, UNTIL + "validity_days = 30\n", NOW + timedelta(days=30)),
        (LAST - timedelta(days=30), UNTIL + "validity_days = 30\n", LAST),
        (LAST - timedelta(seconds=1), UNTIL, LAST),
        (NOW, "[profiles.default]\nvalid_until = 2099-12-31\nvalidity_days = 36500\n", None),
        (NOW, "[profiles.default]\nvalidity_days = 36500\n", None),
    ],
    ids=["the day", "days before it", "the same", "the last second", "beyond the CA", "days beyond the CA"],
)
def test_a_certificate_ends_with_whatever_ends_first(
    world: World, now: datetime, toml: str, end: datetime | None
) -> None:
    """Its days, the profile's last day to its last second, or the CA itself."""
    govern(world, toml)
    world.now = now

    certificate = certificate_of(ask_for(world))

    assert certificate.not_valid_after == (end or world.ca.not_valid_after)


def test_a_profile_is_over_after_its_last_day(world: World) -> None:
    """Nobody forgets to take away what was meant for one season."""
    govern(world, UNTIL)
    old = certificate_of(ask_for(world))
    world.now = LAST

    assert_no(ask_for(world, "CN=b", transaction_id="t2"), "this profile ended on 2026-12-31")
    assert_no(renew(world, old), "this profile ended on 2026-12-31")


def test_a_person_approves_nothing_after_the_last_day(world: World) -> None:
    """However long it has waited."""
    govern(world, UNTIL + 'approval = "manual"\n')
    world.now = LAST - timedelta(hours=1)
    assert ask_for(world) == Pending()
    world.now = LAST

    with pytest.raises(DecisionImpossible, match="this profile ended on 2026-12-31"):
        desk(world).approve(1)


def test_a_refusal_revokes_nothing_and_says_so(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """The room that was made for a certificate is not made where none comes."""
    govern(world, UNTIL + 'max_active = 1\nwhen_full = "revoke-oldest"\n')
    certificate_of(ask_for(world))
    # So that the first is still in force when the profile is over.
    govern(world, '[profiles.default]\nmax_active = 1\nwhen_full = "revoke-oldest"\n')
    long = certificate_of(ask_for(world, transaction_id="t2"))
    govern(world, UNTIL + 'max_active = 1\nwhen_full = "revoke-oldest"\n')
    world.now = LAST

    with caplog.at_level("INFO", "ca.responder"):
        outcome = ask_for(world, transaction_id="t3", key=rsa_key(3))

    assert isinstance(outcome, Failure)
    assert "revoked=" not in caplog.messages[-1]
    standing = [one.serial for one in world.issued() if one.revoked_at is None]
    assert standing == [f"{long.serial_number:x}"]


def test_an_authority_without_time_left_certifies_nothing(world: World) -> None:
    """Whatever the profile says, a certificate never outlives its CA."""
    world.profile = replace(world.profile, validity_days=1)
    world.now = world.ca.not_valid_after - timedelta(hours=1)

    assert certificate_of(ask_for(world)).not_valid_after == world.ca.not_valid_after


def test_a_key_that_was_compromised_is_certified_for_nobody(world: World) -> None:
    """Whoever has it would have the new certificate as well; the device makes another."""
    old = certificate_of(ask_for(world, key=rsa_key(5)))
    withdraw(world, old, Reason.keyCompromise)

    assert_no(ask_for(world, key=rsa_key(5), transaction_id="t2"), "this key was compromised")
    assert_no(ask_for(world, "CN=another", key=rsa_key(5), transaction_id="t3"), "this key was compromised")
    assert got(ask_for(world, key=rsa_key(6), transaction_id="t4")) == "CN=ipad-17"


def test_what_waited_when_its_key_was_compromised_cannot_be_approved(world: World) -> None:
    """The person who approves may not know."""
    old = certificate_of(ask_for(world, key=rsa_key(5)))
    govern(world, '[profiles.default]\napproval = "manual"\n')
    assert ask_for(world, "CN=ipad-18", key=rsa_key(5), transaction_id="t2") == Pending()
    withdraw(world, old, Reason.keyCompromise)

    with pytest.raises(DecisionImpossible, match="this key was compromised"):
        desk(world).approve(2)


def test_a_key_that_was_put_out_of_use_may_be_certified_again(world: World) -> None:
    """A device that comes back from repair keeps its key."""
    old = certificate_of(ask_for(world, key=rsa_key(5)))
    withdraw(world, old, Reason.cessationOfOperation)

    assert got(ask_for(world, key=rsa_key(5), transaction_id="t2")) == "CN=ipad-17"
