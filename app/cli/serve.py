"""``serve``: makes what is missing, listens, says when it is ready, and ends when told to."""

import gc
import re
import socket

import click

from app.cli.context import Refusal, Workplace, say, verb
from app.cli.init import prepare, tell_ca
from app.cli.listen import check_addresses
from app.config import BASE_URL, MOST_WORKERS, Config
from app.http.rounds import let_others_catch_up
from app.http.server import Limits, WebServer, bind
from app.logs import set_up_logs
from app.store import Sharing
from app.wiring import build_web, load_ca, open_configured_store
from app.workers import make_turn, run_workers, settle_workers
from ca.policy.challenges import ChallengeKey


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
    sockets = [_bind(address) for address in check_addresses(listen or config.server.listen)]
    prepare(place)
    ca, warnings = load_ca(place.folder)
    for warning in warnings:
        say(f"warning: {warning}")
    count = settle_workers(config.server.workers if workers is None else workers)
    sharing = Sharing(let_others_catch_up, make_turn(count))
    store = open_configured_store(place.folder, config, sharing)
    url = _check_base_url(base_url) or config.server.base_url or ""
    _tell_distribution(config.ca.distribution_url or url)
    web = build_web(
        ca, config, store, ChallengeKey(place.folder.load_secret()), url, place.folder.ocsp_signer
    )
    tell_ca(place.folder)
    _tell_next(url.rstrip("/") or _url(sockets[0]).replace("//0.0.0.0:", "//127.0.0.1:"))
    _calm_collector()
    for other in sockets[1:]:
        say(f"also: {_url(other)}/scep")
    # A database must not be open across a fork: each worker opens it for itself.
    store.close()
    click.echo(f"ready: {_url(sockets[0])}/scep")
    run_workers(lambda share: WebServer(web, sockets, _limits(config), share), count)
    store.close()
    say("stopped")


def _check_base_url(url: str | None) -> str | None:
    if url and not re.fullmatch(BASE_URL, url):
        raise Refusal(f"--base-url {url!r} is no address such as http://scep.example.org")
    return url


def _tell_distribution(url: str) -> None:
    """Say where certificates send those who ask for their status: no address is ever guessed."""
    if not url:
        say("note: without --base-url certificates do not say where CRL (/crl) and OCSP (/ocsp) are")
    elif url.startswith("https:"):
        say("note: many clients fetch CRL and OCSP by http:// alone: see [ca] distribution_url")


def _bind(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise Refusal(f"--listen {address!r} is not HOST:PORT, such as 0.0.0.0:8080")
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
    limits = config.limits
    return Limits(
        body_octets=limits.body_octets,
        header_octets=limits.header_octets,
        connections=limits.connections,
        request_seconds=limits.request_seconds,
        idle_seconds=limits.idle_seconds,
    )


def _calm_collector() -> None:
    """Have Python look for garbage cycles less often: a request makes hundreds of objects and none.

    What is loaded by now stays for good and is not looked at again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def _tell_next(url: str) -> None:
    say("next: make a challenge password for a device: python run.py challenge new")
    say(f"      then enrol: python run.py enroll {url}/scep --subject CN=test --challenge - --out device")
