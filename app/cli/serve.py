"""``serve``: makes what is missing, listens, says when it is ready, and ends when told to."""

import gc
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import fields, replace
from pathlib import Path

import click
from bottle import Bottle

from app.cli.admin_site import ADMIN_CONNECTIONS, bind_admin, build_admin, open_admin_site
from app.cli.context import Refusal, Workplace, say, verb
from app.cli.init import prepare, tell_ca
from app.cli.listen import check_addresses
from app.cli.worker import Worker, log_audit_head, write_audit
from app.config import Config, check_url
from app.config.oddities import find_oddities
from app.config.sections import MOST_WORKERS
from app.hints import PROGRAM, command
from app.http.capacity import within_capacity
from app.http.limits import Limits
from app.http.live import LiveApplication
from app.http.rounds import let_others_catch_up
from app.http.server import Site, WebServer, bind
from app.in_force import InForce
from app.logs import set_log_level, set_up_logs
from app.notifier import Notifier
from app.rollover import CaWatch
from app.settings import Change, ReloadMark, Settings
from app.store import Sharing
from app.succession import load_succession
from app.validators import find_notified
from app.wiring import Validators, build_counts, build_web, open_configured_store, utc_now
from app.workers import Share, make_turn, run_workers, settle_workers
from ca.errors import StoreUnavailable
from ca.journal import log_line
from ca.policy.challenges import ChallengeKey
from ca.ports import AuditEntry
from ca.profiles import DEFAULT, Profile

# Everybody waits with who waits for the database; the other way round, a minute of 503 is no loss.
BUSY_SECONDS = 3.0


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
    help="Processes that serve; 0: one for each core, up to 4, and one on Windows.",
)
@click.option(
    "--base-url", metavar="URL", help="How devices reach this server, where that is another address."
)
@verb
def serve(
    place: Workplace,
    listen: tuple[str, ...],
    admin_listen: str | None,
    workers: int | None,
    base_url: str | None,
) -> None:
    """Answer devices. The first start makes the CA and the database."""
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
    count = settle_workers(config.server.workers if workers is None else workers)
    sharing = Sharing(let_others_catch_up, make_turn(count), BUSY_SECONDS)
    store = open_configured_store(place.folder, config, sharing)
    key = ChallengeKey(place.folder.load_secret())
    counts = build_counts(config, count)
    file = str(place.settings_path)
    mark.leave_in_force(InForce(file, place.settings_text))
    settings = Settings(place.find_settings, config, mark, seen, file)

    told: set[str] = set()

    def build(config: Config) -> Bottle:
        cas, warnings = load_succession(place.folder, utc_now())
        for warning in (*warnings, *cas.complaints, *find_oddities(config, utc_now())):
            if warning not in told:
                say(f"warning: {warning}")
                told.add(warning)
        base = url or config.server.base_url or ""
        return build_web(cas, config, store, key, base, counts, validators.of(config))

    # The command line may change the CA meanwhile, and whoever may reload the settings.
    watch = CaWatch(place.folder)
    web = _live(lambda: build(settings.current()), watch, settings)

    def reload(actor: str) -> Change:
        change = settings.reload(build)
        detail = log_line(changed=",".join(change.names))
        write_audit(store, AuditEntry(utc_now(), actor, "reload", "settings", "taken in", "operator", detail))
        return change

    limits = _limits(config)
    sites = [Site(web, one, limits) for one in sockets]
    first_alone: list[Site] = []
    if admin_socket is not None:
        site = open_admin_site(place.folder, store, key, admin_socket, reload, counts.meter)
        admin = _live(lambda: build_admin(place.folder, site, settings.current()), watch, settings)
        first_alone.append(Site(admin, admin_socket, replace(limits, connections=ADMIN_CONNECTIONS)))
    tell_ca(place.folder)
    _tell_distribution(config.ca.distribution_url or url or config.server.base_url or "")
    shown = (url or config.server.base_url or "").rstrip("/")
    at = shown or _url(sockets[0]).replace("//0.0.0.0:", "//127.0.0.1:")
    _tell_next(at, place.folder.path, config.build_profiles())
    _calm_collector()
    for other in sockets[1:]:
        say(f"also: {_url(other)}/scep")
    if about_admin:
        say(about_admin)
    if admin_socket is not None:
        say(f"admin: {_url(admin_socket)}/")
    log_audit_head(store)
    # A database must not be open across a fork: each worker opens it for itself.
    store.close()

    def make_worker(share: Share) -> Worker:
        # While there is a file to be had for it. A database that is away is opened when it is needed.
        with suppress(StoreUnavailable):
            store.open()
        notifier = Notifier(store, find_notified(validators.of(config).values()), utc_now)

        def take_in(new: Config) -> None:
            notifier.use(find_notified(validators.of(new).values()))
            set_log_level(new.log.level)

        settings.on_change = take_in
        settings.announces = share.is_first
        settings.begin()
        counts.meter.begin(share.slot)
        served = [*sites, *first_alone] if share.is_first else sites
        return Worker(WebServer(served, share), store, notifier, counts.tally, reload)

    listening = [one.listener for one in (*sites, *first_alone)]

    def refuse_others() -> None:
        # While a socket is open anywhere, the system takes connections that nobody will answer.
        for one in listening:
            one.close()

    ready = f"ready: {_url(sockets[0])}/scep"
    run_workers(make_worker, count, lambda: click.echo(ready), refuse_others)
    log_audit_head(store)
    store.close()
    # Nobody hears it where the terminal was closed.
    with suppress(OSError):
        say("stopped")


def _live(build: Callable[[], Bottle], watch: CaWatch, settings: Settings) -> LiveApplication:
    return LiveApplication(build, lambda: (watch(), settings.version()))


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


def _tell_next(url: str, data: Path, profiles: Mapping[str, Profile]) -> None:
    """Say how to try it, under the first profile that takes challenge passwords."""
    takers = [name for name, profile in profiles.items() if profile.challenge_required]
    if not takers:
        say("next: have a device ask; no profile takes challenge passwords, see docs/policy.md")
        return
    option, path = ("", "") if DEFAULT in takers else (f" --profile {takers[0]}", f"/{takers[0]}")
    say(f"next: make a challenge password for a device: {command('challenge new', data)}{option}")
    say(f"      then enrol: {PROGRAM} enroll {url}/scep{path} --subject CN=test --challenge - --out device")
