"""An OCSP request that gets no answer but a status (RFC 6960 2.3)."""

from enum import IntEnum

from ca.asn1 import tags, writer


class ResponseStatus(IntEnum):
    """OCSPResponseStatus (RFC 6960 4.2.1)."""

    successful = 0
    malformedRequest = 1
    internalError = 2
    tryLater = 3
    unauthorized = 6


class OcspRefusal(Exception):
    """The request is not answered; the text is for the log."""

    def __init__(self, status: ResponseStatus, text: str) -> None:
        super().__init__(text)
        self.status = status

    def encode(self) -> bytes:
        """The OCSPResponse that says so: a status without responseBytes, and without a signature."""
        return writer.sequence(writer.encode(tags.ENUMERATED, bytes((self.status,))))
