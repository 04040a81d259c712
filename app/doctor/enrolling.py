"""Steps that ask for certificates, as they should be asked for and as they should not."""

import time
from collections.abc import Callable, Iterator
from itertools import pairwise

from app.client.client import Identity
from app.doctor.answers import Answer
from app.doctor.asking import UNKNOWN_EXTENSION, spoil_signature, with_unknown_extension
from app.doctor.reading import CAPABILITIES
from app.doctor.replies import find_leaf, judge_answer, judge_reply
from app.doctor.seen import Exchange, Found, Seen
from app.doctor.step import Needs, Step
from app.doctor.visit import Visit
from ca.scep.messages import MessageType, PkiStatus
from ca.x509.certificate import Certificate

ENROLMENT, POLLING = "enrolment", "poll of the enrolment"
_POLLS, _POLL_SECONDS = 3, 2.0
# What serial numbers drawn at random are never as close as.
_NEAR = 1 << 20


def _send_enrolment(visit: Visit) -> None:
    applicant = visit.applicant()
    asked = visit.asking.enrol(applicant, applicant.csr(visit.challenge()))
    answer = visit.operate(ENROLMENT, asked)
    for _ in range(_POLLS):
        if answer.status is not PkiStatus.PENDING:
            break
        time.sleep(_POLL_SECONDS)
        poll = visit.asking.poll(asked)
        answer = visit.operate(POLLING, poll)
    leaf = find_leaf(answer, asked) if answer.status is PkiStatus.SUCCESS else None
    if leaf is not None:
        visit.identity = Identity(leaf, applicant.key)
        visit.sample = visit.sample or asked


def _judge_enrolment(seen: Seen) -> Iterator[Found]:
    for exchange in (*seen.of(ENROLMENT), *seen.of(POLLING)):
        yield from judge_reply(exchange, seen)
        answer = Answer(exchange, seen.now)
        if answer.status is PkiStatus.FAILURE:
            finding = "des-not-read" if answer.attribute("failInfo").startswith("0") else "challenge-refused"
            yield Found(finding, exchange.step, answer.why)
    last = seen.last(POLLING) or seen.last(ENROLMENT)
    if last is not None and Answer(last, seen.now).status is PkiStatus.PENDING:
        yield Found("request-held", last.step)


def _send_replay(visit: Visit) -> None:
    first = visit.seen.first(ENROLMENT)
    if first is not None and first.asked is not None:
        visit.operate("lost reply", first.asked)


def _judge_replay(seen: Seen) -> Iterator[Found]:
    for exchange in seen.of("lost reply"):
        answer = Answer(exchange, seen.now)
        if not answer.is_reply:
            yield from judge_answer(exchange, seen)
        elif answer.status is not PkiStatus.SUCCESS:
            yield Found("lost-reply", exchange.step, f"it is refused: {answer.why}")
        elif _der(issued_by(exchange, seen)) != _der(_enrolled(seen)):
            yield Found("lost-reply", exchange.step, "another certificate was issued")


def _der(certificate: Certificate | None) -> bytes:
    return certificate.der if certificate else b""


def _enrolled(seen: Seen) -> Certificate | None:
    return issued_by(seen.last(POLLING) or seen.first(ENROLMENT), seen)


def issued_by(exchange: Exchange | None, seen: Seen) -> Certificate | None:
    """What an exchange brought, for the key that was asked for or else the first."""
    if exchange is None or exchange.asked is None:
        return None
    answer = Answer(exchange, seen.now)
    return find_leaf(answer, exchange.asked) or next(iter(answer.issued), None)


def _send_renewal(visit: Visit) -> None:
    if visit.identity is not None:
        visit.operate("renewal", visit.asking.renew(visit.applicant(), visit.identity))


def _judge_renewal(seen: Seen) -> Iterator[Found]:
    for exchange in seen.of("renewal"):
        answer = Answer(exchange, seen.now)
        first = _enrolled(seen)
        if answer.status is PkiStatus.FAILURE and "RENEWAL" in seen.capabilities:
            yield Found("renewal-refused", exchange.step, answer.why)
        if answer.status is PkiStatus.SUCCESS and first and first.der in map(_der, answer.issued):
            yield Found("transaction-cache", exchange.step, "it is the certificate that was to be renewed")
        else:
            yield from judge_reply(exchange, seen)


def _send_unproven(visit: Visit) -> None:
    applicant = visit.applicant()
    csr = spoil_signature(applicant.csr(visit.challenge()))
    visit.operate("CSR signed wrongly", visit.asking.enrol(applicant, csr))


def _send_wrong_challenge(visit: Visit) -> None:
    applicant = visit.applicant()
    csr = applicant.csr(f"not {visit.challenges[0]}" if visit.challenges else "scepbox doctor")
    visit.operate("wrong challenge", visit.asking.enrol(applicant, csr))


def _send_stranger(visit: Visit) -> None:
    applicant = visit.applicant()
    visit.operate("renewal by a stranger", visit.asking.renew(applicant, applicant.identity))


def _judge_forbidden(step: str, finding: str) -> Callable[[Seen], Iterator[Found]]:
    """What must not bring a certificate. How it is refused is judged as every reply is."""

    def judge(seen: Seen) -> Iterator[Found]:
        for exchange in seen.of(step):
            if Answer(exchange, seen.now).status is PkiStatus.SUCCESS:
                yield Found(finding, step, "a certificate was issued")
            else:
                yield from judge_reply(exchange, seen)

    return judge


def _send_astray(visit: Visit) -> None:
    applicant = visit.applicant()
    stranger = visit.applicant().identity.certificate
    asked = visit.asking.enrol(applicant, applicant.csr(""), recipient=stranger)
    visit.operate("encrypted to another", asked)


