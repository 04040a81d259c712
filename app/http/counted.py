"""Tells what came of requests that are no operation of SCEP, by the reply that was made to each."""

from collections.abc import Callable

from bottle import HTTPResponse, request

# Where a handler leaves what came of it, where the status of HTTP does not say.
OUTCOME = "scepbox.outcome"
# 304 is for who has it already.
_OUTCOMES = {200: "answered", 304: "unchanged", 500: "failed", 503: "unavailable"}
# Told ``answered``, ``unchanged``, ``refused``, ``unavailable`` or ``failed``.
CountOutcome = Callable[[str], None]


def ignore(_: str) -> None:
    """Count nothing."""


def counted(handler: Callable[..., HTTPResponse], count: CountOutcome) -> Callable[..., HTTPResponse]:
    """*handler*, which raises nothing, with *count* told what came of each request."""

    def answer(*arguments: str, **named: str) -> HTTPResponse:
        response = handler(*arguments, **named)
        count(request.environ.get(OUTCOME) or _OUTCOMES.get(response.status_code, "refused"))
        return response

    return answer
