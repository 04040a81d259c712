"""From an exchange as it was heard to a line of a segment. What is secret ends here.

Done beside the requests, in a thread that shares their processor: it has to cost little.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime

from app.recorder.heard import Heard
from app.recorder.http_octets import is_chunked
from app.recorder.recording import FORMAT, MAX_KEPT_OCTETS, encode
from app.recorder.redaction import redact_request
from ca.algorithms.keys import key_label
from ca.asn1 import Asn1Error
from ca.deviations import Deviation, DeviationKind
from ca.errors import ChallengeRejected, ChallengeReused, EnvelopeUnreadable, TooManyGuesses
from ca.journal import Exchange, cut
from ca.scep.messages import EnrolmentRequest
from ca.x509 import oids
from ca.x509.extensions import Extension
from ca.x509.general_names import read_general_names

# What a rule of the responder is in the knowledge of explain; all others are a refusal like any.
FINDINGS = {
    "BadMessageCheck": "signature-wrong",
    **dict.fromkeys(("ChallengeRejected", "ChallengeReused", "TooManyGuesses"), "challenge-refused"),
}
# What went wrong behind the encryption, by how its detail begins; the device is told the same of all of it.
BEHIND_THE_ENVELOPE = {
    "the CSR is not signed by its own key": "csr-signature-wrong",
    "CSR: ": "damaged-encoding",
}
_NO_ANSWER = "unanswered"
# By the status of HTTP.
_OUTCOMES = {200: "answered", 500: "failed", 503: "failed", 0: _NO_ANSWER}
# Wishes whose values are no secret and name nobody.
_PLAIN_WISHES = {oids.KEY_USAGE, oids.EXTENDED_KEY_USAGE, oids.BASIC_CONSTRAINTS}
_UNREADABLE = EnvelopeUnreadable.__name__
_SPENT = ChallengeReused.__name__
_REJECTED = {one.__name__ for one in (ChallengeRejected, TooManyGuesses)}
_MOST = 64
_encode = json.JSONEncoder(separators=(",", ":")).encode


def make_line(heard: Heard, id: str) -> bytes:
    """The recording of *heard*, under the name *id*: JSON in one line, with its end."""
    status = heard.status if heard.reply else 0
    exchange = heard.exchange
    request, cut_request = _kept(redact_request(heard.request_head, _as_sent(heard)))
    reply, cut_reply = _kept(heard.reply)
    told: dict[str, object] = {
        "format": FORMAT,
        "id": id,
        "at": datetime.fromtimestamp(heard.ended_at - heard.seconds, UTC).isoformat().replace("+00:00", "Z"),
        "remote": heard.remote,
        "client": heard.client,
        "operation": heard.operation,
        "profile": heard.profile,
        "status": status,
        "outcome": _OUTCOMES.get(status, "refused"),
        "seconds": {"total": round(heard.seconds, 6)},
    }
    if exchange is not None:
        told |= _operation(exchange)
        if not status:
            told["outcome"] = _NO_ANSWER
    elif status >= 400:
        told["reason"] = _last_line(heard.reply)
    if found := [*_findings(heard, status)]:
        told["findings"] = found
    if cut_request or cut_reply:
        told["cut"] = True
    # What is long needs nothing escaped, and is not looked through for it.
    return b'%s,"request":"%s","reply":"%s"}\n' % (
        _encode(told)[:-1].encode(),
        encode(request),
        encode(reply),
    )


def _as_sent(heard: Heard) -> bytes:
    """The body in the framing that its head speaks of."""
    body = heard.request_body
    return b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if is_chunked(heard.request_head) and body else body


def is_refusal(heard: Heard) -> bool:
    """Whether a device went away with a FAILURE, or with a fault of the server.

    What is refused by HTTP for other reasons is nothing that anybody was meant to have: strangers cause it.
    """
    return heard.status >= 500 or (heard.exchange is not None and heard.exchange.fail_info is not None)


def _operation(exchange: Exchange) -> dict[str, object]:
    """What came of a PKIOperation, the empty left out."""
    told: dict[str, object] = {
        "message": exchange.message_type,
        "outcome": exchange.status,
        "stage": str(exchange.stage),
        "fail_info": exchange.fail_info,
        "rule": exchange.rule,
        "reason": cut(exchange.reason),
        "detail": cut(exchange.detail),
        "transaction_id": exchange.transaction.transaction_id,
        "subject": cut(exchange.subject),
        "serial": exchange.serial,
        "renewal_of": exchange.renewal_of,
        "note": cut(exchange.note),
        "asked": None if exchange.request is None else _asked(exchange.request, exchange.rule),
    }
    laps = exchange.laps
    seconds: dict[str, float] = {stage: round(took, 6) for stage, took in laps.seconds.items()}
    return {
        **{name: value for name, value in told.items() if value},
        "seconds": {**seconds, "total": round(laps.total, 6)},
    }


def _asked(request: EnrolmentRequest, rule: str) -> dict[str, object]:
    """What the CSR asks for; of its challenge password only how it was."""
    csr = request.csr
    challenge = "absent" if csr.challenge_password is None else "given"
    if challenge == "given" and (rule == _SPENT or rule in _REJECTED):
        challenge = "spent" if rule == _SPENT else "refused"
    asked: dict[str, object] = {"key": key_label(csr.public_key), "challenge": challenge}
    names = [one for one in csr.extensions if one.oid == oids.SUBJECT_ALT_NAME]
    if sans := [cut(san) for one in names for san in _names(one)]:
        asked["sans"] = sans[:_MOST]
    if wishes := [_wish(one) for one in csr.extensions if one not in names]:
        asked["wishes"] = wishes[:_MOST]
    return asked


def _names(extension: Extension) -> list[str]:
    try:
        return [str(one) for one in read_general_names(extension.value)]
    except Asn1Error:
        # It was refused for that.
        return []


def _wish(one: Extension) -> dict[str, object]:
    wish: dict[str, object] = {"oid": one.oid, "critical": one.critical}
    return {**wish, "value": one.value.hex()} if one.oid in _PLAIN_WISHES and len(one.value) < 1024 else wish


def _findings(heard: Heard, status: int) -> Iterator[dict[str, str]]:
    exchange = heard.exchange
    if exchange is not None and exchange.fail_info:
        if exchange.rule in FINDINGS:
            yield _finding(FINDINGS[exchange.rule], detail=exchange.detail)
        elif exchange.rule == _UNREADABLE:
            yield _unreadable(exchange)
        if exchange.request is not None and exchange.rule in _REJECTED:
            absent = exchange.request.csr.challenge_password is None
            yield from [_finding("csr-no-challenge")] if absent else []
        yield _finding("refused", detail=f"{exchange.fail_info}: {exchange.reason}")
    elif exchange is not None and exchange.status == "pending":
        yield _finding("pending")
    elif status >= 500:
        yield _finding("server-fault", detail=_last_line(heard.reply))
    elif status >= 400:
        yield _finding("http-error", detail=f"{status}: {_last_line(heard.reply)}")
    deviations: list[Deviation] = list(heard.deviations or ())
    for one in deviations[:_MOST]:
        yield _finding(one.kind.value, one.place, one.detail)


def _unreadable(exchange: Exchange) -> dict[str, str]:
    """Why nothing could be made of an envelope: for the operator, never for the device (RFC 3218)."""
    # With another key than it is for, an envelope does not open, or now and then to rubbish that is no CSR.
    named_other = any(one.kind is DeviationKind.RECIPIENT_REFOUND for one in exchange.deviations)
    found = next((id for words, id in BEHIND_THE_ENVELOPE.items() if exchange.detail.startswith(words)), "")
    if named_other and found != "csr-signature-wrong":
        return _finding("ca-mixed-up", "recipientInfos", exchange.detail)
    return _finding(found or "envelope-not-opened", "csr" if found else "", exchange.detail)


def _finding(id: str, place: str = "", detail: str = "") -> dict[str, str]:
    return {"id": id, "place": place, "detail": cut(detail)}


def _last_line(reply: bytes) -> str:
    """The one line of text that a refusal by HTTP has for a body."""
    return cut(reply.rpartition(b"\r\n\r\n")[2].decode("latin-1").strip())


def _kept(octets: bytes) -> tuple[bytes, bool]:
    return octets[:MAX_KEPT_OCTETS], len(octets) > MAX_KEPT_OCTETS
