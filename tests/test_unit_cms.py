"""CMS written and read without SCEP around it: the forms that few senders use, and broken ones."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher as PrimitiveCipher
from cryptography.hazmat.primitives.ciphers import algorithms, modes

from ca.algorithms.ciphers import AES_128_CBC, AES_128_GCM, AES_256_GCM, Cipher
from ca.algorithms.digests import SHA256
from ca.algorithms.signatures import Scheme, SignatureAlgorithm
from ca.asn1 import read, tags, writer
from ca.deviations import DeviationKind, Deviations
from ca.errors import BadAlgorithm, BadContent, BadMessageCheck, EnvelopeUnreadable, MalformedMessage
from ca.pkcs7 import EnvelopedData, SignedData, degenerate, encrypt, sign
from ca.pkcs7 import oids as cms
from ca.pkcs7.content_info import content_info
from ca.x509.certificate import Certificate
from tests.forging import Forgery
from tests.forging_csr import by_key_identifier, by_name, key_trans, wrap
from tests.test_unit_ca_material import EC_KEY, ca_certificate
from tests.world import Device, rsa_key, self_signed

KEY = rsa_key(0)
OWN = self_signed("Test CA", KEY)
SECRET = b"what is in the envelope"
VERSION_1 = writer.integer(1)
ATTRIBUTE = writer.sequence(writer.oid(cms.CONTENT_TYPE), writer.set_of([writer.oid(cms.DATA)]))


@dataclass(frozen=True)
class Sealed:
    """An envelope in its parts, right as it stands; ``replace`` spoils it."""

    cipher: Cipher = AES_128_GCM
    content_key: bytes = bytes(range(16))
    nonce: bytes = bytes(range(12))
    attributes: tuple[bytes, ...] = ()
    attributes_sent: tuple[bytes, ...] | None = None
    tag_octets: int = 16
    tag_octets_told: int | None = 16
    with_tag: bool = True
    originator: bytes = b""
    recipients: tuple[bytes, ...] = ()
    kind: str = cms.AUTH_ENVELOPED_DATA

    def der(self) -> bytes:
        mode = modes.GCM(self.nonce)
        encryptor = PrimitiveCipher(algorithms.AES(self.content_key), mode).encryptor()
        # RFC 5083 2.2: the attributes are authenticated under the tag of a SET OF.
        encryptor.authenticate_additional_data(writer.set_of(self.attributes) if self.attributes else b"")
        octets = encryptor.update(SECRET) + encryptor.finalize()
        told = b"" if self.tag_octets_told is None else writer.integer(self.tag_octets_told)
        content = writer.sequence(
            writer.oid(cms.DATA),
            writer.sequence(
                writer.oid(self.cipher.oid), writer.sequence(writer.octet_string(self.nonce), told)
            ),
            writer.encode(tags.CONTEXT_0, octets),
        )
        sent = self.attributes if self.attributes_sent is None else self.attributes_sent
        recipients = self.recipients or (key_trans(by_name(OWN), wrap(OWN, self.content_key)),)
        return content_info(
            self.kind,
            writer.sequence(
                writer.integer(0),
                self.originator,
                writer.set_of(recipients),
                content,
                writer.encode(tags.CONTEXT_1_CONSTRUCTED, b"".join(sent)) if sent else b"",
                writer.octet_string(encryptor.tag[: self.tag_octets]) if self.with_tag else b"",
            ),
        )


def opened(der: bytes, deviations: Deviations | None = None) -> bytes:
    return EnvelopedData.load(der, deviations).decrypt(KEY, OWN)


@pytest.mark.parametrize("cipher", [AES_128_GCM, AES_256_GCM], ids=lambda cipher: cipher.name)
def test_an_authenticated_envelope_of_ours_opens(cipher: Cipher) -> None:
    """RFC 5084 1.3: AES-GCM travels in AuthEnvelopedData."""
    der = encrypt([OWN], SECRET, cipher)

    assert EnvelopedData.load(der).cipher is cipher
    assert opened(der) == SECRET


ORIGINATOR = writer.encode(tags.CONTEXT_0_CONSTRUCTED, writer.encode(tags.CONTEXT_0_CONSTRUCTED, OWN.der))
OTHER_ATTRIBUTE = writer.sequence(writer.oid("1.2.3"), writer.set_of([writer.NULL]))


@pytest.mark.parametrize(
    "sealed",
    [
        Sealed(),
        Sealed(attributes=(ATTRIBUTE,)),
        Sealed(
            attributes=(ATTRIBUTE, OTHER_ATTRIBUTE),
            attributes_sent=tuple(sorted((ATTRIBUTE, OTHER_ATTRIBUTE), reverse=True)),
        ),
        Sealed(tag_octets=12, tag_octets_told=None),
        Sealed(tag_octets=13, tag_octets_told=13),
        Sealed(nonce=bytes(16)),
        Sealed(originator=ORIGINATOR),
    ],
    ids=["plain", "attributes", "unsorted attributes", "default tag", "a tag of 13", "a long nonce", "CA"],
)
def test_every_form_of_authenticated_envelope_opens(sealed: Sealed) -> None:
    """RFC 5083 2.1: attributes under the tag and originatorInfo; RFC 5084 3.2: 12 octets of tag or more."""
    assert opened(sealed.der()) == SECRET


def test_altered_authenticated_attributes_do_not_open() -> None:
    """RFC 5083 2.2: they are under the tag like the content, or authenticating them is for nothing."""
    sealed = Sealed(attributes=(ATTRIBUTE,), attributes_sent=(OTHER_ATTRIBUTE,))

    with pytest.raises(EnvelopeUnreadable):
        opened(sealed.der())


@pytest.mark.parametrize(
    "sealed",
    [
        Sealed(tag_octets=11, tag_octets_told=11),
        Sealed(tag_octets=12, tag_octets_told=16),
        Sealed(tag_octets=16, tag_octets_told=None),
        Sealed(tag_octets=0, tag_octets_told=0),
        Sealed(with_tag=False),
        Sealed(nonce=bytes(17)),
    ],
    ids=["a tag of 11", "shorter than told", "longer than told", "empty", "none", "a nonce of 17"],
)
def test_a_tag_that_proves_too_little_is_refused(sealed: Sealed) -> None:
    """RFC 5084 3.2: 12 to 16 octets, as many as told; a shorter one can be guessed (SP 800-38D C)."""
    with pytest.raises(BadContent, match="GCM nonce or tag"):
        opened(sealed.der())


@pytest.mark.parametrize(
    "sealed",
    [Sealed(cipher=AES_128_CBC), Sealed(kind=cms.ENVELOPED_DATA)],
    ids=["CBC under a tag", "GCM without one"],
)
def test_a_cipher_in_the_wrong_kind_of_envelope_is_refused(sealed: Sealed) -> None:
    """RFC 5084 1.3: whether content is authenticated must not be a thing that a sender can mix up."""
    with pytest.raises(BadAlgorithm, match="unknown content cipher"):
        opened(sealed.der())


RECIPIENTS = writer.set_of([key_trans(by_name(OWN), bytes(256))])
PARAMETERS = writer.sequence(writer.oid(AES_128_CBC.oid), writer.octet_string(bytes(16)))
NO_PARAMETERS = writer.sequence(writer.oid(AES_128_CBC.oid))
CIPHERTEXT = writer.encode(tags.CONTEXT_0, bytes(16))


@pytest.mark.parametrize(
    "parts",
    [
        (ORIGINATOR, RECIPIENTS),
        (RECIPIENTS, writer.sequence(writer.oid(cms.DATA), PARAMETERS)),
        (RECIPIENTS, writer.sequence(writer.oid(cms.DATA), NO_PARAMETERS, CIPHERTEXT)),
        (RECIPIENTS, writer.sequence(writer.oid(cms.SIGNED_DATA), PARAMETERS, CIPHERTEXT)),
    ],
    ids=["no encryptedContentInfo", "no content", "no IV", "content of another type"],
)
def test_an_envelope_that_no_key_could_open_is_refused(parts: tuple[bytes, ...]) -> None:
    """RFC 5652 6.1: what is missing is outside of the encryption, and may be said."""
    with pytest.raises(BadContent):
        EnvelopedData.load(content_info(cms.ENVELOPED_DATA, writer.sequence(writer.integer(0), *parts)))


@pytest.mark.parametrize("der", [degenerate([OWN.der]), b"", b"\x30\x00"])
def test_what_is_no_envelope_is_refused(der: bytes) -> None:
    """RFC 8894 3.1: a pkcsPKIEnvelope is EnvelopedData."""
    with pytest.raises(BadContent, match="no CMS EnvelopedData"):
        EnvelopedData.load(der)


@pytest.mark.proves("C-07")
def test_a_recipient_may_be_named_by_its_key() -> None:
    """RFC 5652 6.1, 6.2.1: version 2 then, of the envelope and of the recipient."""
    deviations = Deviations()
    der = encrypt([OWN], SECRET, by_key_identifier=True)

    assert opened(der, deviations) == SECRET
    assert EnvelopedData.load(der).version == 2
    assert deviations.kinds() == []


def test_no_key_is_transported_to_an_ec_key() -> None:
    """RFC 8894 3.1: key transport is RSA's; nothing of the content is sent in any other way."""
    with pytest.raises(BadAlgorithm, match="RSA certificate"):
        encrypt([ca_certificate(EC_KEY)], SECRET)


