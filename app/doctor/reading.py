"""Steps that read what a server gives to everybody: capabilities, certificates, and its HTTP."""

from collections.abc import Iterator

from app.doctor.answers import Answer, certificates_in
from app.doctor.asking import find_roles
from app.doctor.replies import judge_answer
from app.doctor.seen import Exchange, Found, Seen
from app.doctor.step import Needs, Step
from app.doctor.visit import Visit
from ca.scep.capabilities import parse_capabilities
from ca.x509.certificate import Certificate

CAPABILITIES = "GetCACaps"
CERTIFICATES = "GetCACert"
_WEAK = ("md5", "sha1")
_LONGEST_SECONDS = 24 * 60 * 60


def _send_capabilities(visit: Visit) -> None:
    body = visit.get(CAPABILITIES, "GetCACaps").body
    visit.seen.capabilities = parse_capabilities(body)


def _judge_capabilities(seen: Seen) -> Iterator[Found]:
    for exchange in seen.of(CAPABILITIES):
        if exchange.answer is None:
            yield Found(_trouble(exchange.sent.trouble), CAPABILITIES, exchange.sent.trouble)
        elif exchange.status in (404, 410) and not _is_good(seen.first(CERTIFICATES)):
            yield Found("url-wrong", CAPABILITIES, Answer(exchange, seen.now).why)
        elif 200 <= exchange.status < 300 and not exchange.body.strip():
            yield Found("caps-empty", CAPABILITIES)
        else:
            yield from judge_answer(exchange, seen)


def _trouble(text: str) -> str:
    """Which finding it is that nothing came."""
    if "certificate is not trusted" in text:
        return "tls-untrusted"
    return "http-answer-broken" if "answer" in text or "came" in text else "unreachable"


def _is_good(exchange: Exchange | None) -> bool:
    return exchange is not None and 200 <= exchange.status < 300


def _send_certificates(visit: Visit) -> None:
    answer = Answer(visit.get(CERTIFICATES, "GetCACert"), visit.seen.now)
    if answer.exchange.body:
        visit.seen.certificates = certificates_in(answer.tree)
        visit.seen.roles = find_roles(visit.seen.certificates, visit.seen.now)


def _judge_certificates(seen: Seen) -> Iterator[Found]:
    for exchange in seen.of(CERTIFICATES):
        yield from judge_answer(exchange, seen)
        tree = Answer(exchange, seen.now).tree
        if _is_good(exchange) and not exchange.body:
            yield Found("nothing-of-scep", CERTIFICATES, "the answer is empty")
        for node in tree.walk():
            signature = next((one.value for one in node.children if one.name == "signature"), "")
            if node.place == "certificate" and signature.lower().startswith(_WEAK):
                loaded = Certificate.load(bytes(node.octets or b""))
                if not loaded.is_self_issued:
                    yield Found("ca-weak-signature", CERTIFICATES, f"{node.value}: {signature}")


def _send_next(visit: Visit) -> None:
    visit.get("GetNextCACert", "GetNextCACert")


def _judge_next(seen: Seen) -> Iterator[Found]:
    """That there is none is no fault (RFC 8894 4.7)."""
    for exchange in seen.of("GetNextCACert"):
        if _is_good(exchange):
            yield from judge_answer(exchange, seen)
        else:
            yield from _judge_refusal(exchange, "operation-unknown")


def _judge_refusal(exchange: Exchange, finding: str) -> Iterator[Found]:
    """A 4xx is a plain no. Anything else is a server that was not ready for it."""
    if exchange.answer is None:
        yield Found(finding, exchange.step, exchange.sent.trouble)
    elif exchange.status >= 500:
        yield Found(finding, exchange.step, f"HTTP {exchange.status}")
    elif _is_page(exchange):
        yield Found(finding, exchange.step, "an HTML page")


def _send_chain(visit: Visit) -> None:
    for operation in ("GetCACertChain", "GetCAChain"):
        visit.get("unknown operations", operation)


def _judge_chain(seen: Seen) -> Iterator[Found]:
    for exchange in seen.of("unknown operations"):
        yield from _judge_refusal(exchange, "operation-unknown")


def _send_identifiers(visit: Visit) -> None:
    for identifier in ("default", ""):
        visit.get("CA identifiers", "GetCACert", identifier)
    visit.get("CA identifiers", "GetCACaps", "default")


def _judge_identifiers(seen: Seen) -> Iterator[Found]:
    for exchange, plain in zip(
        seen.of("CA identifiers"), (CERTIFICATES, CERTIFICATES, CAPABILITIES), strict=False
    ):
        if _is_good(seen.first(plain)) and not _is_good(exchange):
            asked = exchange.sent.request.split(b" ", 2)[1].decode().partition("?")[2]
            yield Found("identifier-unknown", f"{exchange.step}: {asked}", Answer(exchange, seen.now).why)


