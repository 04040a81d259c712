"""Every way a request can be refused.

* ScepError                a CertRep FAILURE; its class says which failInfo
  x BadAlgorithm           badAlg           a digest, cipher, key type or size we do not accept
  x BadMessageCheck        badMessageCheck  the CMS signature does not hold
  x BadRequest             badRequest       understood, and refused
    - BadContent                            the signed content is not what the messageType says
    - EnvelopeUnreadable                    whatever went wrong behind the encryption
    - UnknownMessageType
    - OperationNotOffered
    - TooManyQueries
    - TransactionInUse
    - RequestRejected                       a person said no, or nobody said anything in time
    - QueueFull                             too many requests wait for a person already
    - BadCsr                                a CSR that no policy could save
    - WishRefused                           an extension that is not given to those who ask
    - SubjectRefused
    - ChallengeRejected
      - ChallengeReused                     a possible breach (RFC 8894 7.3)
      - TooManyGuesses                      whether it was the right one is not looked at any more
    - RenewalRefused
    - KeyRefused                            of a type, a size or a use that the profile does not certify
    - TooManyActive                         the subject has as many certificates as its profile allows
    - ValidatorDenied                       a validator said no
    - ValidatorUnavailable                  a validator gave no verdict: nothing is issued without one
    - LintRefused                           the certificate would break a rule of X.509
  x BadCertId              badCertId        no such certificate or transaction
* MalformedMessage         HTTP 400: too broken to name a transaction to answer
* DecisionImpossible       a person's decision that cannot be carried out
* StoreUnavailable         HTTP 503: nothing could be written, so nothing was done
* InvalidReply             our own client's refusal of what a server answered

The text of each is safe to send: it holds no secret and nothing that the sender did not know.
What only the operator may read goes into ``detail``.
"""

from enum import StrEnum
from typing import ClassVar


class FailInfo(StrEnum):
    """Why a request failed (RFC 8894 3.2.1.4)."""

    BAD_ALG = "0"
    BAD_MESSAGE_CHECK = "1"
    BAD_REQUEST = "2"
    BAD_TIME = "3"
    BAD_CERT_ID = "4"

    @property
    def label(self) -> str:
        """The name that the RFC gives it, such as ``badAlg``."""
        first, *rest = self.name.split("_")
        return first.lower() + "".join(word.title() for word in rest)


class ScepError(Exception):
    """A refusal that the client hears about. Raise a subclass, never this.

    *detail* is for the log alone.
    """

    fail_info: ClassVar[FailInfo]

    def __init__(self, text: str, *, detail: str = "") -> None:
        super().__init__(text)
        self.detail = detail


class BadAlgorithm(ScepError):
    """An algorithm, key type or key size that is unknown or not allowed at this level."""

    fail_info = FailInfo.BAD_ALG


class BadMessageCheck(ScepError):
    """The signature, digest, contentType or signer certificate of the CMS message is wrong."""

    fail_info = FailInfo.BAD_MESSAGE_CHECK


class BadRequest(ScepError):
    """Understood, and refused."""

    fail_info = FailInfo.BAD_REQUEST


class BadContent(BadRequest):
    """The signed content is no pkcsPKIEnvelope that can be read at all."""


class EnvelopeUnreadable(BadRequest):
    """The envelope did not open, or what was in it is not what its messageType promises.

    One class, one text and one amount of work for a wrong recipient, a bad RSA block, bad padding,
    bad ASN.1 and a CSR that is not signed by its key: whoever can tell them apart can decrypt
    what he captured (RFC 3218).
    """

    def __init__(self, *, detail: str = "") -> None:
        super().__init__("the envelope cannot be read with this CA's key", detail=detail)


class UnknownMessageType(BadRequest):
    """RFC 8894 3.2.1.2: a messageType that is not defined is an error."""

    def __init__(self, message_type: str) -> None:
        super().__init__("this messageType is not one a client may send", detail=message_type)


class OperationNotOffered(BadRequest):
    """A message of the RFC that this server has not switched on."""


class TooManyQueries(BadRequest):
    """One source asks for more certificates and CRLs than any device would (RFC 8894 7.8)."""

    def __init__(self) -> None:
        super().__init__("too many queries from this address; the CRL is at /crl")


class TransactionInUse(BadRequest):
    """The same key sends another CSR under a transactionID that was answered already."""

    def __init__(self) -> None:
        super().__init__(
            "this transactionID belongs to an earlier request of this key; make a new key, or renew"
        )


class RequestRejected(BadRequest):
    """A person refused this very request, or it waited too long. Told again to whoever asks again."""


class QueueFull(BadRequest):
    """What a profile or a peer may have waiting for a person is waiting already."""


class BadCsr(BadRequest):
    """The CSR is signed rightly but breaks a rule of PKCS #10 or X.509."""


class WishRefused(BadRequest):
    """The CSR asks for an extension that is never given on request."""


class SubjectRefused(BadRequest):
    """The subject or a subjectAltName is not one this profile certifies."""


class ChallengeRejected(BadRequest):
    """The challengePassword is absent, wrong, used, expired or bound to another name.

    One class and one text for all of them: a client must not learn which.
    """

    def __init__(self, *, detail: str = "") -> None:
        super().__init__("challenge password not accepted", detail=detail)


class ChallengeReused(ChallengeRejected):
    """It was used up already: somebody has it who should not, or a device is confused (RFC 8894 7.3)."""


class TooManyGuesses(ChallengeRejected):
    """Where it comes from, or everywhere, too many were wrong. Not worth a place in the database."""


class RenewalRefused(BadRequest):
    """The certificate that signed the renewal does not authorise it."""


class KeyRefused(BadRequest):
    """The key is of a type or size that the profile does not certify, or in use where it may not be."""


class TooManyActive(BadRequest):
    """The subject has as many certificates in force as its profile allows."""


class ValidatorDenied(BadRequest):
    """A validator decided against the request; its reason is told to the device."""


class ValidatorUnavailable(BadRequest):
    """A validator could not be asked, was too slow, or answered what is no verdict.

    One text for all of these: which it was is in the log.
    """

    def __init__(self, *, detail: str = "") -> None:
        super().__init__("the request cannot be checked at the moment; try again later", detail=detail)


class LintRefused(BadRequest):
    """What would be issued breaks a rule of X.509, and the profile does not let that pass."""


class BadCertId(ScepError):
    """No certificate or transaction of that name is known here."""

    fail_info = FailInfo.BAD_CERT_ID


class MalformedMessage(Exception):
    """Too broken to name a transaction and a nonce, so that no CertRep can answer it."""


class DecisionImpossible(Exception):
    """A request cannot be approved or rejected; the text goes on from "request 7" and says why."""


class StoreUnavailable(Exception):
    """The store could not write; the request was not carried out and may be sent again."""


class InvalidReply(Exception):
    """A server's answer that a client must not act on (RFC 8894 3.2.1, 4.2, 4.3)."""
