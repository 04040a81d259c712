"""PasswordRecipientInfo by itself (RFC 5652 6.2.4): what is read, what is bounded, what is refused."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from time import perf_counter

import pytest

from ca.algorithms import digests
from ca.algorithms.ciphers import AES_128_CBC, AES_128_GCM, AES_256_CBC, DES_EDE3_CBC, Cipher
from ca.algorithms.digests import SHA256, Digest
from ca.algorithms.levels import CryptoLevel
from ca.algorithms.password import MAX_ITERATIONS, KeyDerivation, KeyWrap
from ca.asn1 import read, tags, writer
from ca.deviations import Deviations
from ca.errors import BadAlgorithm, BadContent, EnvelopeUnreadable
from ca.pkcs7 import EnvelopedData, encrypt_with_password, oids
from ca.pkcs7.content_info import content_info
from ca.pkcs7.password_recipient import PasswordRecipient

PASSWORD = "open sesame"
CONTENT = b"what is in the envelope"
CONTENT_KEY = bytes(range(16))
PWRI_KEK = writer.oid("1.2.840.113549.1.9.16.3.9")


@dataclass(frozen=True)
class Recipient:
    """A PasswordRecipientInfo in its parts, right as it stands; ``replace`` spoils it."""

    cipher: Cipher = AES_128_CBC
    prf: Digest | None = SHA256
    salt: bytes = bytes(8)
    iterations: int = 2
    told_iterations: int | None = None
    key_octets: int | None = None
    derivation: bytes | None = None
    algorithm: bytes | None = None
    wrapped: bytes | None = None
    content_key: bytes = CONTENT_KEY

    def element(self) -> bytes:
        iv = bytes(self.cipher.block_octets)
        derivation = KeyDerivation(self.salt, self.iterations, self.prf or digests.SHA1)
        kek = derivation.derive(PASSWORD, self.cipher.key_octets)
        wrap = KeyWrap(self.cipher, iv)
        parts = (
            writer.integer(0),
            self._derivation() if self.derivation is None else self.derivation,
            wrap.identifier() if self.algorithm is None else self.algorithm,
            writer.octet_string(wrap.wrap(kek, self.content_key) if self.wrapped is None else self.wrapped),
        )
        return writer.encode(tags.CONTEXT_3_CONSTRUCTED, b"".join(parts))

    def _derivation(self) -> bytes:
        prfs = {SHA256: "1.2.840.113549.2.9", digests.SHA512: "1.2.840.113549.2.11"}
        prf = writer.sequence(writer.oid(prfs[self.prf]), writer.NULL) if self.prf in prfs else b""
        length = b"" if self.key_octets is None else writer.integer(self.key_octets)
        iterations = writer.integer(self.told_iterations or self.iterations)
        parameters = writer.sequence(writer.octet_string(self.salt), iterations, length, prf)
        return writer.encode(tags.CONTEXT_0_CONSTRUCTED, writer.oid("1.2.840.113549.1.5.12") + parameters)

    def unwrap(self, level: CryptoLevel = CryptoLevel.COMPATIBLE, password: str = PASSWORD) -> bytes | None:
        parsed = PasswordRecipient(read(self.element(), "recipient", Deviations()))
        return parsed.unwrap(password, len(self.content_key), level)

    def envelope(self, version: int = 3) -> bytes:
        iv = bytes(16)
        sealed = writer.sequence(
            writer.oid(oids.DATA),
            writer.sequence(writer.oid(AES_128_CBC.oid), writer.octet_string(iv)),
            writer.encode(tags.CONTEXT_0, AES_128_CBC.encrypt(self.content_key, iv, CONTENT)),
        )
        parts = (writer.integer(version), writer.set_of([self.element()]), sealed)
        return content_info(oids.ENVELOPED_DATA, writer.sequence(*parts))


WRITTEN: dict[str, Recipient] = {
    "as we do": Recipient(),
    "the default PRF": Recipient(prf=None),
    "HMAC with SHA-512": Recipient(prf=digests.SHA512),
    "with a length of the key": Recipient(key_octets=16),
    "both": Recipient(key_octets=32, prf=None, cipher=AES_256_CBC),
    "AES-256": Recipient(cipher=AES_256_CBC),
    "3DES": Recipient(cipher=DES_EDE3_CBC),
    "a longer key": Recipient(content_key=bytes(range(32))),
    "a short key, in two blocks all the same": Recipient(content_key=bytes(range(8))),
    "a key that fills its blocks": Recipient(content_key=bytes(range(28))),
}


@pytest.mark.proves("C-14")
@pytest.mark.parametrize("recipient", WRITTEN.values(), ids=WRITTEN.keys())
def test_what_others_write_is_read(recipient: Recipient) -> None:
    """RFC 8018 A.2, RFC 3211 2.3.1: every optional part, there and not there."""
    assert recipient.unwrap() == recipient.content_key


@pytest.mark.parametrize("recipient", WRITTEN.values(), ids=WRITTEN.keys())
def test_another_password_gives_no_key(recipient: Recipient) -> None:
    """RFC 3211 2.3.2: the length and three octets tell, most of the time."""
    assert all(recipient.unwrap(password=f"wrong {number}") is None for number in range(5))


REFUSED: dict[str, tuple[Recipient, type[Exception], str]] = {
    "N-095 too many iterations": (Recipient(told_iterations=2**31), BadAlgorithm, "iterations"),
    "one too many": (Recipient(told_iterations=MAX_ITERATIONS + 1), BadAlgorithm, "iterations"),
    "less than one": (Recipient(told_iterations=-1), BadAlgorithm, "iterations"),
    "a long salt": (Recipient(salt=bytes(65)), BadAlgorithm, "iterations"),
    "no derivation": (Recipient(derivation=b""), BadAlgorithm, "not derived"),
    "scrypt": (
        Recipient(derivation=writer.encode(0xA0, writer.oid("1.3.6.1.4.1.11591.4.11") + writer.sequence())),
        BadAlgorithm,
        "unknown key derivation",
    ),
    "an unknown PRF": (
        Recipient(
            derivation=writer.encode(
                0xA0,
                writer.oid("1.2.840.113549.1.5.12")
                + writer.sequence(
                    writer.octet_string(bytes(8)), writer.integer(2), writer.sequence(writer.oid("1.2.3"))
                ),
            )
        ),
        BadAlgorithm,
        "unknown pseudorandom function",
    ),
    "another wrapping": (
        Recipient(algorithm=writer.sequence(writer.oid("1.2.3"), writer.NULL)),
        BadAlgorithm,
        "unknown encryption",
    ),
    "an unknown cipher": (
        Recipient(algorithm=writer.sequence(PWRI_KEK, writer.sequence(writer.oid("1.2.3")))),
        BadAlgorithm,
        "unknown cipher",
    ),
    "GCM": (
        Recipient(algorithm=writer.sequence(PWRI_KEK, writer.sequence(writer.oid(AES_128_GCM.oid)))),
        BadAlgorithm,
        "unknown cipher",
    ),
    "no IV": (
        Recipient(algorithm=writer.sequence(PWRI_KEK, writer.sequence(writer.oid(AES_128_CBC.oid)))),
        BadContent,
        "cannot be read",
    ),
    "a derivation that cannot be read": (Recipient(derivation=writer.NULL), BadContent, "cannot be read"),
    "a key of another length": (Recipient(key_octets=32), BadContent, "does not fit"),
}


@pytest.mark.proves("C-14")
@pytest.mark.parametrize("case", REFUSED)
def test_what_is_unknown_or_too_dear_is_refused_before_it_costs(case: str) -> None:
    """C-14, N-095: one message must not buy minutes of arithmetic."""
    recipient, kind, words = REFUSED[case]
    started = perf_counter()

    with pytest.raises(kind, match=words):
        recipient.unwrap()

    assert perf_counter() - started < 0.1


def test_a_level_forbids_the_wrapping_as_it_does_the_content() -> None:
    """A key under 3DES is worth no more than the content would be."""
    with pytest.raises(BadAlgorithm, match="not accepted"):
        Recipient(cipher=DES_EDE3_CBC).unwrap(CryptoLevel.MODERN)


@pytest.mark.parametrize("octets", [0, 16, 31, 33, 144])
def test_a_wrapped_key_of_an_impossible_length_gives_no_key(octets: int) -> None:
    """RFC 3211 2.3.1: whole blocks, two at least; and no key is longer than a few."""
    assert Recipient(wrapped=bytes(octets)).unwrap() is None


def test_a_key_of_another_cipher_gives_no_key() -> None:
    """RFC 5652 6.1: the key is the content cipher's."""
    parsed = PasswordRecipient(read(Recipient().element(), "recipient", Deviations()))

    assert parsed.unwrap(PASSWORD, 24, CryptoLevel.COMPATIBLE) is None


