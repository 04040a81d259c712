"""Whom our client believes: the CA whose fingerprint it was told, and those whom that CA made its RA."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from app.client import ClientError, ScepClient, Transport
from ca.asn1 import read
from ca.deviations import Deviations
from ca.issuing.root import make_ca_certificate
from ca.pkcs7 import EnvelopedData, degenerate
from ca.x509.certificate import Certificate
from ca.x509.name import Name
from tests.forged import CA, ForgedServer, Forgery, applicant, issue, serving
from tests.world import NOW, der, name, rsa_key, self_signed

BUNDLE = "application/x-x509-ca-ra-cert"
RA_KEY = rsa_key(2)
SIGNS_AND_OPENS = ("digital_signature", "key_encipherment")


@pytest.fixture
def server() -> Iterator[ForgedServer]:
    """A sound server, which a test bends."""
    with serving(ForgedServer()) as forged:
        yield forged


def usage(*bits: str) -> x509.KeyUsage:
    """A keyUsage extension of these *bits*."""
    every = (
        *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment"),
        *("key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
    )
    return x509.KeyUsage(**{bit: bit in bits for bit in every})


def purposes(*dotted: str) -> x509.ExtendedKeyUsage:
    """An extKeyUsage extension of these OIDs."""
    return x509.ExtendedKeyUsage(map(x509.ObjectIdentifier, dotted))


def registration(
    *extensions: x509.ExtensionType, key: rsa.RSAPrivateKey = RA_KEY, common_name: str = "RA"
) -> Certificate:
    """A certificate that the forged CA issued."""
    return Certificate.load(issue(common_name, key, *extensions))


def bundle(*certificates: Certificate) -> tuple[bytes, str]:
    """An answer to GetCACert."""
    return degenerate([one.der for one in certificates]), BUNDLE


CMC_RA = "1.3.6.1.5.5.7.3.28"
REQUEST_AGENT = "1.3.6.1.4.1.311.20.2.1"
SERVER_AUTH = "1.3.6.1.5.5.7.3.1"
CLIENT_AUTH = "1.3.6.1.5.5.7.3.2"
ANY = "2.5.29.37.0"
REGISTRATIONS: dict[str, tuple[x509.ExtensionType, ...]] = {
    "id-kp-cmcRA": (usage(*SIGNS_AND_OPENS), purposes(CMC_RA)),
    "Certificate Request Agent": (usage(*SIGNS_AND_OPENS), purposes(REQUEST_AGENT)),
    "for other things as well": (usage(*SIGNS_AND_OPENS), purposes(CLIENT_AUTH, REQUEST_AGENT)),
    "OpenXPKI, without extKeyUsage": (usage(*SIGNS_AND_OPENS),),
    "without any extension": (),
}
DEVICES: dict[str, tuple[x509.ExtensionType, ...]] = {
    "clientAuth": (usage(*SIGNS_AND_OPENS), purposes(CLIENT_AUTH)),
    "serverAuth": (usage(*SIGNS_AND_OPENS), purposes(SERVER_AUTH)),
    "both": (purposes(SERVER_AUTH, CLIENT_AUTH),),
    "anyExtendedKeyUsage": (purposes(ANY),),
    "an extKeyUsage of nothing": (
        x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.37"), b"\x30\x00"),
    ),
}
PINS = pytest.mark.parametrize("pin", [CA.fingerprint(), None], ids=["pinned", "not pinned"])


@pytest.mark.proves("L-13")
@PINS
@pytest.mark.parametrize("extensions", REGISTRATIONS.values(), ids=REGISTRATIONS)
def test_an_ra_is_written_to_and_believed(
    server: ForgedServer, extensions: tuple[x509.ExtensionType, ...], pin: str | None
) -> None:
    """RFC 8894 4.2.1.2: where there is an RA, it and not the CA reads requests and signs replies."""
    ra = registration(*extensions)
    server.ca = bundle(ra, CA)
    server.opens = (ra, RA_KEY)
    server.answers = [Forgery(signer=ra, key=RA_KEY)]

    assert applicant(server, fingerprint=pin).enrol().der == issue()


@PINS
@pytest.mark.parametrize("extensions", DEVICES.values(), ids=DEVICES)
def test_a_device_cannot_pass_for_the_server(
    server: ForgedServer, extensions: tuple[x509.ExtensionType, ...], pin: str | None
) -> None:
    """The fingerprint vouches for the CA, and the CA has signed every device's certificate."""
    device = registration(*extensions)
    server.ca = bundle(device, CA)
    server.answers = [Forgery(signer=device, key=RA_KEY)]

    with pytest.raises(ClientError, match="neither the CA nor an RA"):
        applicant(server, fingerprint=pin).enrol()

    # It was written to the CA, and the device could not have read the challenge.
    assert len(server.requests) == 1


