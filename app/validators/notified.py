"""Who is told afterwards what came of a request, beside deciding on it."""

from typing import Protocol, runtime_checkable

from ca.ports import Notification


class NotDelivered(Exception):
    """A notification did not arrive, so that it is tried again. The text is for the log."""


@runtime_checkable
class Notified(Protocol):
    """A validator as the outbox sees it."""

    @property
    def name(self) -> str:
        """What the settings call it."""

    def notify(self, notification: Notification) -> None:
        """Tell it. The same may be told twice, where a process died in between.

        Raises:
            NotDelivered: It has not heard.

        """
