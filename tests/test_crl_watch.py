"""The CRL while the database is away: from every process, also from one that nobody had asked for it."""

import os
from contextlib import closing
from pathlib import Path

import pytest

from app import crl_watch
from app.crl_watch import CrlWatch
from ca.issuing.status import RevocationStatus
from tests.backing_up import did_here, make_ca
from tests.databases import server
from tests.relay import Relay
from tests.scraping import Scraped
from tests.test_reload import admin_url, ask, await_, running
from tests.test_revocation import do_revoke, issue, kept
from tests.world import World

WORKERS = 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.databases("postgresql")
def test_every_worker_serves_the_crl_while_the_database_is_away(tmp_path: Path) -> None:
    """One that had begun a moment ago answered 503, to half of all who asked."""
    data = tmp_path / "data"
    url = server().new_database("template0")
    with closing(Relay(server().port)) as relay:
        make_ca(data, url.replace(f":{server().port}/", f":{relay.port}/"))
        did_here("crl", "publish", "--data", data)
        token = did_here("admin", "metrics", "--data", data).strip()
        with running(data, WORKERS) as service:
            where = admin_url(service)

            def count_starts() -> float | None:
                answer = ask(where, "GET", "/metrics", None, Authorization=f"Bearer {token}")
                return Scraped.read(answer.body).value("scepbox_worker_starts_total")

            await_(lambda: count_starts() == WORKERS)
            relay.close()

            answers = [ask(service.url, "GET", "/crl", None) for _ in range(12)]

    assert [one.status for one in answers] == [200] * 12
    assert len({one.body for one in answers}) == 1


def test_what_another_process_made_is_known_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever was asked last an hour ago would go on with what is an hour old."""
    monkeypatch.setattr(crl_watch, "LOOK_SECONDS", 0.01)
    world, watch = World(f"sqlite:///{(tmp_path / 'scepbox.db').as_posix()}"), CrlWatch()
    authority, clock = world.responder.authority, lambda: world.now
    watch.use([RevocationStatus(authority, world.store, clock, known=watch.known)])
    first = kept(world)
    watch.start()
    await_(lambda: list(watch.known.values()) == [first])
    do_revoke(world, issue(world).serial)
    newest = kept(world)
    await_(lambda: list(watch.known.values()) == [newest])
    watch.stop()

    assert newest != first
    world.store.close()