def _judge_astray(seen: Seen) -> Iterator[Found]:
    for exchange in seen.of("encrypted to another"):
        answer = Answer(exchange, seen.now)
        if answer.is_reply:
            yield from judge_reply(exchange, seen)
        else:
            yield Found("wrong-recipient-fault", exchange.step, answer.why)


def _send_extension(visit: Visit) -> None:
    applicant = visit.applicant()
    csr = with_unknown_extension(applicant, visit.challenge())
    visit.operate("unknown extension", visit.asking.enrol(applicant, csr))


def _judge_extension(seen: Seen) -> Iterator[Found]:
    for exchange in seen.of("unknown extension"):
        yield from judge_reply(exchange, seen)
        leaf = issued_by(exchange, seen)
        if leaf is not None and UNKNOWN_EXTENSION in leaf.extensions:
            yield Found("extension-copied", exchange.step, UNKNOWN_EXTENSION)


def _send_queries(visit: Visit) -> None:
    if visit.identity is not None:
        for message_type in (MessageType.GET_CERT, MessageType.GET_CRL):
            asked = visit.asking.query(message_type, visit.identity.certificate, visit.identity)
            visit.operate(message_type.label, asked)


def _judge_queries(seen: Seen) -> Iterator[Found]:
    for step in (MessageType.GET_CERT.label, MessageType.GET_CRL.label):
        for exchange in seen.of(step):
            answer = Answer(exchange, seen.now)
            if answer.is_reply:
                yield from judge_reply(exchange, seen)
            else:
                yield Found("query-unserved", step, answer.why)


def _send_unknown(visit: Visit) -> None:
    if visit.identity is not None:
        visit.operate("unknown messageType", visit.asking.unknown(visit.identity))
        visit.get("is it still there?", "GetCACaps")


def _judge_unknown(seen: Seen) -> Iterator[Found]:
    after, before = seen.first("is it still there?"), seen.first(CAPABILITIES)
    if after is not None and before is not None and not after.status and before.status:
        yield Found("message-type-kills", "unknown messageType", after.sent.trouble)
        return
    for exchange in seen.of("unknown messageType"):
        if exchange.answer is None or exchange.status >= 500:
            yield Found("server-fault", exchange.step, Answer(exchange, seen.now).why)


def judge_serials(seen: Seen) -> Iterator[Found]:
    """The serial numbers of all that was issued."""
    found: dict[bytes, Certificate] = {}
    for exchange in seen.all():
        leaf = issued_by(exchange, seen) if exchange.asked and exchange.asked.spki else None
        if leaf is not None:
            found.setdefault(leaf.der, leaf)
    numbers = [one.serial_number for one in found.values()]
    if len(set(numbers)) < len(numbers):
        twice = next(one for one in numbers if numbers.count(one) > 1)
        yield Found("serial-repeated", "certificates", f"{twice:x}")
    numbers = sorted(set(numbers))
    near = [pair for pair in pairwise(numbers) if pair[1] - pair[0] < _NEAR]
    if near:
        yield Found("serial-sequential", "certificates", f"{near[0][0]:x} and {near[0][1]:x}")


STEPS = (
    Step(
        ENROLMENT,
        Needs.CHALLENGE,
        "a PKCSReq with the challenge password, polled three times where it is held",
        "the whole way to a certificate",
        _send_enrolment,
        _judge_enrolment,
    ),
    Step(
        "lost reply",
        Needs.CERTIFICATE,
        "the same PKCSReq again",
        "a client whose reply was lost asks again",
        _send_replay,
        _judge_replay,
    ),
    Step(
        "renewal",
        Needs.CERTIFICATE,
        "a RenewalReq that is signed with the certificate",
        "so clients renew, without a challenge",
        _send_renewal,
        _judge_renewal,
    ),
    Step(
        "GetCert and GetCRL",
        Needs.CERTIFICATE,
        "a GetCert and a GetCRL for the certificate",
        "clients without another way ask so",
        _send_queries,
        _judge_queries,
    ),
    Step(
        "wrong challenge",
        Needs.CERTIFICATE,
        "a PKCSReq with a wrong challenge password",
        "it must be refused, and the client told so",
        _send_wrong_challenge,
        _judge_forbidden("wrong challenge", "challenge-unchecked"),
    ),
    Step(
        "renewal by a stranger",
        Needs.CERTIFICATE,
        "a RenewalReq that is signed with a certificate of its own making",
        "it must be refused: else nobody needs a challenge",
        _send_stranger,
        _judge_forbidden("renewal by a stranger", "renewal-open"),
    ),
    Step(
        "CSR signed wrongly",
        Needs.CERTIFICATE,
        "a PKCSReq with the challenge password, and one bit of the CSR's signature turned",
        "who does not hold a key must not have it certified",
        _send_unproven,
        _judge_forbidden("CSR signed wrongly", "csr-signature-unchecked"),
    ),
    Step(
        "encrypted to another",
        Needs.CERTIFICATE,
        "a PKCSReq that is encrypted to another certificate",
        "a client with an old CA certificate has to hear of it",
        _send_astray,
        _judge_astray,
    ),
    Step(
        "unknown extension",
        Needs.CERTIFICATE,
        "a PKCSReq with the challenge password, and an extension that nobody knows",
        "a server decides what stands in its certificates",
        _send_extension,
        _judge_extension,
    ),
)
LAST = (
    Step(
        "unknown messageType",
        Needs.CERTIFICATE,
        "a message of type 99, and GetCACaps after it",
        "one odd message must not end the server",
        _send_unknown,
        _judge_unknown,
    ),
)
