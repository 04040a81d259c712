"""Steps that send one and the same message in the ways in which clients send messages.

The message is a CertPoll for a transaction that nobody knows: it asks for nothing, and changes nothing.
Where the server does not know how to answer one, and did answer an enrolment, it is that again.
"""

from collections.abc import Callable, Iterator, Mapping

from app.doctor.answers import Answer
from app.doctor.planned import Planned, carrying
from app.doctor.replies import judge_reply
from app.doctor.seen import Exchange, Found, Question, Seen
from app.doctor.step import Needs, Step
from app.doctor.target import GET, POST, Spelling, Way
from app.doctor.visit import Visit
from ca.scep.messages import MessageType

POLL = "CertPoll"
BY_POST, BY_GET = "message by POST", "message by GET"
_LONG, _LARGE, _LARGE_CSR = "long GET", "large POST", "large CSR by POST"
# More than the 2 KiB and 4 KiB that some stop at, and less than the 8 KiB that most take.
_MORE_OCTETS = 2600
# Of a body: more than what most messages have, and no more than a CSR with many names makes of it.
_LARGE_OCTETS = 24_000
_LARGE_NAMES = 700
_WHY_LARGE = "many names, long keys and chains make large bodies"
_NO_SUCH_METHOD = (404, 405, 501)
_POLL = carrying(POLL, "a CertPoll for a transaction that nobody knows")
_POLL_BY_GET = carrying(POLL, "the same CertPoll", "where the POST brings no CertRep", way=GET)
_LONG_POLL = carrying(
    _LONG, "a longer CertPoll: an address of about 6 KiB", "where the short one is answered", way=GET
)
_LARGE_POLL = carrying(_LARGE, "a CertPoll of about 24 KiB", "where CertPolls by POST are answered", way=POST)
_LARGE_REQUEST = carrying(
    _LARGE_CSR,
    "a PKCSReq of about 24 KiB, without a challenge password",
    "where CertPolls are not answered",
    way=POST,
)


def _send_poll(visit: Visit) -> None:
    """The other way too where the first fails: which of them is the trouble shows only beside it."""
    poll = visit.asking.poll(visit.poller)
    if visit.operate(_POLL, poll).is_reply:
        visit.sample = poll
    elif visit.seen.offers_post and visit.operate(_POLL_BY_GET, poll).is_reply:
        visit.sample, visit.by_get = poll, True


def _judge_poll(seen: Seen) -> Iterator[Found]:
    exchanges = seen.of(POLL)
    good = [one for one in exchanges if _is_reply(one, seen)]
    for exchange in good or exchanges[:1]:
        yield from judge_reply(exchange, seen)


def _is_reply(exchange: Exchange | None, seen: Seen) -> bool:
    return exchange is not None and Answer(exchange, seen.now).is_reply


def _judge_post(seen: Seen) -> Iterator[Found]:
    for exchange in seen.of(BY_POST):
        if not _is_reply(exchange, seen):
            finding = "post-refused" if exchange.status in _NO_SUCH_METHOD else "post-body-empty"
            yield Found(finding, BY_POST, f"{Answer(exchange, seen.now).why}; by GET it is answered")


def _judge_get(seen: Seen) -> Iterator[Found]:
    for exchange in seen.of(BY_GET):
        if not _is_reply(exchange, seen):
            finding = "get-refused" if exchange.status in _NO_SUCH_METHOD else "get-cut"
            yield Found(finding, BY_GET, f"{_length(exchange)}: {Answer(exchange, seen.now).why}")


def _length(exchange: Exchange) -> str:
    return f"an address of {exchange.sent.request.index(b' HTTP/')} octets"


def _plain(planned: Planned, why: str, judge: Callable[[Seen], Iterator[Found]]) -> Step:
    """The message as most clients send it, by one method."""

    def send(visit: Visit) -> None:
        if visit.sample is not None and (planned.name != BY_POST or visit.seen.offers_post):
            visit.send(planned, visit.sample)

    return Step(planned.name, Needs.SAMPLE, (planned,), why, send, judge)


def _variant(step: str, beside: str, finding: str, why: str, ways: Mapping[str, Way]) -> Step:
    """Ways of sending, by what is said of them, that have to do as well as the plain one *beside* them."""
    when = f"where the {beside} is answered"
    requests = tuple(carrying(step, f"that message, {said}", when, way=way) for said, way in ways.items())

    def send(visit: Visit) -> None:
        if visit.sample is not None and _is_reply(visit.seen.first(beside), visit.seen):
            for planned in requests:
                visit.send(planned, visit.sample)

    def judge(seen: Seen) -> Iterator[Found]:
        for exchange in seen.of(step):
            if not _is_reply(exchange, seen):
                yield Found(finding, step, Answer(exchange, seen.now).why)

    return Step(step, Needs.SAMPLE, requests, why, send, judge)


