"""The administrator's site over a CA in memory, and how one logs in there."""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from argon2 import PasswordHasher

from app.admin.attempts import Attempts
from app.admin.gate import Gate, loopback_hosts
from app.admin.metrics_token import MetricsToken
from app.admin.password import AdminPassword
from app.admin.site import AdminSite
from app.config import Config, ConfigError
from app.data_folder import replace_private
from app.metrics.meter import Meter
from app.settings import Change
from ca.issuing.status import RevocationStatus
from tests.forging import Answer
from tests.test_http import Served, serving
from tests.world import World

PASSWORD = "correct horse battery"
JSON = {"Content_Type": "application/json"}


class CountingPassword(AdminPassword):
    """The password, and how often it was hashed."""

    hashed = 0

    def verify(self, password: str) -> bool:
        self.hashed += 1
        return super().verify(password)


def login(password: str = PASSWORD, user: str = "admin", encoding: str = "utf-8") -> dict[str, str]:
    """The header of who logs in (RFC 7617)."""
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode(encoding)).decode()}


@dataclass
class Site:
    """A site while it runs. *problems* is what a reload finds wrong."""

    served: Served
    file: Path
    password: CountingPassword
    problems: list[str] = field(default_factory=list)
    reloads: int = 0

    def get(self, path: str = "/", **headers: str) -> Answer:
        """GET by who is logged in, unless *headers* say otherwise."""
        return self.served.ask("GET", path, None, **{**login(), **headers})

    def post(self, path: str = "/api/v1/reload", **headers: str) -> Answer:
        """POST in the same way."""
        return self.served.ask("POST", path, b"{}", **{**login(), **JSON, **headers})

    def reload(self) -> Change:
        """What stands in for taking settings in: that is tested with real files elsewhere."""
        if self.problems:
            raise ConfigError("\n".join(self.problems))
        self.reloads += 1
        return Change(("profiles.vpn", "server.workers"), ("server.workers",))


@contextmanager
def opened(
    world: World,
    folder: Path,
    config: Config | None = None,
    address: str = "127.0.0.1",
    meter: Meter | None = None,
) -> Iterator[Site]:
    """The site as ``serve`` opens it on *address*, with a password unless *folder* is to have none."""
    file = folder / "admin.hash"
    password = CountingPassword(file)
    token = MetricsToken(folder / "metrics.hash")
    gate = Gate(password, Attempts(), loopback_hosts(address), metrics_token=token)
    site: Site

    def reload(_: str) -> Change:
        return site.reload()

    admin = AdminSite(
        gate, world.store, world.challenge_key, lambda: world.now, reload, "run.py reload", meter or Meter()
    )
    status = RevocationStatus(world.responder.authority, world.store, lambda: world.now)
    with serving(admin.build(world.ca, config or Config(), {"test-ca": status})) as served:
        site = Site(served, file, password)
        yield site


def set_password(folder: Path, password: str = PASSWORD) -> None:
    """As ``admin password`` does, but for what its hash costs."""
    cheap = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    replace_private(folder / "admin.hash", f"{cheap.hash(password)}\n".encode())
