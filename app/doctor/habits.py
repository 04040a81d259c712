"""Steps that send one and the same message in the ways in which clients send messages.

The message is a CertPoll for a transaction that nobody knows: it asks for nothing, and changes nothing.
Where the server does not know how to answer one, and did answer an enrolment, it is that again.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

from app.doctor.answers import Answer
from app.doctor.replies import judge_reply
from app.doctor.seen import Asked, Exchange, Found, Seen, Terms
from app.doctor.step import Needs, Step
from app.doctor.target import Spelling, Target
from app.doctor.visit import Visit
from ca.algorithms.ciphers import DES_CBC
from ca.algorithms.digests import SHA1
from ca.algorithms.key_transport import KeyTransport
from ca.scep.codec import Form
from ca.scep.messages import MessageType

POLL = "CertPoll"
BY_POST, BY_GET = "message by POST", "message by GET"
# More than the 2 KiB and 4 KiB that some stop at, and less than the 8 KiB that most take.
_MORE_OCTETS = 2600
_NO_SUCH_METHOD = (404, 405, 501)
Write = Callable[[Target, bytes], bytes]


def _by_post(target: Target, message: bytes) -> bytes:
    return target.post(message)


def _by_get(target: Target, message: bytes) -> bytes:
    return target.get("PKIOperation", Spelling.ESCAPED.of(message))


def _send_poll(visit: Visit) -> None:
    """The other way too where the first fails: which of them is the trouble shows only beside it."""
    poll = visit.asking.poll(visit.poller)
    for write in (_by_post, _by_get) if visit.seen.offers_post else (_by_get,):
        request = write(visit.target, poll.message)
        if Answer(visit.ask(POLL, "PKIOperation", request, poll), visit.seen.now).is_reply:
            visit.sample, visit.by_get = poll, write is _by_get
            return


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


def _sends(step: str, write: Write) -> Callable[[Visit], None]:
    def send(visit: Visit) -> None:
        if visit.sample is not None and (step != BY_POST or visit.seen.offers_post):
            _send(visit, step, visit.sample, write)

    return send


def _send(visit: Visit, step: str, asked: Asked, write: Write) -> None:
    visit.ask(step, "PKIOperation", write(visit.target, asked.message), asked)


def _variant(step: str, beside: str, finding: str, sends: str, why: str, *writes: Write) -> Step:
    """A way of sending that has to do as well as the plain one does, *beside* it."""

    def send(visit: Visit) -> None:
        if visit.sample is not None and _is_reply(visit.seen.first(beside), visit.seen):
            for write in writes:
                _send(visit, step, visit.sample, write)

    def judge(seen: Seen) -> Iterator[Found]:
        for exchange in seen.of(step):
            if not _is_reply(exchange, seen):
                yield Found(finding, step, Answer(exchange, seen.now).why)

    return Step(step, Needs.SAMPLE, sends, why, send, judge)


def _send_long(visit: Visit) -> None:
    if _is_poll(visit.sample) and _is_reply(visit.seen.first(BY_GET), visit.seen):
        _send(visit, "long GET", visit.asking.poll(visit.poller, more=_MORE_OCTETS), _by_get)


def _is_poll(sample: Asked | None) -> bool:
    return sample is not None and sample.message_type == MessageType.CERT_POLL


def _judge_long(seen: Seen) -> Iterator[Found]:
    for exchange in seen.of("long GET"):
        if not _is_reply(exchange, seen):
            yield Found("get-cut", "long GET", f"{_length(exchange)}: {Answer(exchange, seen.now).why}")


def _written(step: str, finding: str, why: str, vary: Callable[[Terms], Terms]) -> Step:
    """A poll that is written otherwise, and has to be answered as the plain one is."""

    def send(visit: Visit) -> None:
        if _is_poll(visit.sample):
            visit.operate(step, visit.asking.poll(visit.poller, vary=vary))

    def judge(seen: Seen) -> Iterator[Found]:
        answers = (Answer(exchange, seen.now) for exchange in seen.of(POLL))
        plain = next((one for one in answers if one.is_reply), None)
        for exchange in seen.of(step) if plain else ():
            told = Answer(exchange, seen.now)
            # A refusal of another kind, too, is one that the client hears for the way it writes.
            if plain and (not told.is_reply or told.attribute("failInfo") != plain.attribute("failInfo")):
                yield Found(finding, step, f"{told.why}; without it the answer is {plain.why}")

    return Step(step, Needs.SAMPLE, f"a CertPoll: {step}", why, send, judge)


POLLING = (
    Step(
        POLL,
        Needs.RECIPIENT,
        "a CertPoll for a transaction that nobody knows",
        "it asks for nothing, and how it is refused shows how the server answers",
        _send_poll,
        _judge_poll,
    ),
)
SENDING = (
    Step(
        BY_POST,
        Needs.SAMPLE,
        "that message by POST",
        "iOS, Windows and most others send so where it is offered",
        _sends(BY_POST, _by_post),
        _judge_post,
    ),
    Step(
        BY_GET,
        Needs.SAMPLE,
        "that message by GET",
        "Cisco IOS and certmonger send so, whatever is offered",
        _sends(BY_GET, _by_get),
        _judge_get,
    ),
    _variant(
        "bare +",
        BY_GET,
        "plus-lost",
        "that message by GET, + not escaped",
        "iOS and macOS leave it bare",
        lambda target, message: target.get("PKIOperation", Spelling.BARE_PLUS.of(message)),
    ),
    _variant(
        "line breaks",
        BY_GET,
        "get-line-breaks",
        "that message by GET, with %0A after every 64 characters",
        "Cisco IOS, strongSwan and sscep wrap it",
        lambda target, message: target.get("PKIOperation", Spelling.WRAPPED.of(message)),
    ),
    Step(
        "long GET",
        Needs.SAMPLE,
        "a longer CertPoll by GET: an address of about 6 KiB",
        "long names and long keys make long addresses",
        _send_long,
        _judge_long,
    ),
    _variant(
        "chunked POST",
        BY_POST,
        "post-body-empty",
        "that message by POST, in chunks",
        "Macs were seen to send so",
        lambda target, message: target.post(message, chunked=True),
    ),
    _variant(
        "other media types",
        BY_POST,
        "post-type-demanded",
        "that message by POST, without Content-Type and as application/octet-stream",
        "sscep and strongSwan send none, jscep and micromdm the other",
        lambda target, message: target.post(message, media_type=None),
        lambda target, message: target.post(message, media_type="application/octet-stream"),
    ),
    _variant(
        "Expect",
        BY_POST,
        "expect-refused",
        "that message by POST, with Expect: 100-continue",
        "some HTTP libraries send it by themselves",
        lambda target, message: target.post(message, expect=True),
    ),
    _written(
        "under single DES",
        "des-not-read",
        "old Cisco routers and micromdm know nothing else",
        lambda terms: replace(terms, cipher=DES_CBC),
    ),
    _written(
        "key under RSAES-OAEP",
        "oaep-not-read",
        "Windows encrypts so",
        lambda terms: replace(terms, key_transport=KeyTransport(SHA1, SHA1)),
    ),
    _written(
        "in BER",
        "ber-not-read",
        "jscep and Apple's devices write so",
        lambda terms: replace(terms, form=Form.STREAMED),
    ),
    _written(
        "with a nonce of 8 octets",
        "strict-server",
        "old iPhones send such ones",
        lambda terms: replace(terms, nonce_octets=8),
    ),
)
