"""Steps that ask for certificates as they should be asked for, and go on with what was issued."""

import time
from collections.abc import Iterator
from itertools import pairwise

from app.client.client import Identity
from app.doctor.answers import Answer
from app.doctor.planned import carrying
from app.doctor.replies import find_leaf, judge_answer, judge_reply
from app.doctor.seen import Exchange, Found, Question, Seen
from app.doctor.step import Needs, Step
from app.doctor.target import GET
from app.doctor.visit import Visit
from app.personas import PERSONAS
from app.personas.material import make_material
from ca.errors import FailInfo
from ca.scep.messages import MessageType, PkiStatus
from ca.x509.certificate import Certificate

ENROLMENT = "enrolment"
_OTHER_STRING = "challenge as PrintableString"
_BY_GET = "enrolment by GET"
_POLLING = "poll of the enrolment"
_RENEWAL, _SAME_TRANSACTION, _REPLAY = "renewal", "renewal in the old transaction", "lost reply"
_POLL_SECONDS = 1.0
# What serial numbers drawn at random are never as close as.
_NEAR = 1 << 20
_ENROLS = carrying(ENROLMENT, "a PKCSReq with the challenge password")
_ENROLS_BY_GET = carrying(_BY_GET, "the same PKCSReq", "where the POST brings no CertRep", way=GET)
_ENROLS_AS_IOS = carrying(
    _OTHER_STRING, "a PKCSReq with the challenge password as a PrintableString", "where the first is refused"
)
_POLLS = carrying(_POLLING, "a CertPoll for that PKCSReq", "while it is held", times=2)
_RENEWS = carrying(_RENEWAL, "a RenewalReq that is signed with the certificate")
_RENEWS_AGAIN = carrying(
    _SAME_TRANSACTION, "another one, under the transactionID of the enrolment", "where the first is granted"
)
_REPEATS = carrying(_REPLAY, "the PKCSReq of the enrolment again")
_QUERIES = {
    kind: carrying(kind.label, f"a {kind.label} for the certificate")
    for kind in (MessageType.GET_CERT, MessageType.GET_CRL)
}


def _send_enrolment(visit: Visit) -> None:
    applicant, challenge = visit.applicant(), visit.challenge()
    csr = applicant.csr(challenge)
    asked = visit.asking.enrol(applicant, csr)
    answer = visit.operate(_ENROLS, asked)
    if not answer.is_reply and visit.seen.offers_post and not visit.by_get:
        visit.by_get = True
        answer = visit.operate(_ENROLS_BY_GET, asked)
    if answer.status is PkiStatus.FAILURE:
        # As iOS writes it. A server that reads no other string refuses all the others.
        csr = make_material(PERSONAS["ios"], applicant.name, (), applicant.key, challenge).csr
        asked = visit.asking.enrol(applicant, csr)
        answer = visit.operate(_ENROLS_AS_IOS, asked)
    for _ in range(_POLLS.times):
        if answer.status is not PkiStatus.PENDING:
            break
        time.sleep(_POLL_SECONDS)
        poll = visit.asking.poll(asked.signer, asked.transaction.transaction_id)
        answer = visit.operate(_POLLS, poll)
    leaf = find_leaf(answer, asked) if answer.status is PkiStatus.SUCCESS else None
    if leaf is not None:
        visit.identity, visit.enrolled = Identity(leaf, applicant.key), asked
        visit.applied = applicant, csr
        visit.sample = visit.sample or asked


def _judge_enrolment(seen: Seen) -> Iterator[Found]:
    first, second = seen.first(_BY_GET) or seen.first(ENROLMENT), seen.first(_OTHER_STRING)
    for exchange in (*seen.of(ENROLMENT), *seen.of(_BY_GET), *seen.of(_POLLING)):
        yield from judge_reply(exchange, seen)
    if first is not None and Answer(first, seen.now).status is PkiStatus.FAILURE:
        if second is not None and Answer(second, seen.now).status is PkiStatus.SUCCESS:
            yield Found("challenge-string", ENROLMENT, "a UTF8String is refused, a PrintableString granted")
        else:
            yield _refused(Answer(first, seen.now))
    last = seen.last(_POLLING)
    if last is not None and Answer(last, seen.now).status is PkiStatus.FAILURE:
        yield Found("challenge-refused", _POLLING, Answer(last, seen.now).why)
    elif last is not None and Answer(last, seen.now).status is PkiStatus.PENDING:
        yield Found("request-held", _POLLING, "PENDING")


def _refused(answer: Answer) -> Found:
    """What a refusal means of a request in which nothing is wrong but, perhaps, the challenge."""
    match answer.attribute("failInfo")[:1]:
        case FailInfo.BAD_ALG:
            finding = "des-not-read"
        case FailInfo.BAD_MESSAGE_CHECK:
            finding = "ca-mixed-up"
        case _:
            finding = "challenge-refused"
    return Found(finding, answer.exchange.step, answer.why)


