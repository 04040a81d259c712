"""A CA's key and certificate: making them, loading them, and judging what is brought along."""

from base64 import b64encode
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

from app.data_folder import DataFolder
from app.succession import load_ca
from ca.algorithms.keys import PrivateKey
from ca.asn1 import writer
from ca.issuing import authority
from ca.issuing.key_store import (
    KeyUnusable,
    encode_private_key,
    generate_key,
    generate_rsa_key,
    load_private_key,
    read_private_key,
)
from ca.issuing.root import (
    CaUnusable,
    arrange_chain,
    check_ca,
    encode_pem,
    load_pem_certificates,
    make_ca_certificate,
    read_certificates,
)
from ca.x509 import oids
from ca.x509.certificate import Certificate
from ca.x509.extensions import Extension, KeyUsageBit, encode_key_usage
from ca.x509.name import Name
from tests.world import NOW, der, name, rsa_key

ROOT_KEY, CA_KEY, OTHER_KEY = rsa_key(3), rsa_key(0), rsa_key(4)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
OLD_KEY = ec.generate_private_key(ec.SECP256K1())
ED_KEY = ed25519.Ed25519PrivateKey.generate()
SIGNING = {KeyUsageBit.keyCertSign, KeyUsageBit.cRLSign}
SCEP = {KeyUsageBit.digitalSignature, KeyUsageBit.keyEncipherment}