def _send_old(visit: Visit) -> None:
    visit.ask("HTTP/1.0", "GetCACaps", visit.target.get("GetCACaps", version="1.0"))


def _judge_old(seen: Seen) -> Iterator[Found]:
    for exchange in _comparable(seen, "HTTP/1.0"):
        if not _is_good(exchange):
            yield Found("http-old", exchange.step, Answer(exchange, seen.now).why)
        elif _is_chunked(exchange) and not _is_chunked(seen.first(CAPABILITIES)):
            yield Found("http-old", exchange.step, "the reply comes in chunks")


def _is_chunked(exchange: Exchange | None) -> bool:
    return bool(exchange and exchange.answer and exchange.answer.header("transfer-encoding"))


def _comparable(seen: Seen, step: str) -> list[Exchange]:
    """What *step* sent, where the plain GetCACaps was answered: else nothing can be told by it."""
    plain = seen.first(CAPABILITIES)
    return seen.of(step) if _is_good(plain) and not _is_page(plain) else []


def _is_page(exchange: Exchange | None) -> bool:
    return exchange is not None and exchange.body.lstrip()[:1] == b"<"


def _send_hostless(visit: Visit) -> None:
    visit.ask("no Host header", "GetCACaps", visit.target.get("GetCACaps", host=False))


def _judge_hostless(seen: Seen) -> Iterator[Found]:
    for exchange in _comparable(seen, "no Host header"):
        if not _is_good(exchange):
            yield Found("host-demanded", exchange.step, Answer(exchange, seen.now).why)


def _send_head(visit: Visit) -> None:
    visit.ask("HEAD", "GetCACaps", visit.target.get("GetCACaps", method="HEAD"))


def _judge_head(seen: Seen) -> Iterator[Found]:
    for exchange in _comparable(seen, "HEAD"):
        if not _is_good(exchange):
            yield Found("http-head", exchange.step, Answer(exchange, seen.now).why)
        elif exchange.body:
            yield Found("http-head", exchange.step, f"a body of {len(exchange.body)} octets")


def _send_lower(visit: Visit) -> None:
    visit.get("lower case", "getcacaps")


def _judge_lower(seen: Seen) -> Iterator[Found]:
    for exchange in _comparable(seen, "lower case"):
        if not _is_good(exchange):
            yield Found("operation-case", exchange.step, Answer(exchange, seen.now).why)


def _send_suffix(visit: Visit) -> None:
    visit.ask("/pkiclient.exe", "GetCACaps", visit.target.get("GetCACaps", suffix="/pkiclient.exe"))


def _judge_suffix(seen: Seen) -> Iterator[Found]:
    for exchange in _comparable(seen, "/pkiclient.exe"):
        if not _is_good(exchange) or _is_page(exchange):
            yield Found("suffix-refused", exchange.step, Answer(exchange, seen.now).why)


def _send_nonsense(visit: Visit) -> None:
    visit.ask("empty POST", "PKIOperation", visit.target.post(b""))
    visit.get("no base64", "PKIOperation", "%25%25%25")


def _judge_nonsense(seen: Seen) -> Iterator[Found]:
    for step in ("empty POST", "no base64"):
        for exchange in seen.of(step):
            yield from _judge_refusal(exchange, "nonsense-fault")


def judge_all(seen: Seen) -> Iterator[Found]:
    """What may show at any exchange: how long it takes, how it ends, and who may keep it."""
    for exchange in seen.all():
        answer = exchange.answer
        if answer is None:
            continue
        if answer.seconds > 10:
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
    longest = max((int(age) for age in ages if age.isdecimal()), default=0)
    if {"no-store", "no-cache", "private"} & set(words):
        return
    if longest > (0 if exchange.sent.operation == "PKIOperation" else _LONGEST_SECONDS):
        yield Found("answer-cacheable", exchange.step, f"Cache-Control: {said}")


STEPS = (
    Step(
        CAPABILITIES,
        Needs.NOTHING,
        "GET GetCACaps",
        "what the server says that it can do, in words that clients compare letter by letter",
        _send_capabilities,
        _judge_capabilities,
    ),
    Step(
        CERTIFICATES,
        Needs.NOTHING,
        "GET GetCACert",
        "the certificates that everything else is encrypted to and held against",
        _send_certificates,
        _judge_certificates,
    ),
    Step(
        "CA identifiers",
        Needs.NOTHING,
        "GET GetCACert and GetCACaps with message=default, and with an empty one",
        "Windows always sends default, and old Macs send nothing",
        _send_identifiers,
        _judge_identifiers,
    ),
    Step(
        "GetNextCACert", Needs.NOTHING, "GET GetNextCACert", "the CA that is to come", _send_next, _judge_next
    ),
    Step(
        "unknown operations",
        Needs.NOTHING,
        "GET GetCACertChain, GET GetCAChain",
        "certmonger and old clients ask so, and go on after a plain 4xx",
        _send_chain,
        _judge_chain,
    ),
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