def _send_renewal(visit: Visit) -> None:
    if visit.identity is None or visit.enrolled is None:
        return
    # Many a CA insists on the old certificate's subject.
    successor = visit.successor(visit.identity.certificate.subject)
    answer = visit.operate(_RENEWS, visit.asking.renew(successor, visit.identity))
    if answer.status is PkiStatus.SUCCESS:
        old = visit.enrolled.transaction.transaction_id
        visit.send(_RENEWS_AGAIN, visit.asking.renew(successor, visit.identity, old))


def _judge_renewal(seen: Seen) -> Iterator[Found]:
    for exchange in seen.of(_RENEWAL):
        yield from judge_reply(exchange, seen)
        answer = Answer(exchange, seen.now)
        if answer.status is PkiStatus.FAILURE and "RENEWAL" in seen.capabilities:
            yield Found("renewal-refused", _RENEWAL, answer.why)
    for exchange in seen.of(_SAME_TRANSACTION):
        first = _enrolled(seen)
        if first and first.der in {one.der for one in Answer(exchange, seen.now).issued}:
            yield Found("transaction-cache", _SAME_TRANSACTION, "the old certificate came back")


def _send_replay(visit: Visit) -> None:
    if visit.enrolled is not None:
        visit.send(_REPEATS, visit.enrolled)


def _judge_replay(seen: Seen) -> Iterator[Found]:
    for exchange in seen.of(_REPLAY):
        answer, first = Answer(exchange, seen.now), _enrolled(seen)
        if not answer.is_reply:
            yield from judge_answer(exchange, seen)
        elif answer.status is not PkiStatus.SUCCESS:
            yield Found("lost-reply", _REPLAY, f"it is refused: {answer.why}")
        elif first is None or first.der not in {one.der for one in answer.issued}:
            yield Found("lost-reply", _REPLAY, "another certificate was issued")


def _enrolled(seen: Seen) -> Certificate | None:
    """The certificate of the enrolment."""
    steps = (ENROLMENT, _BY_GET, _OTHER_STRING, _POLLING)
    exchanges = [exchange for step in steps for exchange in seen.of(step)]
    asked = next((one.asked for one in exchanges if one.asked and one.asked.spki), None)
    found = (find_leaf(Answer(one, seen.now), asked) for one in exchanges if asked)
    return next((one for one in found if one is not None), None)


def _send_queries(visit: Visit) -> None:
    if visit.identity is not None:
        for kind, planned in _QUERIES.items():
            visit.send(planned, visit.asking.query(kind, visit.identity.certificate, visit.identity))


def _judge_queries(seen: Seen) -> Iterator[Found]:
    for planned in _QUERIES.values():
        for exchange in seen.of(planned.name):
            answer = Answer(exchange, seen.now)
            if answer.is_reply:
                yield from judge_reply(exchange, seen)
            else:
                yield Found("query-unserved", planned.name, answer.why)


def judge_serials(seen: Seen) -> Iterator[Found]:
    """The serial numbers of all that was issued."""
    found = {one.der: one for exchange in seen.all() if (one := issued_by(exchange, seen))}
    numbers = [one.serial_number for one in found.values()]
    if len(set(numbers)) < len(numbers):
        twice = next(one for one in numbers if numbers.count(one) > 1)
        yield Found("serial-repeated", "certificates", f"{twice:x} is that of two")
    near = [pair for pair in pairwise(sorted(set(numbers))) if pair[1] - pair[0] < _NEAR]
    if near:
        yield Found("serial-sequential", "certificates", f"{near[0][0]:x} and {near[0][1]:x}")


def issued_by(exchange: Exchange, seen: Seen) -> Certificate | None:
    """What an exchange brought to the key that it asked for."""
    asked: Question | None = exchange.asked
    return find_leaf(Answer(exchange, seen.now), asked) if asked and asked.spki else None


STEPS = (
    Step(
        ENROLMENT,
        Needs.CHALLENGE,
        (_ENROLS, _ENROLS_BY_GET, _ENROLS_AS_IOS, _POLLS),
        "the whole way to a certificate",
        _send_enrolment,
        _judge_enrolment,
    ),
    Step(
        _RENEWAL,
        Needs.CERTIFICATE,
        (_RENEWS, _RENEWS_AGAIN),
        "so clients renew, without a challenge",
        _send_renewal,
        _judge_renewal,
    ),
    Step(
        _REPLAY,
        Needs.CERTIFICATE,
        (_REPEATS,),
        "a client whose reply was lost asks again",
        _send_replay,
        _judge_replay,
    ),
    Step(
        "GetCert and GetCRL",
        Needs.CERTIFICATE,
        tuple(_QUERIES.values()),
        "clients without another way ask so",
        _send_queries,
        _judge_queries,
    ),
)
