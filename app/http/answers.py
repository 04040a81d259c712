"""Replies of this server: one line of text or the bytes a device asked for, never a page by accident."""

import logging
import secrets
from collections.abc import Callable, Mapping

from bottle import Bottle, HTTPError, HTTPResponse, request

from ca.errors import MalformedMessage, StoreUnavailable
from ca.journal import log_line

log = logging.getLogger(__name__)
RETRY_SECONDS = "30"


def reply(body: bytes, media_type: str, *, store: bool = True) -> HTTPResponse:
    """A 200 whose Content-Type is bare, as iOS and sscep compare it."""
    headers = {"Content-Type": media_type, "X-Content-Type-Options": "nosniff"}
    if not store:
        headers["Cache-Control"] = "no-store"
    return HTTPResponse(body, 200, headers)


def cacheable(body: bytes, media_type: str, headers: Mapping[str, str]) -> HTTPResponse:
    """A reply that caches may keep, under the ETag in *headers*; a 304 to who has this very one."""
    given = request.environ.get("HTTP_IF_NONE_MATCH", "")
    # A weak tag is as good here, and an asterisk stands for any (RFC 9110 13.1.2).
    tags = {tag.strip().removeprefix("W/") for tag in given.split(",")}
    if tags & {"*", headers["ETag"]}:
        return HTTPResponse(b"", 304, dict(headers))
    response = reply(body, media_type)
    for name, value in headers.items():
        response.set_header(name, value)
    return response


def refuse(status: int, why: str, **headers: str) -> HTTPResponse:
    """One line of plain text, with a line in the log."""
    log.info(_line(status, reason=why))
    return _refusal(status, why, headers)


def _line(status: int, **said: object) -> str:
    path = request.path
    return log_line(http=status, **said, method=request.method, path=path, peer=request.remote_addr)


def _refusal(status: int, why: str, headers: Mapping[str, str]) -> HTTPResponse:
    plain = {name.replace("_", "-"): value for name, value in headers.items()}
    plain |= {"Content-Type": "text/plain", "X-Content-Type-Options": "nosniff"}
    return HTTPResponse(f"{why}\n".encode(), status, plain)


def guarded(handler: Callable[..., HTTPResponse]) -> Callable[..., HTTPResponse]:
    """Turn what a handler raises into a reply; the one place where MalformedMessage becomes a 400.

    A bug is a 500 that names an entry in the log and nothing else.
    """

    def guard(*arguments: str, **named: str) -> HTTPResponse:
        try:
            return handler(*arguments, **named)
        except MalformedMessage as error:
            return refuse(400, str(error))
        except StoreUnavailable as error:
            log.error(_line(503, reason="the database cannot be used", detail=error))
            return _refusal(503, "try again later", {"Retry_After": RETRY_SECONDS})
        except Exception:
            error_id = secrets.token_hex(4)
            log.exception(log_line(http=500, error_id=error_id, path=request.path))
            return refuse(500, f"internal error {error_id}: the server's log says more")

    return guard


class PlainBottle(Bottle):  # type: ignore[misc] # bottle has no types
    """A Bottle whose own refusals (404, 405) are a line of text as well."""

    def default_error_handler(self, error: HTTPError) -> bytes:
        """Say what Bottle wants to say, without its page of HTML."""
        error.content_type = "text/plain"
        return f"{error.status_line[4:].lower()}\n".encode()