def test_an_envelope_opens_under_its_password_alone() -> None:
    """RFC 5652 6.2.4; what fails behind the password is told as what fails behind RSA."""
    envelope = EnvelopedData.load(Recipient().envelope())

    assert envelope.decrypt_with_password(PASSWORD) == CONTENT
    with pytest.raises(EnvelopeUnreadable):
        envelope.decrypt_with_password("wrong")


@pytest.mark.parametrize(("version", "kinds"), [(3, []), (0, ["cms-version"])])
def test_its_version_is_three(version: int, kinds: list[str]) -> None:
    """RFC 5652 6.1: wherever a password is among the recipients."""
    deviations = Deviations()

    EnvelopedData.load(Recipient().envelope(version), deviations)

    assert deviations.kinds() == kinds


@pytest.mark.proves("C-14")
@pytest.mark.parametrize("cipher", [AES_128_CBC, AES_128_GCM, DES_EDE3_CBC])
def test_what_we_seal_we_open(cipher: Cipher) -> None:
    """RFC 5652 6.2.4, RFC 5083: with no deviation of our own."""
    deviations = Deviations()

    envelope = EnvelopedData.load(encrypt_with_password(PASSWORD, CONTENT, cipher), deviations)

    assert envelope.decrypt_with_password(PASSWORD) == CONTENT
    assert deviations.kinds() == []


SPOIL: dict[str, Callable[[Recipient], Recipient]] = {
    "salt": lambda one: replace(one, derivation=replace(one, salt=bytes(9))._derivation()),
    "iterations": lambda one: replace(one, told_iterations=3),
}


@pytest.mark.parametrize("part", SPOIL)
def test_another_derivation_gives_no_key(part: str) -> None:
    """RFC 8018 5.2: salt and count are part of it."""
    assert SPOIL[part](Recipient()).unwrap() is None
