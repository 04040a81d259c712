"""``serve``: makes what is missing, listens, says when it is ready, and ends when told to."""

import gc
import socket
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path

import click
from bottle import Bottle

from app.cli.context import Refusal, Workplace, say, verb
from app.cli.init import prepare, tell_ca
from app.cli.listen import check_addresses
from app.config import Config, check_url
from app.config.sections import MOST_WORKERS
from app.hints import PROGRAM, command
from app.http.capacity import within_capacity
from app.http.limits import Limits
from app.http.live import LiveApplication
from app.http.rounds import let_others_catch_up
from app.http.server import WebServer, bind
from app.logs import set_up_logs
from app.rollover import CaWatch
from app.store import Sharing, SqlStore
from app.succession import load_succession
from app.wiring import build_web, open_configured_store, utc_now
from app.workers import Share, make_turn, run_workers, settle_workers
from ca.errors import StoreUnavailable
from ca.policy.challenges import ChallengeKey

# Everybody waits with who waits for the database; the other way round, a minute of 503 is no loss.
BUSY_SECONDS = 3.0


@click.command()
@click.option(
    "--listen", multiple=True, metavar="HOST:PORT", help="Where devices come to (port 0: a free one)."
)
@click.option(
    "--admin-listen",
    type=click.Choice(["off"]),
    default="off",
    show_default=True,
    expose_value=False,
    help="The administrator's site, which this version does not have.",
)
@click.option(
    "--workers",
    type=click.IntRange(0, MOST_WORKERS),
    help="Processes that serve; 0: one for each core, up to 4, and one on Windows.",
)
@click.option(
    "--base-url", metavar="URL", help="How devices reach this server, where that is another address."
)
@verb
def serve(place: Workplace, listen: tuple[str, ...], workers: int | None, base_url: str | None) -> None:
    """Answer devices. The first start makes the CA and the database."""
    config = place.config
    set_up_logs(config.log.level)
    # Bound first: a port that is taken must not leave half a first start behind.
    if base_url:
        _check_base_url(base_url)
    sockets = [_bind(address) for address in check_addresses(listen or config.server.listen)]
    prepare(place)
    count = settle_workers(config.server.workers if workers is None else workers)
    sharing = Sharing(let_others_catch_up, make_turn(count), BUSY_SECONDS)
    store = open_configured_store(place.folder, config, sharing)
    url = _check_base_url(base_url) or config.server.base_url or ""
    key = ChallengeKey(place.folder.load_secret())

    def build() -> Bottle:
        cas, warnings = load_succession(place.folder, utc_now())
        for warning in warnings:
            say(f"warning: {warning}")
        return build_web(cas, config, store, key, url)

    # The command line may change the CA meanwhile.
    web = LiveApplication(build, CaWatch(place.folder))
    tell_ca(place.folder)
    _tell_distribution(config.ca.distribution_url or url)
    _tell_next(url.rstrip("/") or _url(sockets[0]).replace("//0.0.0.0:", "//127.0.0.1:"), place.folder.path)
    _calm_collector()
    for other in sockets[1:]:
        say(f"also: {_url(other)}/scep")
    # A database must not be open across a fork: each worker opens it for itself.
    store.close()
    limits = _limits(config)

    def make_worker(share: Share) -> _Worker:
        # While there is a file to be had for it. A database that is away is opened when it is needed.
        with suppress(StoreUnavailable):
            store.open()
        return _Worker(WebServer(web, sockets, limits, share), store)

    run_workers(make_worker, count, lambda: click.echo(f"ready: {_url(sockets[0])}/scep"))
    say("stopped")


@dataclass(frozen=True, slots=True)
class _Worker:
    """A server, and the store that is its process's alone."""

    server: WebServer
    store: SqlStore

    def run(self, lifeline: int | None = None) -> None:
        self.server.run(lifeline)
        # Closed last of all, SQLite leaves one file.
        self.store.close()

    def stop(self) -> None:
        self.server.stop()


def _check_base_url(url: str | None) -> str | None:
    try:
        return check_url(url) if url else None
    except ValueError as error:
        raise Refusal(f"--base-url {error}") from error


def _tell_distribution(url: str) -> None:
    """Say where certificates send those who ask for their status: no address is ever guessed."""
    if not url:
        say("note: without --base-url certificates do not say where CRL (/crl) and OCSP (/ocsp) are")
    elif url.startswith("https:"):
        say("note: many clients fetch CRL and OCSP by http:// alone: see [ca] distribution_url")


def _bind(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    try:
        return bind(host.strip("[]"), int(port))
    except OSError as error:
        raise Refusal(
            f"cannot listen on {address}: {error.strerror or error}; choose another with --listen"
        ) from error


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _limits(config: Config) -> Limits:
    wanted = Limits(**config.limits.model_dump(include={field.name for field in fields(Limits)}))
    limits = within_capacity(wanted)
    if limits.connections < wanted.connections:
        say(
            f"warning: this system lets a process have {limits.connections} connections, "
            f"not the {wanted.connections} of [limits] connections"
        )
    return limits


def _calm_collector() -> None:
    """Have Python look for garbage cycles less often: a request makes hundreds of objects and none.

    What is loaded by now stays for good and is not looked at again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def _tell_next(url: str, data: Path) -> None:
    say(f"next: make a challenge password for a device: {command('challenge new', data)}")
    say(f"      then enrol: {PROGRAM} enroll {url}/scep --subject CN=test --challenge - --out device")
