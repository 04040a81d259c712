"""A CA's key and certificate: making them, loading them, and judging what is brought along."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from ca.algorithms.keys import PrivateKey
from ca.asn1 import writer
from ca.issuing import authority
from ca.issuing.key_store import KeyUnusable, encode_private_key, generate_rsa_key, load_private_key
from ca.issuing.root import CaUnusable, check_ca, encode_pem, load_pem_certificates, make_ca_certificate
from ca.x509 import oids
from ca.x509.certificate import Certificate
from ca.x509.extensions import Extension, KeyUsageBit, encode_key_usage
from ca.x509.name import Name
from tests.world import NOW, der, name, rsa_key

ROOT_KEY, CA_KEY, OTHER_KEY = rsa_key(3), rsa_key(0), rsa_key(4)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
SIGNING = {KeyUsageBit.keyCertSign, KeyUsageBit.cRLSign}
SCEP = {KeyUsageBit.digitalSignature, KeyUsageBit.keyEncipherment}


def ca_certificate(
    key: PrivateKey = CA_KEY,
    issuer: str = "Ca",
    issuer_key: PrivateKey | None = None,
    *,
    subject: str = "Ca",
    is_ca: bool | None = True,
    usage: set[KeyUsageBit] | bytes | None = None,
    days: int = 30,
) -> Certificate:
    """A CA's certificate, whose basicConstraints and keyUsage a test may alter or leave out (None)."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=60))
        .not_valid_after(NOW + timedelta(days=days))
    )
    if is_ca is not None:
        builder = builder.add_extension(x509.BasicConstraints(is_ca, None), critical=True)
    if usage is not None:
        value = usage if isinstance(usage, bytes) else encode_key_usage(frozenset(usage))
        unread = x509.UnrecognizedExtension(x509.ObjectIdentifier(oids.KEY_USAGE), value)
        builder = builder.add_extension(unread, critical=True)
    return Certificate.load(der(builder.sign(issuer_key or key, hashes.SHA256())))


ROOT = ca_certificate(ROOT_KEY, "Root", subject="Root")
INTERMEDIATE = ca_certificate(CA_KEY, "Root", ROOT_KEY, usage=SIGNING | SCEP)


def test_what_is_made_here_can_be_a_ca() -> None:
    """RFC 8894 2.1.2, RFC 5280 4.2.1.9: our own certificate passes our own judgement, without a word."""
    made = Certificate.load(make_ca_certificate(Name.from_text("CN=Ca"), CA_KEY, 10, NOW))

    assert check_ca(made, CA_KEY, (), NOW) == []
    assert made.key_usage == frozenset(SIGNING | SCEP)
    assert load_pem_certificates(encode_pem(made))[0].der == made.der


@pytest.mark.parametrize("chain", [(), (ROOT,)], ids=["alone", "with its chain"])
def test_an_intermediate_can_be_a_ca(chain: tuple[Certificate, ...]) -> None:
    """RFC 8894 4.2.1.2: the chain above may be served too, and is checked where it is given."""
    assert check_ca(INTERMEDIATE, CA_KEY, chain, NOW) == []


def test_a_longer_chain_is_followed_to_its_end() -> None:
    """RFC 5280 6: each certificate is signed by the next."""
    policy_ca = ca_certificate(OTHER_KEY, "Root", ROOT_KEY, subject="Policy CA")
    below = ca_certificate(CA_KEY, "Policy CA", OTHER_KEY)

    assert check_ca(below, CA_KEY, (policy_ca, ROOT), NOW) == []


def test_a_certificate_without_key_usage_can_be_a_ca() -> None:
    """RFC 5280 4.2.1.3: without the extension a key may be used for anything."""
    assert check_ca(ca_certificate(), CA_KEY, (), NOW) == []


@pytest.mark.parametrize("usage", [SIGNING, SIGNING | {KeyUsageBit.digitalSignature}])
def test_a_key_usage_that_clients_may_mind_is_told(usage: set[KeyUsageBit]) -> None:
    """RFC 8894 2.1.2: without both bits the CA cannot answer and be written to; some clients look."""
    (warning,) = check_ca(ca_certificate(usage=usage), CA_KEY, (), NOW)

    assert "digitalSignature or keyEncipherment" in warning