@pytest.mark.proves("L-13")
def test_ndes_has_one_ra_to_sign_and_one_to_encrypt_to(server: ForgedServer) -> None:
    """Its "Enrollment Agent" and its "CEP Encryption", both Certificate Request Agents."""
    signing = registration(usage("digital_signature"), purposes(REQUEST_AGENT), key=rsa_key(3))
    opening = registration(usage("key_encipherment"), purposes(REQUEST_AGENT))
    server.ca = bundle(signing, opening, CA)
    server.opens = (opening, RA_KEY)
    server.answers = [Forgery(signer=signing, key=rsa_key(3))]

    assert applicant(server, fingerprint=CA.fingerprint()).enrol().der == issue()


def test_an_ra_that_only_opens_does_not_sign(server: ForgedServer) -> None:
    """RFC 5280 4.2.1.3: keyUsage is what the CA allows the key for."""
    ra = registration(usage("key_encipherment"), purposes(REQUEST_AGENT))
    server.ca = bundle(ra, CA)
    server.opens = (ra, RA_KEY)
    server.answers = [Forgery(signer=ra, key=RA_KEY)]

    with pytest.raises(ClientError, match="neither the CA nor an RA"):
        applicant(server).enrol()


def test_an_ra_that_only_signs_is_not_written_to(server: ForgedServer) -> None:
    """The CA opens what there is no RA for."""
    server.ca = bundle(registration(usage("digital_signature")), CA)

    applicant(server).enrol()


def test_who_says_to_be_an_ra_goes_before_who_does_not_deny_it(server: ForgedServer) -> None:
    """An OCSP responder or an old device may be in the bundle too."""
    marked = registration(purposes(CMC_RA), common_name="RA")
    server.ca = bundle(registration(common_name="not marked"), marked, CA)

    assert applicant(server).client.roles.recipient.der == marked.der


def test_whoever_is_pinned_is_believed(server: ForgedServer) -> None:
    """An RA made with the defaults of a tool has serverAuth; a person may know better."""
    ra = registration(purposes(SERVER_AUTH, CLIENT_AUTH))
    server.ca = bundle(ra, CA)
    server.opens = (ra, RA_KEY)
    server.answers = [Forgery(signer=ra, key=RA_KEY)]

    assert applicant(server, fingerprint=ra.fingerprint()).enrol().der == issue()


@pytest.mark.proves("R-2.2-c", "R-2.1.1-a")
@pytest.mark.parametrize(
    "fingerprint",
    [
        CA.fingerprint(),
        CA.fingerprint_sha1(),
        ":".join(CA.fingerprint()[i : i + 2] for i in range(0, 64, 2)).upper(),
    ],
    ids=["SHA-256", "SHA-1", "with colons"],
)
def test_the_right_fingerprint_is_trusted(server: ForgedServer, fingerprint: str) -> None:
    """RFC 8894 2.2: as people copy it from whatever tool they have."""
    applicant(server, fingerprint=fingerprint).enrol()


@pytest.mark.proves("R-2.2-f", "R-2.2-a")
def test_another_fingerprint_is_not_trusted(server: ForgedServer) -> None:
    """RFC 8894 2.2: nothing is sent to such a server, the challenge least of all."""
    with pytest.raises(ClientError, match="do not trust this server"):
        applicant(server, fingerprint="00" * 32).enrol()

    assert server.received == []


@pytest.mark.proves("R-2.2-d")
def test_a_stranger_beside_the_right_ca_is_not_trusted(server: ForgedServer) -> None:
    """RFC 8894 2.2, 4.2.1.2: the fingerprint vouches for the CA and for what the CA has signed.

    The true CA certificate is public: whoever stands between can put his own beside it, and would
    be sent the challenge.
    """
    server.ca = bundle(self_signed("RA", rsa_key(3)), CA)

    with pytest.raises(ClientError, match="do not trust this server"):
        applicant(server, fingerprint=CA.fingerprint()).enrol()

    assert server.received == []


@pytest.mark.parametrize(
    "pin",
    ["", ":", "00:11", "zz" * 32, CA.fingerprint()[:-1], CA.fingerprint() + "00"],
    ids=["empty", "colon", "short", "no digits", "a digit short", "an octet long"],
)
def test_a_fingerprint_that_is_none_is_no_pin(pin: str) -> None:
    """An empty variable in a script must not switch the check off."""
    with pytest.raises(ValueError, match="no fingerprint"):
        ScepClient(Transport("http://127.0.0.1:9/scep"), fingerprint=pin)


ROOT_KEY = rsa_key(4)
ROOT = Certificate.load(make_ca_certificate(Name.from_text("CN=Root"), ROOT_KEY, 10, NOW))
MIDDLE_KEY = rsa_key(5)
MIDDLE = Certificate.load(
    issue(
        "Middle CA",
        MIDDLE_KEY,
        x509.BasicConstraints(ca=True, path_length=None),
        issuer="Root",
        issuer_key=ROOT_KEY,
    )
)


