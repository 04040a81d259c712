"""What ``serve`` has settled before it serves. Each process makes its service of it."""

import socket
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from app.cli.context import Workplace
from app.config import Config
from app.http.limits import Limits
from app.metrics.shared import SharedNumbers
from app.settings import ReloadMark, Settings


@dataclass(frozen=True, slots=True)
class Plan:
    """How *count* processes serve; pickled for one that is spawned, which gets its own of each socket.

    *seen* is the mark that was there before *config* was read. *base_url* is how devices reach the server,
    where the settings do not say; with a *chaos_seed* they meet with more than answers. What of *told* was
    told of the CA and the settings is not told again.
    """

    place: Workplace
    config: Config
    seen: int
    base_url: str
    chaos_seed: int | None
    count: int
    sockets: Sequence[socket.socket]
    admin_socket: socket.socket | None
    limits: Limits
    turn: Callable[[float], AbstractContextManager[None]]
    numbers: SharedNumbers
    told: set[str] = field(default_factory=set)

    def make_settings(self) -> Settings:
        """The settings in force, for one process."""
        mark, file = ReloadMark(self.place.folder), str(self.place.settings_path)
        return Settings(self.place.find_settings, self.config, mark, self.seen, file)
