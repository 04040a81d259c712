"""Our server's application inside this process, put together as ``serve`` does it."""

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from app.cli.init import make_ca
from app.config import Config
from app.configured_store import open_configured_store
from app.data_folder import DataFolder
from app.http.rounds import let_others_catch_up, staying
from app.logs import set_up_logs
from app.store import Sharing
from app.store.records import NewChallenge
from app.succession import load_succession
from app.wiring import build_web
from benchmarks.messages import Target
from ca.policy.challenges import ChallengeKey
from ca.profiles import DEFAULT

_CHALLENGE = "open sesame"


class InProcessServer:
    """The WSGI application and what a client has to know of it."""

    def __init__(self, web: Any, target: Target) -> None:
        self._web = web
        self.target = target

    def post(self, body: bytes) -> bytes:
        """One PKIOperation, without a socket."""
        environ = {
            "REQUEST_METHOD": "POST",
            "PATH_INFO": "/scep",
            "SCRIPT_NAME": "",
            "QUERY_STRING": "operation=PKIOperation",
            "CONTENT_LENGTH": str(len(body)),
            "CONTENT_TYPE": "application/x-pki-message",
            "REMOTE_ADDR": "127.0.0.1",
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": "8080",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(body),
            "wsgi.errors": io.StringIO(),
        }
        return b"".join(self._web(environ, lambda *_: None))


@contextmanager
def in_process(folder: Path) -> Iterator[InProcessServer]:
    """A CA in *folder*, a durable store, and the log in a file beside it."""
    data, config = DataFolder(folder), Config()
    make_ca(data)
    cas, _ = load_succession(data, datetime.now(UTC))
    store = open_configured_store(data, config, Sharing(let_others_catch_up, staying))
    key = ChallengeKey(data.load_secret())
    challenge = NewChallenge(key.mac(_CHALLENGE), DEFAULT, None, None, datetime.now(UTC), None, None)
    store.transact(lambda repository: repository.add_challenge(challenge))
    web = build_web(cas, config, store, key)
    with (folder / "server.log").open("w") as lines:
        with redirect_stderr(lines):
            set_up_logs(config.log.level)
        yield InProcessServer(web, Target(("", 0), "/scep", cas.current.certificate, _CHALLENGE))
        logging.getLogger().handlers.clear()
    store.close()