@pytest.mark.parametrize("order", [(ROOT, MIDDLE), (MIDDLE, ROOT)], ids=["root first", "root last"])
@pytest.mark.parametrize("pin", [ROOT.fingerprint(), MIDDLE.fingerprint(), None], ids=["root", "CA", "none"])
def test_the_issuing_ca_is_written_to(
    server: ForgedServer, order: tuple[Certificate, ...], pin: str | None
) -> None:
    """RFC 8894 4.2.1.1: the order in the bundle means nothing."""
    server.ca = bundle(*order)
    server.opens = (MIDDLE, MIDDLE_KEY)
    leaf = issue(issuer="Middle CA", issuer_key=MIDDLE_KEY)
    server.answers = [Forgery(signer=MIDDLE, key=MIDDLE_KEY, certificates=(leaf,))]

    client = applicant(server, fingerprint=pin)

    assert client.enrol().der == leaf
    assert [one.der for one in client.client.roles.authorities] == [MIDDLE.der, ROOT.der]


@pytest.mark.proves("R-2.2-d")
@pytest.mark.parametrize("fault", ["ended", "of another root"])
def test_an_intermediate_that_is_not_sound_is_not_written_to(server: ForgedServer, fault: str) -> None:
    """RFC 8894 2.2: the root's fingerprint was compared once; what is below it changes, and is verified."""
    ended = datetime.now(UTC) - timedelta(days=1)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name("Middle CA"))
        .issuer_name(name("Root"))
        .public_key(MIDDLE_KEY.public_key())
        .serial_number(9)
        .not_valid_before(ended - timedelta(days=9))
        .not_valid_after(ended if fault == "ended" else ended + timedelta(days=99))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    )
    signed = builder.sign(ROOT_KEY if fault == "ended" else rsa_key(6), hashes.SHA256())
    server.ca = bundle(Certificate.load(der(signed)), ROOT)

    with pytest.raises(ClientError, match="do not trust this server"):
        applicant(server, fingerprint=ROOT.fingerprint()).enrol()

    assert server.received == []


@pytest.mark.proves("R-3.3.3-a")
def test_a_poll_names_the_issuing_ca(server: ForgedServer) -> None:
    """RFC 8894 3.3.3: its subject, which is not the name of its own issuer where it has one."""
    server.ca = bundle(MIDDLE, ROOT)
    server.opens = (MIDDLE, MIDDLE_KEY)
    leaf = issue(issuer="Middle CA", issuer_key=MIDDLE_KEY)
    server.answers = [
        Forgery(signer=MIDDLE, key=MIDDLE_KEY, pki_status="3", content=b""),
        Forgery(signer=MIDDLE, key=MIDDLE_KEY, certificates=(leaf,)),
    ]

    applicant(server).enrol(polls=1)

    envelope = EnvelopedData.load(server.received[1].content)
    names = read(envelope.decrypt(MIDDLE_KEY, MIDDLE), "IssuerAndSubject", Deviations()).sequence(2)
    assert names[0].raw == MIDDLE.subject_der


def test_what_is_above_the_pinned_ca_vouches_for_nobody(server: ForgedServer) -> None:
    """A company's root has signed more than the CA whose fingerprint was given."""
    beside = Certificate.load(issue("RA", RA_KEY, purposes(CMC_RA), issuer="Root", issuer_key=ROOT_KEY))
    server.ca = bundle(MIDDLE, ROOT, beside)

    with pytest.raises(ClientError, match="do not trust this server"):
        applicant(server, fingerprint=MIDDLE.fingerprint()).enrol()

    assert server.received == []


def test_a_bundle_without_a_ca_is_not_believed(server: ForgedServer) -> None:
    """There would be nothing to hold the certificate against that comes."""
    server.ca = bundle(registration(), registration(key=rsa_key(3)))

    with pytest.raises(ClientError, match="no CA certificate"):
        applicant(server).enrol()


def test_an_ra_that_is_for_something_else_is_named_as_the_trouble(server: ForgedServer) -> None:
    """An EC CA cannot be encrypted to, and the way out is a person's to take."""
    server.ca = bundle(*_ec_authority_and_its_server())

    with pytest.raises(ClientError, match="pin its own fingerprint"):
        applicant(server).enrol()


def _ec_authority_and_its_server() -> tuple[Certificate, Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    made = []
    for subject, public_key, extension in (
        ("EC CA", key.public_key(), x509.BasicConstraints(ca=True, path_length=None)),
        ("RA", RA_KEY.public_key(), purposes(SERVER_AUTH)),
    ):
        builder = (
            x509.CertificateBuilder()
            .subject_name(name(subject))
            .issuer_name(name("EC CA"))
            .public_key(public_key)
            .serial_number(1)
            .not_valid_before(NOW)
            .not_valid_after(NOW + timedelta(days=3650))
            .add_extension(extension, critical=True)
        )
        made.append(Certificate.load(der(builder.sign(key, hashes.SHA256()))))
    return made[0], made[1]
