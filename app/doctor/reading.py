"""Steps that read what a server gives to everybody: capabilities and certificates."""

from collections.abc import Iterator

from app.doctor.answers import Answer, certificates_in
from app.doctor.asking import find_roles
from app.doctor.planned import Planned
from app.doctor.replies import judge_answer
from app.doctor.seen import CAPABILITIES, CERTIFICATES, Exchange, Found, Seen
from app.doctor.step import Needs, Step, plain_step
from app.doctor.visit import Visit
from ca.scep.capabilities import parse_capabilities
from ca.x509.certificate import Certificate

_WEAK = ("md5", "sha1")
_CERTIFICATE_WORDS = (b"no required ssl certificate", b"client certificate")
_CAPABILITIES = Planned(CAPABILITIES, "GetCACaps")
_CERTIFICATES = Planned(CERTIFICATES, "GetCACert")
_NEXT = Planned("GetNextCACert", "GetNextCACert")
_UNKNOWN = tuple(Planned("unknown operations", one) for one in ("GetCACertChain", "GetCAChain"))
_IDENTIFIERS = (
    Planned("CA identifiers", "GetCACert", text="default"),
    Planned("CA identifiers", "GetCACert", text="", holds="an identifier that is empty"),
    Planned("CA identifiers", "GetCACaps", text="default"),
)


def _send_capabilities(visit: Visit) -> None:
    body = visit.send(_CAPABILITIES).body
    visit.seen.capabilities = parse_capabilities(body)


def _judge_capabilities(seen: Seen) -> Iterator[Found]:
    for exchange in seen.of(CAPABILITIES):
        if exchange.answer is None:
            yield Found(_trouble(exchange.sent.trouble), CAPABILITIES, exchange.sent.trouble)
        elif _wants_certificate(exchange):
            yield Found("tls-client-certificate", CAPABILITIES, Answer(exchange, seen.now).why)
        elif exchange.status in (404, 410) and not is_good(seen.first(CERTIFICATES)):
            yield Found("url-wrong", CAPABILITIES, Answer(exchange, seen.now).why)
        elif 200 <= exchange.status < 300 and not exchange.body.strip():
            yield Found("caps-empty", CAPABILITIES, "the body is empty")
        else:
            yield from judge_answer(exchange, seen)


def _trouble(text: str) -> str:
    """Which finding it is that nothing came."""
    if "certificate is not trusted" in text:
        return "tls-untrusted"
    if "client certificate" in text:
        return "tls-client-certificate"
    return "http-answer-broken" if "answer" in text or "came" in text else "unreachable"


def _wants_certificate(exchange: Exchange) -> bool:
    """Whether the server let TLS come about, and then asks for a certificate in words: nginx, IIS."""
    body = exchange.answer.body.lower() if exchange.answer and 400 <= exchange.status < 500 else b""
    return any(words in body for words in _CERTIFICATE_WORDS)


def is_good(exchange: Exchange | None) -> bool:
    """Whether there is an answer with a 2xx status."""
    return exchange is not None and 200 <= exchange.status < 300


def is_page(exchange: Exchange | None) -> bool:
    """Whether a page for people came."""
    return exchange is not None and exchange.body.lstrip()[:1] == b"<"


def _send_certificates(visit: Visit) -> None:
    answer = Answer(visit.send(_CERTIFICATES), visit.seen.now)
    if answer.exchange.body:
        visit.seen.certificates = certificates_in(answer.tree)
        visit.seen.roles = find_roles(visit.seen.certificates, visit.seen.now)


def _judge_certificates(seen: Seen) -> Iterator[Found]:
    for exchange in seen.of(CERTIFICATES):
        yield from judge_answer(exchange, seen)
        tree = Answer(exchange, seen.now).tree
        if is_good(exchange) and not exchange.body:
            yield Found("nothing-of-scep", CERTIFICATES, "the answer is empty")
        for node in tree.walk():
            signature = next((one.value for one in node.children if one.name == "signature"), "")
            if node.place == "certificate" and signature.lower().startswith(_WEAK):
                loaded = Certificate.load(bytes(node.octets or b""))
                if not loaded.is_self_issued:
                    yield Found("ca-weak-signature", CERTIFICATES, f"{node.value}: {signature}")


def _judge_next(seen: Seen) -> Iterator[Found]:
    """That there is none is no fault (RFC 8894 4.7)."""
    for exchange in seen.of("GetNextCACert"):
        if is_good(exchange):
            yield from judge_answer(exchange, seen)
        else:
            yield from judge_refusal(exchange, "operation-unknown")


def judge_refusal(exchange: Exchange, finding: str) -> Iterator[Found]:
    """A 4xx is a plain no. Anything else is a server that was not ready for it."""
    if exchange.answer is None:
        yield Found(finding, exchange.step, exchange.sent.trouble)
    elif exchange.status >= 500:
        yield Found(finding, exchange.step, f"HTTP {exchange.status}")
    elif is_page(exchange):
        yield Found(finding, exchange.step, "an HTML page")


def _judge_chain(seen: Seen) -> Iterator[Found]:
    for exchange in seen.of("unknown operations"):
        yield from judge_refusal(exchange, "operation-unknown")


def _judge_identifiers(seen: Seen) -> Iterator[Found]:
    for exchange, plain in zip(
        seen.of("CA identifiers"), (CERTIFICATES, CERTIFICATES, CAPABILITIES), strict=False
    ):
        if is_good(seen.first(plain)) and not is_good(exchange):
            asked = exchange.sent.request.split(b" ", 2)[1].decode().partition("?")[2]
            yield Found("identifier-unknown", f"{exchange.step}: {asked}", Answer(exchange, seen.now).why)


STEPS = (
    Step(
        CAPABILITIES,
        Needs.NOTHING,
        (_CAPABILITIES,),
        "what the server says that it can do, in words that clients compare letter by letter",
        _send_capabilities,
        _judge_capabilities,
    ),
    Step(
        CERTIFICATES,
        Needs.NOTHING,
        (_CERTIFICATES,),
        "the certificates that everything else is encrypted to and held against",
        _send_certificates,
        _judge_certificates,
    ),
    plain_step(
        "CA identifiers",
        _IDENTIFIERS,
        "Windows always sends default, and old Macs send nothing",
        _judge_identifiers,
    ),
    plain_step("GetNextCACert", (_NEXT,), "the CA that is to come", _judge_next),
    plain_step(
        "unknown operations",
        _UNKNOWN,
        "certmonger and old clients ask so, and go on after a plain 4xx",
        _judge_chain,
    ),
)