def test_a_recipient_whose_issuer_cannot_be_read_is_not_us_and_opens_all_the_same() -> None:
    """RFC 5652 6.2.1: a broken name names nobody; our key is tried because no recipient is ours."""
    broken = writer.sequence(writer.sequence(writer.NULL), OWN.serial_der)
    sealed = Sealed()
    sealed = replace(sealed, recipients=(key_trans(broken, wrap(OWN, sealed.content_key)),))
    deviations = Deviations()

    assert opened(sealed.der(), deviations) == SECRET
    assert deviations.kinds() == [DeviationKind.RECIPIENT_REFOUND]


def test_a_key_transport_that_cannot_be_read_is_refused() -> None:
    """RFC 5652 6.2.1: keyEncryptionAlgorithm is an AlgorithmIdentifier."""
    recipient = key_trans(by_key_identifier(OWN.subject_key_identifier), bytes(256), writer.NULL)

    with pytest.raises(BadContent, match="key transport algorithm"):
        opened(Sealed(recipients=(recipient,)).der())


def signed_by(key_identifier: bool = False) -> bytes:
    return sign(OWN, KEY, SECRET, by_key_identifier=key_identifier)


@pytest.mark.proves("C-05")
def test_a_signer_may_be_named_by_its_key() -> None:
    """RFC 5652 5.3: subjectKeyIdentifier, and version 3 with it."""
    deviations = Deviations()
    signed = SignedData.load(signed_by(key_identifier=True), deviations=deviations)

    assert signed.verify().der == OWN.der
    assert signed.version == 3
    assert signed.signers[0].subject_key_identifier == OWN.subject_key_identifier
    assert len(deviations) == 0


