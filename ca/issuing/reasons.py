"""The reasons for revoking a certificate (RFC 5280 5.3.1)."""

from enum import IntEnum


class Reason(IntEnum):
    """Why a certificate is revoked, by the names and numbers of CRLReason."""

    unspecified = 0
    keyCompromise = 1
    cACompromise = 2
    affiliationChanged = 3
    superseded = 4
    cessationOfOperation = 5
    certificateHold = 6
    removeFromCRL = 8
    privilegeWithdrawn = 9
    aACompromise = 10
