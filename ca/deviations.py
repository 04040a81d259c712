"""What a message did outside the standards, kept as typed values.

The readers accept what real devices send. Each time they accept something that a standard
forbids or discourages they say so here, with the place and the clause, so that a log, a count
and a diagnosis can build on it. Nothing in here refuses anything.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum


class DeviationKind(StrEnum):
    """The kinds, in words that a log line can carry."""

    INDEFINITE_LENGTH = "indefinite-length"
    NON_MINIMAL_LENGTH = "non-minimal-length"
    CONSTRUCTED_STRING = "constructed-string"
    NON_MINIMAL_INTEGER = "non-minimal-integer"
    NON_DER_BOOLEAN = "non-der-boolean"
    STRING_OUTSIDE_TYPE = "string-outside-type"
    TRAILING_BYTES = "trailing-bytes"
    ABSENT_PARAMETERS = "absent-parameters"
    CMS_VERSION = "cms-version"
    CONTENT_TYPE = "content-type"
    UNSORTED_ATTRIBUTES = "unsorted-attributes"
    SIGNED_UNSORTED = "signed-unsorted"
    SIGNER_X509_VERSION = "signer-x509-version"
    SIGNER_SERIAL_NUMBER = "signer-serial-number"
    SIGNER_CRITICAL_AKI = "signer-critical-aki"
    SIGNER_SUBJECT = "signer-subject"
    SIGNER_KEY = "signer-key"
    SIGNER_VALIDITY = "signer-validity"
    ATTRIBUTE_TYPE = "attribute-type"
    NONCE_LENGTH = "nonce-length"
    NONCE_MISSING = "nonce-missing"
    SIGNING_TIME = "signing-time"
    RECIPIENT_REFOUND = "recipient-refound"
    WEAK_DIGEST = "weak-digest"
    WEAK_CIPHER = "weak-cipher"
    WEAK_KEY = "weak-key"
    CSR_ATTRIBUTES_MISSING = "csr-attributes-missing"
    CHALLENGE_LENGTH = "challenge-length"
    REPAIRED_PLUS = "repaired-plus"
    BASE64_LINE_BREAKS = "base64-line-breaks"
    BASE64_URL_ALPHABET = "base64url-alphabet"
    BASE64_PADDING = "base64-padding"
    POST_WITHOUT_OPERATION = "post-without-operation"
    CONTENT_WITHOUT_ENVELOPE = "content-without-envelope"
    POLL_NAMES = "poll-names"
    MEDIA_TYPE = "media-type"


# The clause that each kind departs from.
REFERENCES: dict[DeviationKind, str] = {
    DeviationKind.INDEFINITE_LENGTH: "X.690 10.1",
    DeviationKind.NON_MINIMAL_LENGTH: "X.690 10.1",
    DeviationKind.CONSTRUCTED_STRING: "X.690 10.2",
    DeviationKind.NON_MINIMAL_INTEGER: "X.690 8.3.2",
    DeviationKind.NON_DER_BOOLEAN: "X.690 11.1",
    DeviationKind.STRING_OUTSIDE_TYPE: "X.680 41.4",
    DeviationKind.TRAILING_BYTES: "RFC 5652 3",
    DeviationKind.ABSENT_PARAMETERS: "RFC 3370 3.2, 4.2.1",
    DeviationKind.CMS_VERSION: "RFC 5652 5.1, 6.1",
    DeviationKind.CONTENT_TYPE: "RFC 8894 3.2",
    DeviationKind.UNSORTED_ATTRIBUTES: "RFC 5652 5.3",
    DeviationKind.SIGNED_UNSORTED: "RFC 5652 5.4",
    DeviationKind.SIGNER_X509_VERSION: "RFC 5280 4.1.2.1",
    DeviationKind.SIGNER_SERIAL_NUMBER: "RFC 5280 4.1.2.2",
    DeviationKind.SIGNER_CRITICAL_AKI: "RFC 5280 4.2.1.1",
    DeviationKind.SIGNER_SUBJECT: "RFC 8894 2.3",
    DeviationKind.SIGNER_KEY: "RFC 8894 2.3",
    DeviationKind.SIGNER_VALIDITY: "RFC 5280 4.1.2.5",
    DeviationKind.ATTRIBUTE_TYPE: "RFC 8894 3.2.1",
    DeviationKind.NONCE_LENGTH: "RFC 8894 3.2.1.5",
    DeviationKind.NONCE_MISSING: "RFC 8894 3.2.1.5",
    DeviationKind.SIGNING_TIME: "RFC 5652 11.3, RFC 8894 3.2.1.4",
    DeviationKind.RECIPIENT_REFOUND: "RFC 5652 6.2.1",
    DeviationKind.WEAK_DIGEST: "RFC 8894 2.9",
    DeviationKind.WEAK_CIPHER: "RFC 8894 2.9",
    DeviationKind.WEAK_KEY: "NIST SP 800-131A 3",
    DeviationKind.CSR_ATTRIBUTES_MISSING: "RFC 2986 4.1",
    DeviationKind.CHALLENGE_LENGTH: "RFC 2985 5.4.1",
    DeviationKind.REPAIRED_PLUS: "RFC 8894 4.1",
    DeviationKind.BASE64_LINE_BREAKS: "RFC 4648 3.1",
    DeviationKind.BASE64_URL_ALPHABET: "RFC 8894 4.1",
    DeviationKind.BASE64_PADDING: "RFC 4648 3.2",
    DeviationKind.POST_WITHOUT_OPERATION: "RFC 8894 4.3",
    DeviationKind.CONTENT_WITHOUT_ENVELOPE: "RFC 8894 3.3.2.2",
    DeviationKind.POLL_NAMES: "RFC 8894 3.3.3",
    DeviationKind.MEDIA_TYPE: "RFC 8894 4.2.1, 4.3.1",
}


@dataclass(frozen=True, slots=True)
class Deviation:
    """One thing done outside a standard.

    *place* is a path of field names ("pkiMessage.signedAttrs"); *detail* is for people.
    """

    kind: DeviationKind
    place: str
    detail: str = ""

    @property
    def reference(self) -> str:
        """The clause it departs from."""
        return REFERENCES[self.kind]


class Deviations:
    """The deviations of one message, in the order found, each kind once a place."""

    def __init__(self) -> None:
        self._found: dict[tuple[DeviationKind, str], Deviation] = {}

    def add(self, kind: DeviationKind, place: str, detail: str = "") -> None:
        """Keep a deviation; a second one of the same kind at the same place adds nothing."""
        self._found.setdefault((kind, place), Deviation(kind, place, detail))

    def kinds(self) -> list[str]:
        """The kinds found, without repetition."""
        return list(dict.fromkeys(kind.value for kind, _ in self._found))

    def __iter__(self) -> Iterator[Deviation]:
        return iter(self._found.values())

    def __len__(self) -> int:
        return len(self._found)