def ca_certificate(
    key: PrivateKey | ed25519.Ed25519PrivateKey = CA_KEY,
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
    signing = issuer_key or key
    digest = None if isinstance(signing, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return Certificate.load(der(builder.sign(signing, digest)))


ROOT = ca_certificate(ROOT_KEY, "Root", subject="Root")
INTERMEDIATE = ca_certificate(CA_KEY, "Root", ROOT_KEY, usage=SIGNING | SCEP)


@pytest.mark.proves("R-2.1.2-a", "X-08")
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


@pytest.mark.parametrize("key", [CA_KEY, EC_KEY, ec.generate_private_key(ec.SECP384R1())])
def test_behind_an_ra_a_ca_needs_no_bits_but_its_own(key: PrivateKey) -> None:
    """RFC 8894 2.1.2: nobody writes to it; and an EC key may not say that it enciphers (RFC 8813 3)."""
    made = Certificate.load(make_ca_certificate(Name.from_text("CN=Ca"), key, 10, NOW, behind_ra=True))

    assert check_ca(made, key, (), NOW, behind_ra=True) == []
    assert made.key_usage == frozenset(SIGNING)


def test_a_chain_is_put_in_order() -> None:
    """Clients go up the bundle as it stands, and tools write the CA itself into its chain."""
    policy_ca = ca_certificate(OTHER_KEY, "Root", ROOT_KEY, subject="Policy CA")
    below = ca_certificate(CA_KEY, "Policy CA", OTHER_KEY)

    assert arrange_chain(below, (ROOT, below, policy_ca, ROOT)) == (policy_ca, ROOT)
    assert arrange_chain(ROOT, ()) == arrange_chain(INTERMEDIATE, ()) == ()
    with pytest.raises(CaUnusable, match="CN=Policy CA"):
        arrange_chain(INTERMEDIATE, (ROOT, policy_ca))


@pytest.mark.proves("R-2.1.2-a")
@pytest.mark.parametrize("usage", [SIGNING, SIGNING | {KeyUsageBit.digitalSignature}])
def test_a_key_usage_that_clients_may_mind_is_told(usage: set[KeyUsageBit]) -> None:
    """RFC 8894 2.1.2: without both bits the CA cannot answer and be written to; some clients look."""
    (warning,) = check_ca(ca_certificate(usage=usage), CA_KEY, (), NOW)

    assert "digitalSignature or keyEncipherment" in warning


REFUSED: dict[str, tuple[Certificate, PrivateKey, tuple[Certificate, ...], str]] = {
    "another key": (ca_certificate(), OTHER_KEY, (), "does not belong"),
    "an Ed25519 key": (ca_certificate(ED_KEY), CA_KEY, (), "neither RSA nor EC"),
    "a curve that nobody certifies": (ca_certificate(OLD_KEY), OLD_KEY, (), "P-256, P-384 or P-521"),
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


@pytest.mark.proves("S-05")
@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_a_ca_is_refused_in_words(case: str) -> None:
    """RFC 8894 2.1.2, RFC 5280 4.2.1: better at the start than at the first device's request."""
    certificate, key, chain, words = REFUSED[case]

    with pytest.raises(CaUnusable, match=words):
        check_ca(certificate, key, chain, NOW)


PEM = encode_pem(ROOT)


def armoured(*replaced: tuple[bytes, bytes]) -> bytes:
    """The PEM of a CA certificate in which some octets stand for others."""
    octets = ROOT.der
    for old, new in replaced:
        octets = octets.replace(old, new, 1)
    return b"-----BEGIN CERTIFICATE-----\n" + b64encode(octets) + b"\n-----END CERTIFICATE-----\n"


NO_PEM = {
    "nothing": b"",
    "no certificate": b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    "a Latin-1 letter inside": PEM[:100] + b"\xe9" + PEM[101:],
    "a UTF-8 letter inside": PEM[:100] + "é".encode() + PEM[102:],
    "a NUL inside": PEM[:100] + b"\0" + PEM[101:],
    "a letter in the armour": PEM.replace(b"BEGIN CERT", "BÉGIN CERT".encode()),
    "UTF-16": PEM.decode().encode("utf-16"),
    "octets": bytes(range(256)),
    "X.509 v9": armoured((b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x08")),
    "a subject of no string": armoured(
        (b"\x0c\x04Root", b"\x04\x04Root"), (b"\x0c\x04Root", b"\x04\x04Root")
    ),
}


@pytest.mark.parametrize("pem", NO_PEM.values(), ids=NO_PEM.keys())
def test_what_is_no_pem_certificate_is_refused(pem: bytes) -> None:
    """RFC 7468 5: an administrator brings the wrong file, and is told so."""
    with pytest.raises(CaUnusable, match="not a PEM certificate"):
        load_pem_certificates(pem)


@pytest.mark.parametrize("text", ["Aussteller: Prüfstelle\n".encode(), "Prüfstelle\n".encode("latin-1")])
def test_words_around_a_pem_certificate_do_not_matter(text: bytes) -> None:
    """RFC 7468 5.2: tools write explanations before it, in whatever language."""
    assert load_pem_certificates(text + PEM + text)[0].der == ROOT.der


SPOILT: dict[str, tuple[str, bytes, type[Exception], str]] = {
    "no key": ("ca.key", b"no key", KeyUnusable, "the private key cannot be read"),
    "no certificate": ("ca.pem", b"\xff", CaUnusable, "not a PEM certificate"),
    "no chain": ("chain.pem", b"", CaUnusable, "not a PEM certificate"),
    "another's certificate": ("ca.pem", encode_pem(ca_certificate(OTHER_KEY)), CaUnusable, "does not belong"),
}


@pytest.mark.parametrize("case", SPOILT)
def test_a_file_of_the_ca_that_is_of_no_use_is_named(tmp_path: Path, case: str) -> None:
    """There are three of them, and only one has to be brought back from the backup."""
    spoilt, content, kind, words = SPOILT[case]
    folder = DataFolder(tmp_path)
    folder.ca_key.parent.mkdir()
    folder.ca_key.write_bytes(encode_private_key(CA_KEY))
    folder.ca_certificate.write_bytes(encode_pem(INTERMEDIATE))
    folder.ca_chain.write_bytes(PEM)
    (folder.ca_key.parent / spoilt).write_bytes(content)

    with pytest.raises(kind) as refusal:
        load_ca(folder.current_ca, NOW)

    assert str(refusal.value).startswith(f"{folder.ca_key.parent / spoilt}: ")
    assert words in str(refusal.value)


@pytest.mark.parametrize("key", [generate_rsa_key(2048), EC_KEY, ED_KEY], ids=["RSA", "EC", "Ed25519"])
def test_a_key_comes_back_from_its_file(key: PrivateKey) -> None:
    """RFC 5958: PKCS #8, which every other tool reads too."""
    pem = encode_private_key(key)

    assert pem.startswith(b"-----BEGIN PRIVATE KEY-----\n")
    assert encode_private_key(load_private_key(pem)) == pem


@pytest.mark.parametrize("bits", [2048, 3072])
def test_a_new_key_has_the_size_asked_for(bits: int) -> None:
    """RFC 8017 3.1: F4 as the exponent, for there are readers that take no other."""
    key = generate_key(f"rsa:{bits}")

    assert isinstance(key, rsa.RSAPrivateKey)
    assert (key.key_size, key.public_key().public_numbers().e) == (bits, 65537)


def pem_of(key: rsa.RSAPrivateKey | ed448.Ed448PrivateKey, passphrase: bytes = b"") -> bytes:
    encryption = (
        serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    )
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


@pytest.mark.parametrize(
    ("pem", "passphrase", "words"),
    [
        (pem_of(CA_KEY, b"secret"), None, "no passphrase was given"),
        (pem_of(CA_KEY, b"secret"), b"terces", "passphrase is wrong"),
        (b"no key", b"secret", "cannot be read, or the passphrase is wrong"),
        (pem_of(CA_KEY), b"secret", "is not encrypted"),
        (b"no key", None, "cannot be read$"),
        (pem_of(ed448.Ed448PrivateKey.generate()), None, "neither RSA nor EC nor Ed25519"),
    ],
)
def test_a_key_of_no_use_is_refused_in_words(pem: bytes, passphrase: bytes | None, words: str) -> None:
    """What went wrong decides what the administrator tries next; the passphrase is never repeated."""
    with pytest.raises(KeyUnusable, match=words) as refusal:
        load_private_key(pem, passphrase)

    assert "secret" not in str(refusal.value)


def test_a_file_without_end_is_read_no_further_than_a_key_or_a_chain_goes(tmp_path: Path) -> None:
    """A slip on the command line, such as /dev/zero, ends in words and not in all of the memory."""
    endless = tmp_path / "endless"
    endless.write_bytes(bytes((1 << 20) + 1))

    with pytest.raises(KeyUnusable, match="endless: longer than any private key"):
        read_private_key(endless)
    with pytest.raises(CaUnusable, match="endless: longer than any chain of certificates"):
        read_certificates(endless)


@pytest.mark.proves("X-01")
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
