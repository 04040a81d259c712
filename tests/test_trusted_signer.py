"""Requests signed with a certificate of another CA that is trusted: factories and device managements."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa

from app.config.patterns import compile_pattern
from ca.errors import FailInfo, ValidatorUnavailable
from ca.issuing.root import make_ca_certificate
from ca.policy.trusted_signer import TrustedSigner
from ca.ports import Verdict
from ca.profiles import Profile
from ca.scep.messages import Failure
from ca.x509.certificate import Certificate
from ca.x509.name import Name
from tests.forging import Forgery
from tests.world import NOW, Device, World, captured_log, certificate_of, der, name, rsa_key, self_signed

REFUSED = Failure(
    FailInfo.BAD_REQUEST, "the request is not signed with a certificate that is trusted to enrol devices"
)
FACTORY_KEY = rsa_key(5)
FACTORY = Certificate.load(make_ca_certificate(Name.from_text("CN=Factory"), FACTORY_KEY, 10, NOW))


def _certificate(
    common_name: str,
    key: rsa.RSAPrivateKey,
    issuer: Certificate = FACTORY,
    issuer_key: rsa.RSAPrivateKey = FACTORY_KEY,
    *,
    is_ca: bool = False,
    ends: datetime = NOW + timedelta(days=365),
) -> Certificate:
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(common_name))
        .issuer_name(x509.load_der_x509_certificate(issuer.der).subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=30))
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
    )
    return Certificate.load(der(builder.sign(issuer_key, hashes.SHA256())))


@pytest.fixture
def world() -> Iterator[World]:
    """A CA that enrols what the factory's certificates sign, and asks for no challenge password."""
    world = World()
    world.profile = Profile(challenge_required=False, validator="factory")
    _trust(world, TrustedSigner("factory", (FACTORY,)))
    yield world
    world.store.close()


def _trust(world: World, validator: TrustedSigner) -> None:
    world.responder = replace(world.responder, validators={"factory": validator})


def _device(signer: Certificate, key: rsa.RSAPrivateKey) -> Device:
    return Device(signer_key=key, signer=signer)


def test_a_device_enrols_with_its_factory_certificate(world: World) -> None:
    """It has a new key, and signs with the one that it was made with."""
    signer = _certificate("serial-4711", rsa_key(2))

    certificate = certificate_of(world.enrol(_device(signer, rsa_key(2)), None))

    assert str(certificate.subject) == "CN=ipad-17"
    assert certificate.spki != signer.spki


def test_the_log_says_who_vouched(world: World) -> None:
    """Whoever looks for a lost bootstrap certificate's devices finds them."""
    signer = _certificate("serial-4711", rsa_key(2))

    with captured_log("ca.responder") as lines:
        world.enrol(_device(signer, rsa_key(2)))

    assert "validator=factory" in lines[-1]
    assert "signed by CN=serial-4711, whom CN=Factory vouches for" in lines[-1]


STRANGERS: dict[str, Callable[[], Certificate]] = {
    "self-signed": lambda: self_signed("serial-4711", rsa_key(2)),
    "of the same name, by another key": lambda: _certificate("serial-4711", rsa_key(2), FACTORY, rsa_key(6)),
    "out of date": lambda: _certificate("serial-4711", rsa_key(2), ends=NOW - timedelta(days=1)),
    "a CA of the factory": lambda: _certificate("serial-4711", rsa_key(2), is_ca=True),
}


@pytest.mark.parametrize("stranger", STRANGERS.values(), ids=STRANGERS.keys())
def test_whom_the_factory_does_not_vouch_for_is_refused(
    world: World, stranger: Callable[[], Certificate]
) -> None:
    """In one way, whatever it is that is wrong; the log knows."""
    with captured_log("ca.responder") as lines:
        outcome = world.enrol(_device(stranger(), rsa_key(2)))

    assert outcome == REFUSED
    assert world.issued() == []
    assert "detail=" in lines[-1]


def test_a_subject_may_be_asked_of_the_signer(world: World) -> None:
    """Of a CA that certifies more than devices, the enrolment agents alone are meant."""
    _trust(world, TrustedSigner("factory", (FACTORY,), compile_pattern("CN=agent-[0-9]+")))

    assert world.enrol(_device(_certificate("serial-4711", rsa_key(2)), rsa_key(2))) == REFUSED
    certificate_of(world.enrol(_device(_certificate("agent-7", rsa_key(2)), rsa_key(2)), None, "t2"))


def test_a_strangers_subject_is_not_looked_at(world: World) -> None:
    """Until the chain holds it is text of anybody's, and its length is his choice."""
    asked: list[str] = []

    class Pattern:
        pattern = "CN=agent-[0-9]+"

        def fullmatch(self, string: str, /) -> bool:
            asked.append(string)
            return False

    _trust(world, TrustedSigner("factory", (FACTORY,), Pattern()))

    assert world.enrol(_device(self_signed("agent-7", rsa_key(2)), rsa_key(2))) == REFUSED
    assert asked == []
    assert world.enrol(_device(_certificate("agent-7", rsa_key(2)), rsa_key(2)), None, "t2") == REFUSED
    assert asked == ["CN=agent-7"]


def test_certificates_in_between_come_with_the_message(world: World) -> None:
    """A factory has a CA for each line; the settings name the root alone."""
    line = _certificate("Line 3", rsa_key(6), is_ca=True)
    signer = _certificate("serial-4711", rsa_key(2), line, rsa_key(6))
    device = _device(signer, rsa_key(2))

    with_line = Forgery(device, world.ca, transaction_id="t2")
    with_line.certificates.append(line.der)

    assert world.enrol(device) == REFUSED
    certificate_of(device.read(world.respond(with_line.message()), world.ca, "t2"))


def test_who_asks_nobody_waits_behind_nobody(world: World) -> None:
    """However many requests wait for validators elsewhere: a signature is checked here."""

    def full(*_: object) -> Verdict:
        raise ValidatorUnavailable

    world.responder = replace(world.responder, consult=full)

    certificate_of(world.enrol(_device(_certificate("serial-4711", rsa_key(2)), rsa_key(2))))


def test_several_cas_may_be_trusted(world: World) -> None:
    """One after the other is tried."""
    other = Certificate.load(make_ca_certificate(Name.from_text("CN=Old Factory"), rsa_key(6), 10, NOW))
    _trust(world, TrustedSigner("factory", (other, FACTORY)))

    certificate_of(world.enrol(_device(_certificate("serial-4711", rsa_key(2)), rsa_key(2))))


def test_a_signer_that_cannot_be_read_is_refused(world: World, device: Device) -> None:
    """Its validity may be nonsense, which nothing before the validator had to read."""
    signer = Certificate.load(_broken_basic_constraints())

    assert world.enrol(_device(signer, rsa_key(2))) == REFUSED


def _broken_basic_constraints() -> bytes:
    """A certificate of the factory whose basicConstraints are no SEQUENCE."""
    unsound = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.19"), b"\x04\x00")
    builder = (
        x509.CertificateBuilder()
        .subject_name(name("serial-4711"))
        .issuer_name(name("Factory"))
        .public_key(rsa_key(2).public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=30))
        .not_valid_after(NOW + timedelta(days=30))
        .add_extension(unsound, critical=False)
    )
    return der(builder.sign(FACTORY_KEY, hashes.SHA256()))