def _send_long(visit: Visit) -> None:
    if is_poll(visit.sample) and _is_reply(visit.seen.first(BY_GET), visit.seen):
        visit.send(_LONG_POLL, visit.asking.poll(visit.poller, more=_MORE_OCTETS))


def is_poll(sample: Question | None) -> bool:
    """Whether that message asks for nothing, so that it may be sent in other forms."""
    return sample is not None and sample.message_type == MessageType.CERT_POLL


def _judge_long(seen: Seen) -> Iterator[Found]:
    for exchange in seen.of(_LONG):
        if not _is_reply(exchange, seen):
            yield Found("get-cut", _LONG, f"{_length(exchange)}: {Answer(exchange, seen.now).why}")


def _send_large(visit: Visit) -> None:
    if is_poll(visit.sample) and _is_reply(visit.seen.first(BY_POST), visit.seen):
        visit.send(_LARGE_POLL, visit.asking.poll(visit.poller, more=_LARGE_OCTETS))


def _send_large_csr(visit: Visit) -> None:
    if not is_poll(visit.sample) and _is_reply(visit.seen.first(BY_POST), visit.seen):
        applicant = visit.applicant(2)
        visit.send(_LARGE_REQUEST, visit.asking.enrol(applicant, applicant.large_csr(_LARGE_NAMES)))


def _judge_large(step: str) -> Callable[[Seen], Iterator[Found]]:
    def judge(seen: Seen) -> Iterator[Found]:
        for exchange in seen.of(step):
            if not _is_reply(exchange, seen):
                size = len(exchange.asked.message) if exchange.asked else 0
                yield Found("post-cut", step, f"a body of {size} octets: {Answer(exchange, seen.now).why}")

    return judge


POLLING = (
    Step(
        POLL,
        Needs.RECIPIENT,
        (_POLL, _POLL_BY_GET),
        "it asks for nothing, and how it is refused shows how the server answers",
        _send_poll,
        _judge_poll,
    ),
)
SENDING = (
    _plain(
        carrying(BY_POST, "the message that was answered", "where POST is offered", way=POST),
        "iOS, Windows and most others send so where it is offered",
        _judge_post,
    ),
    _plain(
        carrying(BY_GET, "the message that was answered", way=GET),
        "Cisco IOS and certmonger send so, whatever is offered",
        _judge_get,
    ),
    _variant(
        "bare +",
        BY_GET,
        "plus-lost",
        "iOS and macOS leave it bare",
        {"+ not escaped": Way(spelling=Spelling.BARE_PLUS)},
    ),
    _variant(
        "line breaks",
        BY_GET,
        "get-line-breaks",
        "Cisco IOS, strongSwan and sscep wrap it",
        {"with %0A after every 64 characters": Way(spelling=Spelling.WRAPPED)},
    ),
    Step(
        _LONG,
        Needs.SAMPLE,
        (_LONG_POLL,),
        "long names and long keys make long addresses",
        _send_long,
        _judge_long,
    ),
    Step(
        _LARGE,
        Needs.SAMPLE,
        (_LARGE_POLL,),
        _WHY_LARGE,
        _send_large,
        _judge_large(_LARGE),
    ),
    Step(
        _LARGE_CSR,
        Needs.CERTIFICATE,
        (_LARGE_REQUEST,),
        _WHY_LARGE,
        _send_large_csr,
        _judge_large(_LARGE_CSR),
    ),
    _variant(
        "chunked POST",
        BY_POST,
        "post-body-empty",
        "Macs were seen to send so",
        {"in chunks": Way("POST", chunked=True)},
    ),
    _variant(
        "other media types",
        BY_POST,
        "post-type-demanded",
        "sscep and strongSwan send none, jscep and micromdm the other",
        {
            "without Content-Type": Way("POST", media_type=None),
            "as application/octet-stream": Way("POST", media_type="application/octet-stream"),
        },
    ),
    _variant(
        "Expect",
        BY_POST,
        "expect-refused",
        "some HTTP libraries send it by themselves",
        {"with Expect: 100-continue": Way("POST", expect=True)},
    ),
)
