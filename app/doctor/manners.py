"""Steps that look at how a server speaks HTTP, and what may show of that at every answer."""

from collections.abc import Iterator

from app.doctor.answers import Answer
from app.doctor.planned import Planned
from app.doctor.reading import is_good, is_page, judge_refusal
from app.doctor.replies import in_http
from app.doctor.seen import CAPABILITIES, Exchange, Found, Seen
from app.doctor.step import Needs, Step, plain_step
from app.doctor.target import POST, Way
from app.doctor.visit import Visit

_SLOW_SECONDS = 10
_LONGEST_SECONDS = 24 * 60 * 60
_MOST_DIGITS = 18
SUFFIX = "/pkiclient.exe"
_OLD = "HTTP/1.0"
_CONNECTION, _SLASH = "one connection", "slash at the end"
_KEPT = tuple(
    Planned(_CONNECTION, operation, Way(keeps=True), holds=f"Connection: keep-alive{more}", when=when)
    for operation, more, when in (
        ("GetCACert", "", ""),
        ("GetCACaps", ", and on the same connection", "where the server keeps it"),
    )
)


def _judge_old(seen: Seen) -> Iterator[Found]:
    for exchange in _comparable(seen, _OLD):
        if not is_good(exchange):
            yield Found("http-old", exchange.step, Answer(exchange, seen.now).why)
        elif _is_chunked(exchange) and not _is_chunked(seen.first(CAPABILITIES)):
            yield Found("http-old", exchange.step, "the reply comes in chunks")


def spared(seen: Seen) -> dict[str, frozenset[str]]:
    """Whom chunks do not harm here: those that speak HTTP/1.0, where the server sends them none."""
    old = _comparable(seen, _OLD)
    is_fine = bool(old) and all(is_good(one) and not _is_chunked(one) for one in old)
    return {"http-chunked-reply": frozenset({"cisco"})} if is_fine else {}


def _is_chunked(exchange: Exchange | None) -> bool:
    return bool(exchange and exchange.answer and exchange.answer.header("transfer-encoding"))


def _comparable(seen: Seen, step: str) -> list[Exchange]:
    """What *step* sent, where the plain GetCACaps was answered: else nothing can be told by it."""
    plain = seen.first(CAPABILITIES)
    return seen.of(step) if is_good(plain) and not is_page(plain) else []


def _judge_hostless(seen: Seen) -> Iterator[Found]:
    for exchange in _comparable(seen, "no Host header"):
        if not is_good(exchange):
            yield Found("host-demanded", exchange.step, Answer(exchange, seen.now).why)


def _judge_head(seen: Seen) -> Iterator[Found]:
    for exchange in _comparable(seen, "HEAD"):
        if not is_good(exchange):
            yield Found("http-head", exchange.step, Answer(exchange, seen.now).why)
        elif exchange.body:
            yield Found("http-head", exchange.step, f"a body of {len(exchange.body)} octets")


def _judge_lower(seen: Seen) -> Iterator[Found]:
    for exchange in _comparable(seen, "lower case"):
        if not is_good(exchange):
            yield Found("operation-case", exchange.step, Answer(exchange, seen.now).why)


def _judge_suffix(seen: Seen) -> Iterator[Found]:
    for exchange in _comparable(seen, SUFFIX):
        if not is_good(exchange) or is_page(exchange):
            yield Found("suffix-refused", exchange.step, Answer(exchange, seen.now).why)


def _send_kept(visit: Visit) -> None:
    visit.send_on_one_connection(_KEPT)


def _judge_kept(seen: Seen) -> Iterator[Found]:
    """Only the second counts: that the first is answered has been seen."""
    for exchange in _comparable(seen, _CONNECTION)[1:]:
        if exchange.sent.trouble or not is_good(exchange):
            told = exchange.sent.trouble or Answer(exchange, seen.now).why
            yield Found("connection-not-kept", _CONNECTION, f"the second request on it: {told}")


