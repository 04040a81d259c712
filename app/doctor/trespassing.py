"""Steps that ask for what a server has to refuse, and look at how it does."""

import re
from collections.abc import Callable, Iterator

from app.doctor.answers import Answer
from app.doctor.asking import UNKNOWN_EXTENSION, impersonate, pad_badly, spoil_signature
from app.doctor.enrolling import issued_by
from app.doctor.planned import carrying
from app.doctor.replies import judge_reply
from app.doctor.seen import Exchange, Found, Seen
from app.doctor.step import Needs, Step
from app.doctor.visit import Visit
from ca.policy.challenges import new_challenge
from ca.scep.messages import PkiStatus

UNKNOWN_TYPE = "unknown messageType"
_WRONG_CHALLENGE = "wrong challenge"
_STRANGER = "renewal by a stranger"
_UNPROVEN = "CSR signed wrongly"
_ASTRAY = "encrypted to another"
EXTENSION = "unknown extension"
_UNREADABLE = "unreadable envelopes"
_OF_CHALLENGES = re.compile("challenge|password", re.IGNORECASE)
_GUESS = carrying(_WRONG_CHALLENGE, "a PKCSReq with a wrong challenge password")
_BY_STRANGER = carrying(_STRANGER, "a RenewalReq that is signed with a certificate of its own making")
_SPOILT = carrying(_UNPROVEN, "a PKCSReq with the challenge password, one bit of the CSR's signature turned")
_TO_ANOTHER = carrying(_ASTRAY, "a PKCSReq that is encrypted to another certificate")
_OTHER_KEY = carrying(_UNREADABLE, "a PKCSReq under a key that is not the server's")
_BAD_PADDING = carrying(_UNREADABLE, "a PKCSReq with wrong padding")
_NO_CSR = carrying(_UNREADABLE, "a PKCSReq without a CSR in it")
_ODD = carrying(EXTENSION, "a PKCSReq with the challenge password, and an extension that nobody knows")
_TYPE_99 = carrying(UNKNOWN_TYPE, "a message of type 99")


def _send_wrong_challenge(visit: Visit) -> None:
    applicant = visit.applicant(2)
    # Not made of the right one: servers log what was wrong.
    csr = applicant.csr(new_challenge())
    visit.send(_GUESS, visit.asking.enrol(applicant, csr))


def _send_stranger(visit: Visit) -> None:
    applicant = visit.applicant(1)
    visit.send(_BY_STRANGER, visit.asking.renew(applicant, applicant.identity))


def _send_unproven(visit: Visit) -> None:
    if visit.seen.refused_at:
        visit.seen.unasked.add(_UNPROVEN)
        return
    applicant = visit.applicant(2)
    csr = spoil_signature(applicant.csr(visit.challenge()))
    visit.send(_SPOILT, visit.asking.enrol(applicant, csr))


def _forbidden(step: str, finding: str) -> Callable[[Seen], Iterator[Found]]:
    """What must not bring a certificate. How it is refused is judged as every reply is."""

    def judge(seen: Seen) -> Iterator[Found]:
        for exchange in seen.of(step):
            if Answer(exchange, seen.now).status is PkiStatus.SUCCESS:
                yield Found(finding, step, "a certificate was issued")
            else:
                yield from judge_reply(exchange, seen)

    return judge


def _send_astray(visit: Visit) -> None:
    applicant, stranger = visit.applicant(2), visit.applicant(1)
    recipient = stranger.identity.certificate
    visit.send(_TO_ANOTHER, visit.asking.enrol(applicant, applicant.csr(""), recipient=recipient))


def _judge_astray(seen: Seen) -> Iterator[Found]:
    for exchange in seen.of(_ASTRAY):
        if Answer(exchange, seen.now).is_reply:
            yield from judge_reply(exchange, seen)
        else:
            yield Found("wrong-recipient-fault", _ASTRAY, Answer(exchange, seen.now).why)