REFUSED: dict[str, tuple[Certificate, PrivateKey, tuple[Certificate, ...], str]] = {
    "another key": (ca_certificate(), OTHER_KEY, (), "does not belong"),
    "an EC key": (ca_certificate(EC_KEY), EC_KEY, (), "not RSA"),
    "a short key": (ca_certificate(rsa_key(9, 1024)), rsa_key(9, 1024), (), "at least 2048 bits"),
    "no basicConstraints": (ca_certificate(is_ca=None), CA_KEY, (), "not a CA's"),
    "cA FALSE": (ca_certificate(is_ca=False), CA_KEY, (), "not a CA's"),
    "no keyCertSign": (ca_certificate(usage=SCEP), CA_KEY, (), "lacks keyCertSign"),
    "an unreadable keyUsage": (ca_certificate(usage=b"\x03\x00"), CA_KEY, (), "empty keyUsage"),
    "expired": (ca_certificate(days=-1), CA_KEY, (), "not valid now"),
    "another's chain": (
        INTERMEDIATE,
        CA_KEY,
        (ca_certificate(OTHER_KEY, "Root", subject="Root"),),
        "chain does not lead",
    ),
    "a gap in the chain": (ca_certificate(CA_KEY, "Policy CA", OTHER_KEY), CA_KEY, (ROOT,), "chain does not"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_a_ca_is_refused_in_words(case: str) -> None:
    """RFC 8894 2.1.2, RFC 5280 4.2.1: better at the start than at the first device's request."""
    certificate, key, chain, words = REFUSED[case]

    with pytest.raises(CaUnusable, match=words):
        check_ca(certificate, key, chain, NOW)


@pytest.mark.parametrize("pem", [b"", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_what_is_no_pem_certificate_is_refused(pem: bytes) -> None:
    """RFC 7468 5: an administrator brings the wrong file, and is told so."""
    with pytest.raises(CaUnusable, match="not a PEM certificate"):
        load_pem_certificates(pem)


@pytest.mark.parametrize("key", [generate_rsa_key(2048), EC_KEY], ids=["RSA", "EC"])
def test_a_key_comes_back_from_its_file(key: PrivateKey) -> None:
    """RFC 5958: PKCS #8, which every other tool reads too."""
    pem = encode_private_key(key)

    assert pem.startswith(b"-----BEGIN PRIVATE KEY-----\n")
    assert encode_private_key(load_private_key(pem)) == pem


@pytest.mark.parametrize("bits", [2048, 3072])
def test_a_new_key_has_the_size_asked_for(bits: int) -> None:
    """RFC 8017 3.1: F4 as the exponent, for there are readers that take no other."""
    key = generate_rsa_key(bits)

    assert (key.key_size, key.public_key().public_numbers().e) == (bits, 65537)


def pem_of(key: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey, passphrase: bytes = b"") -> bytes:
    encryption = (
        serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    )
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


@pytest.mark.parametrize(
    ("pem", "passphrase", "words"),
    [
        (pem_of(CA_KEY, b"secret"), None, "no passphrase was given"),
        (pem_of(CA_KEY, b"secret"), b"terces", "passphrase is wrong"),
        (pem_of(CA_KEY), b"secret", "is not encrypted"),
        (b"no key", None, "cannot be read"),
        (pem_of(ed25519.Ed25519PrivateKey.generate()), None, "neither RSA nor EC"),
    ],
)
def test_a_key_of_no_use_is_refused_in_words(pem: bytes, passphrase: bytes | None, words: str) -> None:
    """What went wrong decides what the administrator tries next; the passphrase is never repeated."""
    with pytest.raises(KeyUnusable, match=words) as refusal:
        load_private_key(pem, passphrase)

    assert "secret" not in str(refusal.value)


def test_a_serial_number_is_never_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """RFC 5280 4.1.2.2: positive; what chance makes zero or nearly so is thrown again."""
    thrown: Iterator[bytes] = iter([bytes(16), bytes(8) + b"\xff" * 8, bytes(7) + b"\x01" + bytes(8)])

    def throw(octets: int) -> bytes:
        assert octets == authority.SERIAL_OCTETS
        return next(thrown)

    monkeypatch.setattr("ca.issuing.authority.os.urandom", throw)

    assert authority.new_serial_number() == 1 << 64


def test_an_extension_leaves_its_default_out() -> None:
    """X.690 11.5: critical FALSE is not written."""
    assert Extension("1.2.3", False, b"").encode() == writer.sequence(
        writer.oid("1.2.3"), writer.octet_string(b"")
    )