def _judge_slash(seen: Seen) -> Iterator[Found]:
    for exchange in _comparable(seen, _SLASH):
        if not is_good(exchange) or is_page(exchange):
            path = exchange.sent.request.split(b" ", 2)[1].decode().partition("?")[0]
            yield Found("slash-refused", _SLASH, f"{path}: {in_http(Answer(exchange, seen.now))}")


def _judge_nonsense(seen: Seen) -> Iterator[Found]:
    for step in ("empty POST", "no base64"):
        for exchange in seen.of(step):
            yield from judge_refusal(exchange, "nonsense-fault")


def judge_all(seen: Seen) -> Iterator[Found]:
    """What may show at any exchange: how long it takes, how it ends, and who may keep it."""
    for exchange in seen.all():
        answer = exchange.answer
        if answer is None:
            continue
        if answer.seconds > _SLOW_SECONDS:
            yield Found("answer-slow", exchange.step, f"{answer.seconds:.0f} seconds")
        if 200 <= exchange.status < 300:
            yield from _judge_length(exchange)
            yield from _judge_cache(exchange)


def _judge_length(exchange: Exchange) -> Iterator[Found]:
    answer = exchange.answer
    if answer and answer.header("content-length") is None and answer.header("transfer-encoding") is None:
        yield Found("http-length-missing", exchange.step, "neither a length nor chunks")


def _judge_cache(exchange: Exchange) -> Iterator[Found]:
    said = (exchange.answer.header("cache-control") or "").lower() if exchange.answer else ""
    words = [word.strip() for word in said.split(",")]
    ages = [word.partition("=")[2] for word in words if word.startswith(("max-age=", "s-maxage="))]
    # RFC 9111 1.2.2: what is too large to be counted is a very long time.
    longest = max((int(age[:_MOST_DIGITS]) for age in ages if age.isdecimal()), default=0)
    if {"no-store", "no-cache", "private"} & set(words):
        return
    if longest > (0 if exchange.sent.operation == "PKIOperation" else _LONGEST_SECONDS):
        yield Found("answer-cacheable", exchange.step, f"Cache-Control: {said}")


def _caps(name: str, way: Way, holds: str = "") -> tuple[Planned, ...]:
    """A GetCACaps that is written in another *way*."""
    return (Planned(name, "GetCACaps", way, holds=holds),)


# For addresses that a slash may stand behind.
SLASH = plain_step(
    _SLASH,
    _caps(_SLASH, Way(other_slash=True)),
    "addresses are written with one and without, and clients follow no redirect",
    _judge_slash,
)
STEPS = (
    plain_step(
        _OLD,
        _caps(_OLD, Way(version="1.0"), "HTTP/1.0 for its version"),
        "Cisco IOS speaks it",
        _judge_old,
    ),
    plain_step(
        "no Host header",
        _caps("no Host header", Way(host=False), "no Host header"),
        "strongSwan sends no headers",
        _judge_hostless,
    ),
    plain_step("HEAD", _caps("HEAD", Way("HEAD")), "load balancers look by it", _judge_head),
    plain_step(
        "lower case",
        (Planned("lower case", "getcacaps"),),
        "addresses are written by hand",
        _judge_lower,
    ),
    SLASH,
    plain_step(
        SUFFIX,
        _caps(SUFFIX, Way(suffix=SUFFIX)),
        "Cisco IOS appends it to the path",
        _judge_suffix,
    ),
    Step(
        _CONNECTION,
        Needs.NOTHING,
        _KEPT,
        "iOS and most HTTP libraries ask for that, and send what is next on it",
        _send_kept,
        _judge_kept,
    ),
    plain_step(
        "nonsense",
        (
            Planned("empty POST", "PKIOperation", POST, "", "no body"),
            Planned("no base64", "PKIOperation", text="%25%25%25", holds="a message that is no base64"),
        ),
        "proxies lose bodies; a server that fails at it says nothing to the client",
        _judge_nonsense,
    ),
)