def _send_unreadable(visit: Visit) -> None:
    """It names the server, and: its key is another's; its padding is wrong; it holds no CSR."""
    applicant = visit.applicant(2)
    recipient = impersonate(visit.asking.recipient, visit.key(1))
    visit.send(_OTHER_KEY, visit.asking.enrol(applicant, applicant.csr(""), recipient=recipient))
    visit.send(_BAD_PADDING, visit.asking.enrol(applicant, applicant.csr(""), vary=pad_badly))
    visit.send(_NO_CSR, visit.asking.enrol(applicant, b"scepbox doctor"))


def _judge_unreadable(seen: Seen) -> Iterator[Found]:
    told = [_told(Answer(exchange, seen.now)) for exchange in seen.of(_UNREADABLE)]
    if len(set(told)) > 1:
        kinds = ("another's key", "wrong padding", "no CSR")
        said = (f"{kind} brings {text}" for kind, text in zip(kinds, told, strict=False))
        yield Found("server-oracle", _UNREADABLE, ", ".join(said))


def _told(answer: Answer) -> str:
    """What whoever asks learns."""
    exchange: Exchange = answer.exchange
    return answer.why if answer.is_reply or exchange.answer is None else f"HTTP {exchange.status}"


def _send_extension(visit: Visit) -> None:
    applicant = visit.applicant(2)
    answer = visit.operate(_ODD, visit.asking.enrol(applicant, applicant.odd_csr(visit.challenge())))
    # It may be refused for the extension as well.
    if answer.status is PkiStatus.FAILURE and _OF_CHALLENGES.search(answer.why):
        visit.refuse(EXTENSION)


def _judge_unproven(seen: Seen) -> Iterator[Found]:
    if _UNPROVEN in seen.unasked:
        yield Found("not-enrolled", _UNPROVEN, seen.why_unasked)
    yield from _forbidden(_UNPROVEN, "csr-signature-unchecked")(seen)


def _judge_extension(seen: Seen) -> Iterator[Found]:
    for exchange in seen.of(EXTENSION):
        yield from judge_reply(exchange, seen)
        leaf = issued_by(exchange, seen)
        if leaf is not None and UNKNOWN_EXTENSION in leaf.extensions:
            yield Found("extension-copied", EXTENSION, f"{UNKNOWN_EXTENSION} is in the certificate")


def _send_unknown(visit: Visit) -> None:
    if visit.identity is not None:
        visit.send(_TYPE_99, visit.asking.unknown(visit.identity))


def _judge_unknown(seen: Seen) -> Iterator[Found]:
    for exchange in seen.of(UNKNOWN_TYPE):
        if exchange.answer is None or exchange.status >= 500:
            yield Found("nonsense-fault", UNKNOWN_TYPE, Answer(exchange, seen.now).why)


STEPS = (
    Step(
        _WRONG_CHALLENGE,
        Needs.CERTIFICATE,
        (_GUESS,),
        "it must be refused, and the client told so",
        _send_wrong_challenge,
        _forbidden(_WRONG_CHALLENGE, "challenge-unchecked"),
    ),
    Step(
        _STRANGER,
        Needs.CERTIFICATE,
        (_BY_STRANGER,),
        "it must be refused: else nobody needs a challenge",
        _send_stranger,
        _forbidden(_STRANGER, "renewal-open"),
    ),
    Step(
        _ASTRAY,
        Needs.CERTIFICATE,
        (_TO_ANOTHER,),
        "a client with an old CA certificate has to hear of it",
        _send_astray,
        _judge_astray,
    ),
    Step(
        _UNREADABLE,
        Needs.CERTIFICATE,
        (_OTHER_KEY, _BAD_PADDING, _NO_CSR),
        "who can tell the one answer from the other can decrypt what others sent",
        _send_unreadable,
        _judge_unreadable,
    ),
    Step(
        EXTENSION,
        Needs.CERTIFICATE,
        (_ODD,),
        "a server decides what stands in its certificates",
        _send_extension,
        _judge_extension,
    ),
    Step(
        _UNPROVEN,
        Needs.CERTIFICATE,
        (_SPOILT,),
        "who does not hold a key must not have it certified",
        _send_unproven,
        _judge_unproven,
    ),
)
LAST = (
    Step(
        UNKNOWN_TYPE,
        Needs.CERTIFICATE,
        (_TYPE_99,),
        "one odd message must not end the server",
        _send_unknown,
        _judge_unknown,
    ),
)
