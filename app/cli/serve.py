"""``serve``: makes what is missing, listens, says when it is ready, and ends when told to."""

import secrets
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields
from functools import partial
from pathlib import Path

import click

from app.chaos.fate import MAX_SEED
from app.cli.admin_site import bind_admin, tell_if_closed
from app.cli.context import Refusal, Workplace, say, verb
from app.cli.init import prepare, tell_ca
from app.cli.listen import check_addresses
from app.cli.plan import Plan
from app.cli.service import Service, calm_collector, serve_anew
from app.cli.worker import log_audit_head
from app.config import Config, check_url
from app.config.sections import MOST_WORKERS
from app.hints import PROGRAM, command
from app.http.capacity import limit_on_files, within_capacity
from app.http.limits import Limits
from app.http.server import bind
from app.in_force import InForce
from app.logs import set_up_logs
from app.metrics.shared import SharedNumbers
from app.settings import ReloadMark
from app.wiring import Validators
from app.workers.supervisor import run_workers, settle_workers
from app.workers.turn import make_turn
from ca.profiles import DEFAULT, Profile


@click.command()
@click.option(
    "--listen", multiple=True, metavar="HOST:PORT", help="Where devices come to (port 0: a free one)."
)
@click.option(
    "--admin-listen",
    metavar="HOST:PORT|off",
    help="Where the administrator comes to (default: 127.0.0.1:8081).",
)
@click.option(
    "--workers",
    type=click.IntRange(0, MOST_WORKERS),
    help="Processes that serve; 0: one for each core, up to 4.",
)
@click.option(
    "--base-url", metavar="URL", help="How devices reach this server, where that is another address."
)
@click.option(
    "--chaos", is_flag=True, help="For authors of clients: answers are lost, late and odd at random."
)
@click.option(
    "--chaos-seed", type=click.IntRange(0, MAX_SEED), metavar="N", help="With --chaos: the same once more."
)
@verb
def serve(
    place: Workplace,
    listen: tuple[str, ...],
    admin_listen: str | None,
    workers: int | None,
    base_url: str | None,
    chaos: bool,
    chaos_seed: int | None,
) -> None:
    """Answer devices. The first start makes the CA and the database."""
    if chaos_seed is not None and not chaos:
        raise Refusal("--chaos-seed goes with --chaos")
    mark = ReloadMark(place.folder)
    # Looked at first: what is reloaded while the settings are read is then taken in.
    seen, config = mark.look(), place.config
    set_up_logs(config.log.level)
    validators = Validators(place.folder)
    validators.of(config)
    # Bound first: a port that is taken must not leave half a first start behind.
    url = _check_base_url(base_url)
    sockets = [_bind(address) for address in check_addresses(listen or config.server.listen)]
    admin_socket, about_admin = bind_admin(admin_listen, config.server)
    prepare(place)
    # One process, unless somebody wants more: several would share the seed, and not the order.
    by_settings = 1 if chaos else config.server.workers
    count = settle_workers(by_settings if workers is None else workers)
    mark.leave_in_force(InForce(str(place.settings_path), place.settings_text))
    plan = Plan(
        place,
        config,
        seen,
        url or "",
        _begin_chaos(chaos_seed) if chaos else None,
        count,
        sockets,
        admin_socket,
        _limits(config),
        make_turn(count),
        SharedNumbers(count),
    )
    service = Service(plan, plan.make_settings(), validators, has_admin=True)
    if admin_socket is not None:
        tell_if_closed(place.folder)
    tell_ca(place.folder)
    _tell_distribution(config.ca.distribution_url or service.base_url)
    _tell_next(_shown_url(service.base_url, sockets[0]), place.folder.path, config.build_profiles())
    calm_collector()
    for other in sockets[1:]:
        say(f"also: {_url(other)}/scep")
    if about_admin:
        say(about_admin)
    if admin_socket is not None:
        say(f"admin: {_url(admin_socket)}/")
    log_audit_head(service.store)
    # A database must not be open across a fork: each worker opens it for itself.
    service.store.close()

    def refuse_others() -> None:
        # While a socket is open anywhere, the system takes connections that nobody will answer.
        for one in (*sockets, *([admin_socket] if admin_socket else [])):
            one.close()

    ready = f"ready: {_url(sockets[0])}/scep"
    run_workers(service.worker, partial(serve_anew, plan), count, lambda: click.echo(ready), refuse_others)
    log_audit_head(service.store)
    service.store.close()
    # Nobody hears it where the terminal was closed.
    with suppress(OSError):
        say("stopped")


def _begin_chaos(given: int | None) -> int:
    """Say loudly what devices are in for, and return the seed."""
    seed = secrets.randbelow(1_000_000) if given is None else given
    say("CHAOS MODE: answers are lost, late, oddly written, or PENDING at random.")
    say("CHAOS MODE: this is for trying out clients, and not for devices that anybody needs.")
    say(f"chaos seed: {seed}; --chaos --chaos-seed {seed} does the same once more")
    return seed


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


def _shown_url(base_url: str, listener: socket.socket) -> str:
    """Where a person on this machine reaches it."""
    return base_url.rstrip("/") or _url(listener).replace("//0.0.0.0:", "//127.0.0.1:")


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _limits(config: Config) -> Limits:
    wanted = Limits(**config.limits.model_dump(include={field.name for field in fields(Limits)}))
    limits = within_capacity(wanted)
    if limits.connections < wanted.connections:
        files = limit_on_files()
        why = "" if files is None else f": it may have {files} files open (ulimit -n, LimitNOFILE)"
        say(
            f"warning: this system lets a process have {limits.connections} connections, "
            f"not the {wanted.connections} of [limits] connections{why}"
        )
    return limits


def _tell_next(url: str, data: Path, profiles: Mapping[str, Profile]) -> None:
    """Say how to try it, under the first profile that takes challenge passwords."""
    takers = [name for name, profile in profiles.items() if profile.challenge_required]
    if not takers:
        say("next: have a device ask; no profile takes challenge passwords, see docs/policy.md")
        return
    option, path = ("", "") if DEFAULT in takers else (f" --profile {takers[0]}", f"/{takers[0]}")
    say(f"next: make a challenge password for a device: {command('challenge new', data)}{option}")
    say(f"      then enrol: {PROGRAM} enroll {url}/scep{path} --subject CN=test --challenge - --out device")