def test_crls_come_out_as_they_went_in() -> None:
    """RFC 8894 3.3.4: the answer to a GetCRL is crls-only; nothing in it is encoded anew."""
    crls = [writer.sequence(writer.NULL), writer.sequence(VERSION_1)]

    signed = SignedData.load(degenerate([], crls))

    assert signed.crls == crls
    assert signed.certificates == []


@pytest.fixture
def forgery() -> Forgery:
    """An honest message of a device to our CA, which a test breaks in one place."""
    return Forgery(Device(), OWN)


def test_the_forgery_is_honest_before_it_is_broken(forgery: Forgery) -> None:
    """Without this, the refusals below would prove nothing."""
    assert SignedData.load(forgery.message()).verify().spki == Device().certificate().spki


def _signer_info_3(forgery: Forgery) -> bytes:
    return forgery.message(forgery.signer_info().replace(VERSION_1, writer.integer(3), 1))


def _signed_data_5(forgery: Forgery) -> bytes:
    return forgery.message().replace(VERSION_1, writer.integer(5), 1)


@pytest.mark.proves("R-3.2.2-c")
@pytest.mark.parametrize(
    ("alters", "told"), [(_signer_info_3, "SignerInfo 3"), (_signed_data_5, "SignedData 5")]
)
def test_a_version_of_another_structure_is_kept_and_read(
    forgery: Forgery, alters: Callable[[Forgery], bytes], told: str
) -> None:
    """RFC 5652 5.1, 5.3: the version says nothing that the structure does not say as well."""
    deviations = Deviations()

    SignedData.load(alters(forgery), deviations=deviations).verify()

    assert [(one.kind, one.detail) for one in deviations] == [(DeviationKind.CMS_VERSION, told)]


