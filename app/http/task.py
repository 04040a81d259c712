"""One request being served: the application hears what was sent to whom, octet by octet."""

from collections.abc import Callable
from typing import Any, TypeAlias

from waitress.channel import ClientDisconnected
from waitress.task import WSGITask

# In the environ: the head of the request as it came, and who is to be told of the reply, if anybody.
REQUEST_HEAD = "scepbox.head"
WHEN_SENT = "scepbox.when_sent"
# What an application raises to have the connection closed without an answer.
Unanswered = ClientDisconnected
# Told the reply as it was sent, empty where there was none.
WhenSent: TypeAlias = Callable[[bytes], object]


class Task(WSGITask):  # type: ignore[misc] # waitress has no types
    """Serves a request with the application of its listener."""

    _head = _sent = b""

    def get_environment(self) -> dict[str, Any]:
        """What the application is given (PEP 3333)."""
        environ: dict[str, Any] = super().get_environment()
        environ[REQUEST_HEAD] = self.request.head
        return environ

    def build_response_header(self) -> bytes:
        """The head of the reply."""
        self._head = super().build_response_header()
        return self._head

    def write(self, data: bytes) -> None:
        """Send some of the body, and the head before it.

        Raises:
            ClientDisconnected: Nobody is there any more.

        """
        super().write(data)
        self._sent = self._sent or self._head
        if data and self.has_body:
            self._sent += b"%X\r\n%s\r\n" % (len(data), data) if self.chunked_response else data

    def service(self) -> None:
        """Have the request answered, and tell of the answer whoever asked to be told."""
        try:
            super().service()
        finally:
            told: WhenSent | None = (self.environ or {}).get(WHEN_SENT)
            if told is not None:
                told(self._sent + b"0\r\n\r\n" if self.chunked_response and self._sent else self._sent)
