"""HTTP around the server (RFC 8894 4): what devices send is read, whatever its dialect."""

import base64
import binascii
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qsl, unquote, unquote_plus, urlsplit

from tests.faults.deciding import Death, Office, ServerFault
from tests.faults.reading import NoMessage, Refused

PATHS = {"/scep", "/scep/", "/cgi-bin/pkiclient.exe", "/certsrv/mscep/mscep.dll"}
_SUFFIX = "/pkiclient.exe"
_REASONS = {200: "OK", 301: "Moved Permanently", 400: "Bad Request", 404: "Not Found", 414: "URI Too Long"}
_MOST = 256 * 1024
# As nginx says it.
_NO_CERTIFICATE = b"<html><title>400 No required SSL certificate was sent</title></html>\n"


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP response; an error is one line of text."""

    body: bytes
    media_type: str = "text/plain"
    status: int = 200
    location: str = ""


class Handler(BaseHTTPRequestHandler):
    """One connection. The class that is served has its *office*, and *end*, which ends the server."""

    protocol_version = "HTTP/1.1"
    office: Office

    def end(self) -> None:
        """End the server: nobody is answered any more."""
        raise NotImplementedError

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Answer a GET."""
        self._respond(b"")

    def do_POST(self) -> None:
        """Answer a POST."""
        self._respond(self._read_body())

    def do_HEAD(self) -> None:
        """Answer as a GET is, without the body."""
        self._respond(b"")

    def _read_body(self) -> bytes:
        body = b""
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            if not self.office.conduct.reads_chunks:
                # Whatever comes after the header is taken for the next request, so there is none.
                self.close_connection = True
                return b""
            while size := int(self.rfile.readline(1024).partition(b";")[0], 16):
                body += self.rfile.read(min(size, _MOST))
                self.rfile.readline(1024)
            self.rfile.readline(1024)
        else:
            body = self.rfile.read(min(int(self.headers.get("Content-Length", 0)), _MOST))
        return body if self.office.conduct.reads_bodies else b""

    def _respond(self, body: bytes) -> None:
        try:
            answer = self._answer(body)
        except NoMessage as error:
            answer = Answer(f"{error}\n".encode(), status=400)
        except Refused as error:
            answer = Answer(f"{error}\n".encode(), status=500)
        except ServerFault:
            answer = Answer(b"internal error\n", status=500)
        except Death:
            self.close_connection = True
            self.end()
            return
        self._write(answer)

    def _answer(self, body: bytes) -> Answer:
        conduct, parts = self.office.conduct, urlsplit(self.path)
        if unfit := self._judge_way(parts.path):
            return unfit
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        operation = query.get("operation", "PKIOperation" if self.command == "POST" else "")
        if not conduct.takes_any_case and operation == operation.lower():
            operation = ""
        match operation.lower():
            case "getcacaps":
                return Answer(conduct.capabilities, conduct.capabilities_type)
            case "getcacert" if not conduct.knows_identifiers and query.get("message"):
                return Answer(b"no such CA\n", status=404)
            case "getcacert":
                return Answer(self.office.material.answer, self.office.material.answer_type)
            case "pkioperation" if not (conduct.takes_post if self.command == "POST" else conduct.takes_get):
                return Answer(b"not by this method\n", status=405)
            case "pkioperation":
                message = body if self.command == "POST" else self._message_of_get(parts.query)
                return self._operate(message)
        raise self._error("operation", NoMessage("no such operation"))

    def _judge_way(self, path: str) -> Answer | None:
        """What is said before the operation is looked at; None where the request may come in."""
        conduct, is_old = self.office.conduct, self.request_version == "HTTP/1.0"
        known = PATHS | (
            {f"{one.rstrip('/')}{_SUFFIX}" for one in PATHS} if conduct.knows_suffixes else set()
        )
        if conduct.redirect:
            return Answer(b"", status=301, location=conduct.redirect + self.path)
        if conduct.wants_certificate == "page":
            return Answer(_NO_CERTIFICATE, "text/html", status=400)
        if conduct.token and conduct.token not in urlsplit(self.path).query.split("&"):
            return Answer(b"no token\n", status=403)
        if len(self.path) > conduct.longest_target:
            return Answer(b"the address is too long\n", status=414)
        if is_old and not conduct.knows_http_1_0:
            return Answer(b"HTTP/1.1, please\n", status=426)
        if not is_old and self.headers.get("Host") is None and not conduct.knows_hostless:
            return Answer(b"no Host\n", status=400)
        if self.command == "HEAD" and not conduct.takes_head:
            return Answer(b"", status=405)
        if not conduct.knows_slash and path.endswith("/"):
            return Answer(b"", status=301, location=self.path.replace("/?", "?"))
        if path not in known or not conduct.is_there:
            return Answer(b"nothing is here\n", status=404)
        return None

    def _message_of_get(self, query: str) -> bytes:
        """The pkiMessage in a query: with + bare or not, wrapped or not, in either alphabet."""
        found = dict(pair.partition("=")[::2] for pair in query.split("&")).get("message", "")
        try:
            if not self.office.conduct.restores_plus:
                return base64.b64decode(unquote_plus(found), validate=True)
            unwrapped = unquote(found)
            if "\n" in unwrapped and not self.office.conduct.takes_line_breaks:
                raise NoMessage("illegal base64 data at line break")
            text = unwrapped.translate({ord(" "): "+", ord("-"): "+", ord("_"): "/", 13: None, 10: None})
            return base64.b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), validate=True)
        except binascii.Error as error:
            raise NoMessage(f"illegal base64 data: {error}") from error

    def _operate(self, message: bytes) -> Answer:
        conduct = self.office.conduct
        if self.command == "POST" and conduct.insists_on_media_type:
            kind = self.headers.get("Content-Type", "none")
            if kind != "application/x-pki-message":
                return Answer(f"unsupported media type {kind}\n".encode(), status=415)
        if len(message) > conduct.longest_body:
            return Answer(b"the body is too large\n", status=413)
        if not message:
            raise self._error("nothing", NoMessage("invalid data len 0"))
        return Answer(_in_form(self.office.operate(message), conduct.reply_form), conduct.reply_type)

    def _error(self, at: str, otherwise: Exception) -> BaseException:
        """What happens at something odd: the server dies of it, fails, or answers as it should."""
        if at in self.office.conduct.dies_of:
            return Death()
        return ServerFault() if at in self.office.conduct.fails_at else otherwise

    def handle_expect_100(self) -> bool:
        """Say that the body may come."""
        if self.office.conduct.takes_expect:
            return super().handle_expect_100()
        self._write(Answer(b"no expectations\n", status=417))
        return False

    def _write(self, answer: Answer) -> None:
        """In one piece, so that nobody waits for the second."""
        conduct = self.office.conduct
        lines = [f"HTTP/1.1 {answer.status} {_REASONS.get(answer.status, 'Error')}"]
        if answer.location:
            lines.append(f"Location: {answer.location}")
        if answer.media_type:
            lines.append(f"Content-Type: {answer.media_type}")
        if conduct.cache_control:
            lines.append(f"Cache-Control: {conduct.cache_control}")
        body = answer.body
        if conduct.chunked and self.request_version != "HTTP/1.0":
            lines.append("Transfer-Encoding: chunked")
            middle = len(body) // 2
            chunks = [piece for piece in (body[:middle], body[middle:]) if piece]
            body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in chunks) + b"0\r\n\r\n"
        elif conduct.says_length:
            lines.append(f"Content-Length: {len(body)}")
            if conduct.breaks_off:
                self.close_connection, body = True, body[: len(body) // 2]
        else:
            self.close_connection = True
        if self.close_connection:
            lines.append("Connection: close")
        else:
            body += conduct.leaves
            self.close_connection = conduct.forgets
        head = "".join(f"{line}\r\n" for line in lines)
        self.wfile.write(f"{head}\r\n".encode() + (b"" if self.command == "HEAD" else body))


def _in_form(reply: bytes, form: str) -> bytes:
    match form:
        case "base64":
            return base64.b64encode(reply)
        case "half":
            return reply[: len(reply) // 2]
        case "nothing":
            return b""
    return reply
