"""A raw HTTP request or response, taken apart as far as SCEP goes (RFC 8894 4.1)."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import unquote

from app.diagnosis.attributes import Role
from app.diagnosis.base64_text import decode_loosely
from app.diagnosis.compressed import decompress, is_compressed
from app.diagnosis.node import Node
from app.http.chunked import unchunk
from app.http.query import decode_message
from ca.deviations import Deviations
from ca.errors import MalformedMessage
from ca.scep.codec import PKI_MESSAGE

# With headers or the end of them behind it: a line alone, and one line after another, are no request.
_REQUEST = re.compile(
    rb"(?:GET|POST|HEAD|PUT) \S+"
    rb"(?: HTTP/\d(?:\.\d)?\r?\n(?!\Z|(?:GET|POST|HEAD|PUT) )|\r?\n(?=\r?\n|[^\s:]+[ \t]*:))",
    re.IGNORECASE,
)
_RESPONSE = re.compile(rb"HTTP/\d(\.\d)? (\d{3})[^\r\n]*\r?\n")
_LOGIN = re.compile(r"//[^/@ ]*@")
_SECRETS = {"authorization", "cookie", "set-cookie", "proxy-authorization"}
_MOST_HEADERS = 100
_MOST_TEXT = 200
# By what the body was found to be.
_TYPES = {
    "GetCACaps": "text/plain",
    "certificate": "application/x-x509-ca-cert",
    "certificates": "application/x-x509-ca-ra-cert",
    "CertRep": PKI_MESSAGE,
}
# By the media type of the answer, where nobody knows what was asked.
_OPERATIONS = {
    PKI_MESSAGE: "pkioperation",
    "application/x-x509-ca-cert": "getcacert",
    "application/x-x509-ca-ra-cert": "getcacert",
}
Inside = Callable[[Node, bytes, Role], None]


@dataclass(frozen=True, slots=True)
class _Message:
    first: str
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        """The value of the first header of that name, in lower case."""
        return next((value for key, value in self.headers if key.lower() == name), None)


def is_http(data: bytes) -> bool:
    """Whether it begins as a request or a response does."""
    return bool(_REQUEST.match(data) or _RESPONSE.match(data))


def put_http(parent: Node, data: bytes, inside: Inside) -> None:
    """The request or response in words, and what it carries."""
    message = _split(data)
    if _RESPONSE.match(data):
        _put_response(parent, message, inside)
    else:
        _put_request(parent, message, inside)


def put_request_line(parent: Node, line: bytes, inside: Inside) -> None:
    """A request of which no more than its first line is there: of headers nothing is said."""
    first = line.decode("latin-1")
    node = parent.add("HTTP request", _without_message(first), "http.request")
    _put_query(node, first, inside)
    if _is_post(first):
        node.add("body", "is not in it")


def _split(data: bytes) -> _Message:
    end = re.search(rb"\r?\n\r?\n", data)
    head, body = (data[: end.start()], data[end.end() :]) if end else (data, b"")
    first, *lines = head.decode("latin-1").replace("\r\n", "\n").split("\n")
    pairs = (line.partition(":") for line in lines[:_MOST_HEADERS])
    headers = [(name.strip(), value.strip()) for name, _, value in pairs]
    message = _Message(first, headers, body)
    if "chunked" in (message.header("transfer-encoding") or "").lower():
        return _Message(first, headers, unchunk(body))
    return message


def _put_headers(node: Node, message: _Message) -> Node:
    field = node.add("headers", str(len(message.headers)), "http.headers")
    for name, value in message.headers:
        field.add(name, "(not shown)" if name.lower() in _SECRETS else value)
    return field


def _put_request(parent: Node, message: _Message, inside: Inside) -> None:
    node = parent.add("HTTP request", _without_message(message.first), "http.request")
    headers = _put_headers(node, message)
    operation = _put_query(node, message.first, inside)
    if message.first.endswith("HTTP/1.1") and message.header("host") is None:
        headers.note("http-host-missing")
    if _is_post(message.first):
        if not operation:
            node.note("post-without-operation")
        if (kind := message.header("content-type")) != PKI_MESSAGE:
            headers.note("media-type", kind or "none")
        if message.body:
            inside(node, message.body, Role.REQUEST)
        else:
            node.note("post-body-empty")


def _put_query(node: Node, first: str, inside: Inside) -> str:
    """The operation, which is returned, and what a GET has with it."""
    query = first.partition(" ")[2].partition(" ")[0].partition("?")[2]
    pairs = dict(pair.partition("=")[::2] for pair in reversed(query.split("&")))
    operation = unquote(pairs.get("operation", ""))
    node.add("operation", operation or "(none)")
    if _is_post(first):
        return operation
    if operation.lower() == "pkioperation":
        _put_message(node, unquote(pairs.get("message", ""), "latin-1"), inside)
    elif "message" in pairs:
        node.add("CA identifier", unquote(pairs["message"]) or "(empty)", "http.query.message")
    return operation


def _is_post(first: str) -> bool:
    return first.partition(" ")[0].upper() == "POST"


def _without_message(line: str) -> str:
    """The request line, base64 and a login cut out of it."""
    return _LOGIN.sub("//(not shown)@", re.sub(r"(message=)[^& ]{40,}", r"\1...", line))


def _put_message(node: Node, text: str, inside: Inside) -> None:
    field = node.add("message", f"{len(text)} characters of base64", "http.query.message")
    deviations = Deviations()
    try:
        octets = decode_message(text.encode("ascii", "replace").decode("ascii"), deviations)
    except MalformedMessage:
        octets, why = decode_loosely(text.encode("latin-1", "replace"))
        field.note("base64-damaged", why)
    field.take(deviations)
    inside(field, octets, Role.REQUEST)


def _put_response(parent: Node, message: _Message, inside: Inside) -> None:
    node = parent.add("HTTP response", message.first, "http.response")
    headers = _put_headers(node, message)
    status = message.first.split()[1]
    kind = message.header("content-type") or ""
    if status.startswith("3"):
        node.note("http-redirect", message.header("location") or "")
    elif not status.startswith("2"):
        node.note("http-error", status)
    if "chunked" in (message.header("transfer-encoding") or "").lower():
        headers.note("http-chunked-reply")
    succeeded = status.startswith("2")
    octets = _decompressed(headers, message)
    if not octets:
        body = node.add("body", "empty", "GetCACaps" if kind == "text/plain" else "")
        if succeeded:
            body.note("caps-empty" if kind == "text/plain" else "nothing-of-scep")
        return
    if not succeeded and kind.startswith("text/plain"):
        # The one line that goes with an error is no message, whatever it looks like.
        node.add("body", octets[:_MOST_TEXT].decode("utf-8", "replace").strip())
        return
    inside(node, octets, Role.ANSWER)
    coded = next((child.name for child in node.children if child.place == "base64"), "")
    # By which name of text it was written, empty where octets came as they are.
    form = "PEM" if coded.startswith("PEM ") else coded
    found = next((child.place for child in node.children if child.place in _TYPES), "")
    if form:
        _judge_form(node, form, _asked(parent) or _OPERATIONS.get(kind, ""))
    if found and kind != _TYPES[found]:
        headers.note("http-media-type", f"{kind or 'none'}, and it should be {_TYPES[found]}")


def _asked(parent: Node) -> str:
    """The operation of the request that stands before the response, empty where none does."""
    request = next((child for child in parent.children if child.place == "http.request"), None)
    return (
        next((one.value.lower() for one in request.children if one.name == "operation"), "")
        if request
        else ""
    )


def _judge_form(node: Node, form: str, operation: str) -> None:
    """Say of octets that came as text what they should have been: as was asked, else as is inside."""
    inside = {inner.place for inner in node.walk()}
    detail = f"it is {form}"
    if "CertRep" in inside or operation == "pkioperation":
        node.note("reply-not-der", detail)
    elif "GetCACaps" in inside or operation == "getcacaps":
        node.note("caps-no-digest", f"no line is a capability: {detail}")
    elif inside & {"certificate", "certificates", "SignedData"} or operation:
        node.note("ca-not-der", detail)


def _decompressed(headers: Node, message: _Message) -> bytes:
    """The body, without the compression that the headers name where it is one that can be undone."""
    coding = (message.header("content-encoding") or "identity").lower()
    if coding == "identity":
        return message.body
    if not is_compressed(message.body):
        headers.note("http-compressed", f"{coding}; what is here is read as it is")
        return message.body
    octets, trouble = decompress(message.body)
    headers.note("http-compressed", f"{coding}, {trouble}" if trouble else coding)
    return octets or message.body
