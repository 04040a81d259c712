"""Several serving processes with one outbox: each notification is told once, and survives them all."""

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from shutil import copytree

import pytest

from app.data_folder import DataFolder
from app.store import StoreKeys, open_store
from tests.applicants import failed
from tests.command_line import run, serving
from tests.services import Reply, Service, running
from tests.webhooks import SECRET, is_genuine

COUNT = 30


@pytest.fixture
def receiver() -> Iterator[Service]:
    with running(Service(lambda _: Reply(204))) as service:
        yield service


@pytest.fixture
def data(made_ca: Path, tmp_path: Path, receiver: Service) -> Path:
    """A server whose validator is *receiver*."""
    data = tmp_path / "data"
    copytree(made_ca, data)
    (data / "mdm.secret").write_bytes(SECRET + b"\n")
    (data / "mdm.secret").chmod(0o600)
    (data / "scepbox.toml").write_text(
        "[validator.mdm]\n"
        'type = "webhook"\n'
        f'url = "{receiver.url}/decide"\n'
        f'notify_url = "{receiver.url}/told"\n'
        'secret_file = "mdm.secret"\n'
    )
    return data


def leave(data: Path, count: int) -> None:
    """Have notifications waiting, as another process does."""
    keys = StoreKeys.of_secret(DataFolder(data).load_secret())
    store = open_store(f"sqlite:///{data}/scepbox.db", keys=keys)
    for number in range(count):
        one = failed("mdm", f"reason {number}")
        store.transact(lambda repository, one=one: repository.add_notification(one, datetime.now(UTC)))  # type: ignore[misc]
    store.close()


def rows(data: Path) -> int:
    with closing(sqlite3.connect(data / "scepbox.db")) as database:
        return int(database.execute("SELECT count(*) FROM notification").fetchone()[0])


def await_(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 30
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


@pytest.mark.parametrize(
    "workers",
    [1, pytest.param(3, marks=pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork"))],
)
def test_each_is_told_once_whoever_of_them_does(
    data: Path, receiver: Service, tmp_path: Path, workers: int
) -> None:
    """They look at the same table, and one UPDATE decides."""
    leave(data, COUNT)

    with serving(
        "--data", data, "--listen", "127.0.0.1:0", "--workers", workers, log=tmp_path / "log"
    ) as server:
        assert await_(lambda: rows(data) == 0), server.log
        leave(data, COUNT)
        assert await_(lambda: rows(data) == 0), server.log

    assert server.code == 0
    assert len(receiver.received) == 2 * COUNT
    assert all(map(is_genuine, receiver.received))
    assert server.log.count("outcome=delivered") == 2 * COUNT
    assert SECRET.decode() not in server.log


def test_what_was_not_heard_outlives_the_server(data: Path, receiver: Service, tmp_path: Path) -> None:
    """The next start has it; the end waits for nobody who does not answer."""
    receiver.answer = lambda _: Reply(500)
    leave(data, 1)
    with serving("--data", data, "--listen", "127.0.0.1:0", log=tmp_path / "first") as server:
        assert await_(lambda: "HTTP 500" in server.log), server.log
    assert rows(data) == 1
    with closing(sqlite3.connect(data / "scepbox.db")) as database:
        # A minute later.
        database.execute("UPDATE notification SET next_at = 0")
        database.commit()
    receiver.answer = lambda _: Reply(204)

    with serving("--data", data, "--listen", "127.0.0.1:0", log=tmp_path / "second") as server:
        assert await_(lambda: rows(data) == 0), server.log

    assert len(receiver.received) == 2


def test_a_secret_that_is_missing_is_told_before_anything_is_bound(data: Path, tmp_path: Path) -> None:
    """In one line, with the key and the file; exit code 2."""
    (data / "mdm.secret").unlink()

    done = run("serve", "--data", data, "--listen", "127.0.0.1:0")

    assert done.code == 2
    assert done.err.count("\n") == 1
    assert "validator.mdm.secret_file: there is no file" in done.err