@pytest.mark.parametrize("place", ["pkiMessage", "CertRep"])
def test_odd_versions_of_both_structures_are_kept_apart(forgery: Forgery, place: str) -> None:
    """RFC 5652 5.1, 5.3: one kind at one place is one entry, and these are two mistakes."""
    deviations = Deviations()
    message = _signer_info_3(forgery).replace(VERSION_1, writer.integer(5), 1)

    SignedData.load(message, place, deviations)

    assert [(one.place, one.detail) for one in deviations] == [
        (f"{place}.signerInfos", "SignerInfo 3"),
        (place, "SignedData 5"),
    ]


def _too_few_parts(forgery: Forgery) -> bytes:
    parts = read(forgery.signer_info(), "test", Deviations()).children()
    return forgery.message(writer.sequence(*(part.raw for part in parts[:-1])))


def _too_many_attributes(forgery: Forgery) -> bytes:
    for number in range(60):
        forgery.put(f"1.2.3.{number}", writer.NULL)
    return forgery.message()


@pytest.mark.parametrize(
    ("breaks", "words"),
    [
        (_too_few_parts, "too few parts"),
        (_too_many_attributes, "too many signed attributes"),
        (lambda forgery: forgery.message(*[forgery.signer_info()] * 9), "too many SignerInfos"),
    ],
    ids=["no signature", "65 attributes", "9 signers"],
)
def test_a_signer_info_out_of_all_measure_is_malformed(
    forgery: Forgery, breaks: Callable[[Forgery], bytes], words: str
) -> None:
    """RFC 5652 5.3: five parts at least; and a stranger's message must not cost more than it may."""
    with pytest.raises(MalformedMessage, match=words):
        SignedData.load(breaks(forgery))


def test_a_signing_time_that_cannot_be_read_is_none(forgery: Forgery) -> None:
    """RFC 5652 11.3: devices without a clock write anything; SCEP asks for no time."""
    forgery.put(cms.SIGNING_TIME, writer.encode(tags.UTC_TIME, b"never"))
    signed = SignedData.load(forgery.message())

    signed.verify()

    assert signed.signing_time is None


def _issuer_of_no_name(forgery: Forgery) -> None:
    # The serial number fits, so that the names are compared.
    serial = Certificate.load(forgery.certificates[0]).serial_der
    forgery.signer_identifier = writer.sequence(writer.sequence(writer.NULL), serial)


def _no_signature_algorithm(forgery: Forgery) -> None:
    forgery.signature_algorithm = writer.NULL


@pytest.mark.parametrize(
    ("breaks", "words"),
    [
        (_issuer_of_no_name, "certificate of the message cannot be read"),
        (_no_signature_algorithm, "signatureAlgorithm cannot be read"),
        (lambda one: one.put(cms.CONTENT_TYPE, writer.NULL), "contentType or messageDigest cannot be read"),
        (lambda one: one.put(cms.MESSAGE_DIGEST, writer.NULL), "contentType or messageDigest cannot be read"),
    ],
    ids=["the issuer", "the algorithm", "contentType", "messageDigest"],
)
def test_what_cannot_be_checked_does_not_hold(
    forgery: Forgery, breaks: Callable[[Forgery], object], words: str
) -> None:
    """RFC 5652 5.6: a signature holds once everything it depends on was read; never by default."""
    breaks(forgery)

    with pytest.raises(BadMessageCheck, match=words):
        SignedData.load(forgery.message()).verify()


@pytest.mark.proves("R-3.2-c", "C-18")
def test_without_signed_attributes_nothing_is_checked(forgery: Forgery) -> None:
    """RFC 8894 3.2: the attributes are what is signed; a signature over the bare content is another."""
    forgery.attributes = []
    (signer,) = SignedData.load(forgery.message()).signers

    assert not signer.has_signed_attributes
    with pytest.raises(BadMessageCheck, match="no signed attributes"):
        signer.check_signature(Device().certificate(), SignatureAlgorithm(Scheme.PKCS1, SHA256))
