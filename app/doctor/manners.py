"""Steps that look at how a server speaks HTTP, and what may show of that at every answer."""

from collections.abc import Iterator

from app.doctor.answers import Answer
from app.doctor.reading import is_good, is_page, judge_refusal
from app.doctor.seen import CAPABILITIES, Exchange, Found, Seen
from app.doctor.step import Needs, Step
from app.doctor.visit import Visit

_SLOW_SECONDS = 10
_LONGEST_SECONDS = 24 * 60 * 60
_MOST_DIGITS = 18


def _send_old(visit: Visit) -> None:
    visit.ask("HTTP/1.0", "GetCACaps", visit.target.get("GetCACaps", version="1.0"))


def _judge_old(seen: Seen) -> Iterator[Found]:
    for exchange in _comparable(seen, "HTTP/1.0"):
        if not is_good(exchange):
            yield Found("http-old", exchange.step, Answer(exchange, seen.now).why)
        elif _is_chunked(exchange) and not _is_chunked(seen.first(CAPABILITIES)):
            yield Found("http-old", exchange.step, "the reply comes in chunks")


def _is_chunked(exchange: Exchange | None) -> bool:
    return bool(exchange and exchange.answer and exchange.answer.header("transfer-encoding"))


def _comparable(seen: Seen, step: str) -> list[Exchange]:
    """What *step* sent, where the plain GetCACaps was answered: else nothing can be told by it."""
    plain = seen.first(CAPABILITIES)
    return seen.of(step) if is_good(plain) and not is_page(plain) else []


def _send_hostless(visit: Visit) -> None:
    visit.ask("no Host header", "GetCACaps", visit.target.get("GetCACaps", host=False))


def _judge_hostless(seen: Seen) -> Iterator[Found]:
    for exchange in _comparable(seen, "no Host header"):
        if not is_good(exchange):
            yield Found("host-demanded", exchange.step, Answer(exchange, seen.now).why)


def _send_head(visit: Visit) -> None:
    visit.ask("HEAD", "GetCACaps", visit.target.get("GetCACaps", method="HEAD"))


def _judge_head(seen: Seen) -> Iterator[Found]:
    for exchange in _comparable(seen, "HEAD"):
        if not is_good(exchange):
            yield Found("http-head", exchange.step, Answer(exchange, seen.now).why)
        elif exchange.body:
            yield Found("http-head", exchange.step, f"a body of {len(exchange.body)} octets")


def _send_lower(visit: Visit) -> None:
    visit.get("lower case", "getcacaps")


def _judge_lower(seen: Seen) -> Iterator[Found]:
    for exchange in _comparable(seen, "lower case"):
        if not is_good(exchange):
            yield Found("operation-case", exchange.step, Answer(exchange, seen.now).why)


def _send_suffix(visit: Visit) -> None:
    visit.ask("/pkiclient.exe", "GetCACaps", visit.target.get("GetCACaps", suffix="/pkiclient.exe"))


def _judge_suffix(seen: Seen) -> Iterator[Found]:
    for exchange in _comparable(seen, "/pkiclient.exe"):
        if not is_good(exchange) or is_page(exchange):
            yield Found("suffix-refused", exchange.step, Answer(exchange, seen.now).why)


def _send_nonsense(visit: Visit) -> None:
    visit.ask("empty POST", "PKIOperation", visit.target.post(b""))
    visit.get("no base64", "PKIOperation", "%25%25%25")


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
        yield Found("http-length-missing", exchange.step)


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


STEPS = (
    Step(
        "HTTP/1.0", Needs.NOTHING, "GET GetCACaps in HTTP/1.0", "Cisco IOS speaks it", _send_old, _judge_old
    ),
    Step(
        "no Host header",
        Needs.NOTHING,
        "GET GetCACaps without a Host header",
        "strongSwan sends no headers",
        _send_hostless,
        _judge_hostless,
    ),
    Step("HEAD", Needs.NOTHING, "HEAD GetCACaps", "load balancers look by it", _send_head, _judge_head),
    Step(
        "lower case",
        Needs.NOTHING,
        "GET getcacaps",
        "addresses are written by hand",
        _send_lower,
        _judge_lower,
    ),
    Step(
        "/pkiclient.exe",
        Needs.NOTHING,
        "GET GetCACaps with /pkiclient.exe behind the path",
        "Cisco IOS appends it",
        _send_suffix,
        _judge_suffix,
    ),
    Step(
        "nonsense",
        Needs.NOTHING,
        "an empty POST, and a GET whose message is no base64",
        "proxies lose bodies; a server that fails at it says nothing to the client",
        _send_nonsense,
        _judge_nonsense,
    ),
)
