"""What is asked in the soak, and how often."""

from enum import StrEnum


class Kind(StrEnum):
    """What is done: requests, and at the end what an administrator does beside them."""

    ENROL = "enrolment"
    RENEW = "renewal"
    HOLD = "request that has to wait"
    POLL = "poll"
    GET_CA = "GetCACert"
    CRL = "CRL"
    OCSP_POST = "OCSP by POST"
    OCSP_GET = "OCSP by GET"
    GUESS = "wrong challenge"
    DAMAGED = "damaged message"
    DECIDE = "approval, rejection"
    REVOKE = "revocation"


# Of a thousand. More is decided than comes to wait, or the queue would fill up to its bound.
MIX = {
    Kind.ENROL: 250,
    Kind.RENEW: 160,
    Kind.HOLD: 35,
    Kind.POLL: 170,
    Kind.GET_CA: 80,
    Kind.CRL: 70,
    Kind.OCSP_POST: 70,
    Kind.OCSP_GET: 70,
    Kind.GUESS: 15,
    Kind.DAMAGED: 25,
    Kind.DECIDE: 53,
    Kind.REVOKE: 2,
}
