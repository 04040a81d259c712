"""Linting before signing: what pkilint objects to is told, or blocked, before a certificate exists."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from app.linter import UNREADABLE, PkiLinter
from ca.algorithms.levels import CryptoLevel
from ca.asn1 import writer
from ca.deviations import Deviations
from ca.errors import DecisionImpossible, FailInfo
from ca.issuing.authority import Authority
from ca.issuing.content import certificate_content
from ca.issuing.draft import draft_certificate
from ca.issuing.root import make_ca_certificate
from ca.profiles import NO_GRANTS, Lint, Profile
from ca.scep.messages import Failure, Pending
from ca.x509.certificate import Certificate
from ca.x509.name import Name
from ca.x509.request import UnprovenRequest
from tests.forging_csr import challenge, csr, rdn
from tests.waiting import desk
from tests.world import NOW, SECRET, Device, World, captured_log, certificate_of, der, name, rsa_key

BLOCKED = Failure(
    FailInfo.BAD_REQUEST, "the certificate would break a rule of X.509, and this profile blocks that"
)
# RFC 5280 appendix A.1: a country has two letters.
LONG_COUNTRY = csr(
    challenge(SECRET),
    subject_der=writer.sequence(rdn("2.5.4.6", "Germany"), rdn("2.5.4.3", "ipad-17")),
)
LINTER = PkiLinter()


@pytest.fixture
def world() -> Iterator[World]:
    """A CA with one challenge password of one use, and a linter."""
    world = World(uses=1)
    world.responder = replace(world.responder, linter=LINTER)
    yield world
    world.store.close()


def _under(world: World, lint: Lint, *, by_hand: bool = False) -> None:
    world.profile = replace(world.profile, lint=lint, manual_approval=by_hand)


def test_a_sound_certificate_passes(world: World, device: Device) -> None:
    """What this CA writes is what pkilint wants to read."""
    _under(world, Lint.BLOCK)

    certificate_of(world.enrol(device))

    assert world.uses_left() == [0]


def test_what_would_break_a_rule_is_not_issued(world: World, device: Device) -> None:
    """And costs no challenge password, for nothing was given for it."""
    _under(world, Lint.BLOCK)

    with captured_log("ca.responder") as lines:
        outcome = world.enrol(device, LONG_COUNTRY)

    assert outcome == BLOCKED
    assert world.issued() == []
    assert world.uses_left() == [1]
    assert "detail=itu.invalid_asn1_syntax" in lines[-1]


def test_a_warning_is_in_the_log_alone(world: World, device: Device) -> None:
    """Who begins to lint wants to see what would be blocked before it is."""
    _under(world, Lint.WARN)

    with captured_log("ca.responder") as lines:
        certificate_of(world.enrol(device, LONG_COUNTRY))

    assert "lint=" in lines[-1]


def test_without_lint_nothing_is_looked_at(world: World, device: Device) -> None:
    """It costs a hundredth of a second each time."""
    with captured_log("ca.responder") as lines:
        certificate_of(world.enrol(device, LONG_COUNTRY))

    assert "lint=" not in lines[-1]


def test_where_nothing_lints_nothing_is_issued_unseen(world: World, device: Device) -> None:
    """A profile that blocks what was not looked at, and a server put together without a linter."""
    world.responder = replace(world.responder, linter=None)
    _under(world, Lint.BLOCK)

    assert world.enrol(device) == BLOCKED
    assert world.issued() == []


def test_a_person_cannot_approve_what_is_blocked(world: World, device: Device) -> None:
    """The rules may have come after the request."""
    _under(world, Lint.OFF, by_hand=True)
    assert world.enrol(device, LONG_COUNTRY) == Pending()
    _under(world, Lint.BLOCK, by_hand=True)

    with pytest.raises(DecisionImpossible, match="would break a rule"):
        replace(desk(world), linter=LINTER).approve(1)

    assert world.issued() == []


@dataclass
class WatchingLinter:
    """Objects to everything, and notes whether others could write meanwhile."""

    world: World
    others_wrote: list[bool] = field(default_factory=list)

    def objections(self, _: bytes) -> list[str]:
        writes = threading.Thread(target=self.world.audited, daemon=True)
        writes.start()
        writes.join(5)
        self.others_wrote.append(not writes.is_alive())
        return ["odd"]


def test_an_approval_is_linted_while_others_are_served(world: World, device: Device) -> None:
    """A process that has just begun needs seconds for it, and nobody issues while it holds the store."""
    linter = WatchingLinter(world)
    _under(world, Lint.OFF, by_hand=True)
    world.enrol(device)
    _under(world, Lint.WARN, by_hand=True)

    replace(desk(world), linter=linter).approve(1)

    assert linter.others_wrote == [True]


def test_what_is_odd_about_an_approved_certificate_is_told(world: World, device: Device) -> None:
    """To the person, and in the audit log: who only warns wants to read the warning."""
    _under(world, Lint.WARN, by_hand=True)
    world.enrol(device, LONG_COUNTRY)

    approval = replace(desk(world), linter=LINTER).approve(1)

    assert "itu.invalid_asn1_syntax" in approval.lint
    assert "lint=itu.invalid_asn1_syntax" in world.audited()[-1].detail


def test_the_key_for_a_draft_is_made_quickly() -> None:
    """One of 8192 bits takes half a minute, and its signature is looked at by nobody."""
    ca = Certificate.load(make_ca_certificate(Name.from_text("CN=Large CA"), rsa_key(9, 3072), 10, NOW))
    payload = UnprovenRequest(Device().csr(), Deviations()).read(CryptoLevel.COMPATIBLE, Deviations())
    content = certificate_content(payload, Profile(), NO_GRANTS)

    draft = draft_certificate(Authority(ca, rsa_key(9, 3072)), payload, content, Profile(), NOW)

    assert len(x509.load_der_x509_certificate(draft).signature) == 2048 // 8


@pytest.mark.parametrize(
    "key",
    [ec.generate_private_key(ec.SECP256R1()), ed25519.Ed25519PrivateKey.generate()],
    ids=["P-256", "Ed25519"],
)
def test_a_ca_of_any_key_is_linted_for(
    world: World, device: Device, key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
) -> None:
    """The draft is signed with a key of the same kind, that nobody keeps."""
    ca = _ca(key)
    world.responder = replace(world.responder, authority=Authority(ca, key))
    _under(world, Lint.BLOCK)

    certificate_of(world.enrol(device))


def _ca(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> Certificate:
    builder = (
        x509.CertificateBuilder()
        .subject_name(name("Other CA"))
        .issuer_name(name("Other CA"))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=3650))
    )
    digest = hashes.SHA256() if isinstance(key, ec.EllipticCurvePrivateKey) else None
    return Certificate.load(der(builder.sign(key, digest)))


def test_what_pkilint_cannot_read_is_an_objection() -> None:
    """And not a fault of the server."""
    assert LINTER.objections(b"\x30\x03\x02\x01\x01") == [UNREADABLE]
