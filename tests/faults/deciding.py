"""What becomes of a pkiMessage: the checks of RFC 8894 2, 3.3 and 7, less what a fault leaves out."""

from threading import Lock
from typing import Any

from asn1crypto import cms, csr
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import Encoding

from tests.faults.conduct import Conduct
from tests.faults.issuing import Issuer
from tests.faults.material import Material, make_material
from tests.faults.reading import (
    BAD_ALG,
    BAD_CERT_ID,
    BAD_MESSAGE_CHECK,
    BAD_REQUEST,
    DIGESTS,
    Message,
    NoMessage,
    Refused,
    open_envelope,
    read_message,
    rsa_public_key,
)
from tests.faults.sealing import seal
from tests.faults.signing import issuer_and_serial, sign_reply
from tests.faults.writing import degenerate, dump, sequence

CHALLENGE = "open sesame"
RENEWAL_REQ = "17"
_QUERIES = {"21", "22"}
_CERT_POLL = "20"


class Death(BaseException):
    """The server ends, as one does that meets what its program does not know."""


class ServerFault(Exception):
    """An error that nobody caught: HTTP 500."""


class Office:
    """One server's CA: what it issued is all that it remembers."""

    def __init__(self, conduct: Conduct) -> None:
        self.conduct = conduct
        self.material: Material = make_material(conduct)
        self._issuer = Issuer(self.material, conduct)
        self._granted: dict[tuple[str, bytes, bytes], bytes] = {}
        self._issued: set[bytes] = set()
        self._lock = Lock()

    def operate(self, data: bytes) -> bytes:
        """The CertRep to a pkiMessage.

        Raises:
            NoMessage: It cannot be answered by a CertRep.
            Refused: This server refuses by HTTP.
            ServerFault: It is not up to this message.
            Death: It ends.

        """
        message = read_message(data)
        try:
            with self._lock:
                content = self._decide(message)
        except Refused as refused:
            if self.conduct.refuses_by_http:
                raise
            return self._sign(self.conduct.refusal_content, "2", refused.fail_info, message)
        return self._sign(content, "0", "", message)

    def _sign(self, content: bytes | None, status: str, fail_info: str, message: Message) -> bytes:
        return sign_reply(content, status, fail_info, message, self.material, self.conduct)

    def _decide(self, message: Message) -> bytes:
        """The content of a SUCCESS."""
        if message.message_type in _QUERIES and not self.conduct.answers_queries:
            raise NoMessage("no such thing is served")
        if message.message_type == _CERT_POLL and not self.conduct.answers_polls:
            raise Refused(BAD_REQUEST, "not implemented")
        if "recipient" in self.conduct.fails_at and not message.is_for(self.material.signer):
            raise ServerFault
        content = open_envelope(message, self.material.opening_key, self.conduct)
        match message.message_type:
            case "19" | "17":
                return self._enrol(message, content)
            case "20":
                found = [one for key, one in self._granted.items() if key[0] == message.transaction_id]
                return self._grant(message, self._one(found), sequence())
            case "21":
                number = cms.IssuerAndSerialNumber.load(content)["serial_number"].native
                found = [one for one in self._issued if _serial(one) == number]
                return self._grant(message, self._one(found), sequence())
            case "22":
                lists = degenerate([], [self._issuer.revocation_list()])
                return seal(lists, message, sequence(), sequence(), self.conduct)
        if "message type" in self.conduct.dies_of:
            raise Death
        raise Refused(BAD_REQUEST, "unknown messageType")

    @staticmethod
    def _one(found: list[bytes]) -> bytes:
        if not found:
            raise Refused(BAD_CERT_ID, "no such certificate")
        return found[-1]

    def _enrol(self, message: Message, content: bytes) -> bytes:
        request = _read_request(content)
        self._check(message, request)
        info = request["certification_request_info"]
        key = (message.transaction_id, dump(message.signer), dump(info["subject_pk_info"]))
        earlier = self._granted.get(key)
        if self.conduct.finds_by_transaction_alone:
            earlier = next((one for known, one in self._granted.items() if known[0] == key[0]), None)
        leaf = self._granted[key] = (self.conduct.remembers and earlier) or self._issuer.issue(request)
        self._issued.add(leaf)
        return self._grant(message, leaf, dump(info["subject"]))

    def _grant(self, message: Message, leaf: bytes, subject: bytes) -> bytes:
        certificates = self.conduct.certificates(leaf, self.material.ca.public_bytes(Encoding.DER))
        content = degenerate(certificates)
        if not self.conduct.seals:
            return content
        return seal(content, message, subject, issuer_and_serial(leaf), self.conduct)

    def _check(self, message: Message, request: Any) -> None:
        """Whether it may have a certificate (RFC 8894 2.3, 2.4).

        Raises:
            Refused: It may not.

        """
        unchecked = self.conduct.unchecked
        info = request["certification_request_info"]
        key = rsa_public_key(info["subject_pk_info"])
        if key.key_size < 2048:
            raise Refused(BAD_REQUEST, "the key is too small")
        if "CSR signature" not in unchecked:
            _check_proof(request)
        is_ours = dump(message.signer) in self._issued
        if is_ours and not self.conduct.renews:
            raise Refused(BAD_REQUEST, "no renewals here")
        if message.message_type == RENEWAL_REQ:
            if not is_ours and "renewal signer" not in unchecked:
                raise Refused(BAD_REQUEST, "not signed by a certificate of this CA")
        elif not is_ours and "challenge" not in unchecked:
            self._check_challenge(info)

    def _check_challenge(self, info: Any) -> None:
        values = [
            one["values"][0] for one in info["attributes"] if one["type"].native == "challenge_password"
        ]
        if "challenge strings" in self.conduct.unread and values and values[0].name != "utf8_string":
            raise Refused(BAD_REQUEST, "challenge password not accepted")
        if [value.native for value in values] != [CHALLENGE]:
            raise Refused(BAD_REQUEST, "challenge password not accepted")


def _read_request(content: bytes) -> Any:
    try:
        request = csr.CertificationRequest.load(content, strict=True)
        # Lazy as it is, asn1crypto is made to look at all of it.
        _ = request.native
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError) as error:
        # As if the envelope had not opened: who tampers with it must not learn how far he came.
        raise Refused(BAD_MESSAGE_CHECK, "the envelope does not open") from error
    return request


def _check_proof(request: Any) -> None:
    """The CSR is signed by its own key, over the bytes as they came (RFC 2986 4.2)."""
    info, used = request["certification_request_info"], request["signature_algorithm"]
    digest = DIGESTS.get("sha256" if used["algorithm"].native == "rsassa_pkcs1v15" else used.hash_algo)
    if digest is None:
        raise Refused(BAD_ALG, "no such digest")
    scheme = padding.PSS(padding.MGF1(digest), padding.PSS.AUTO)
    try:
        rsa_public_key(info["subject_pk_info"]).verify(
            request["signature"].native,
            dump(info),
            scheme if used.signature_algo == "rsassa_pss" else padding.PKCS1v15(),
            digest,
        )
    except InvalidSignature as error:
        raise Refused(BAD_REQUEST, "the CSR is not signed by its own key") from error


def _serial(certificate: bytes) -> int:
    return int(cms.Certificate.load(certificate).serial_number)
