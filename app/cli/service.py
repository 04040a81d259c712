"""What a process that serves is made of: by ``serve``, and anew in each that is spawned."""

import gc
import logging
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from bottle import Bottle

from app.chaos.application import Chaos
from app.cli.admin_site import ADMIN_CONNECTIONS, build_admin, open_admin_site
from app.cli.context import say
from app.cli.plan import Plan
from app.cli.worker import Worker, write_audit
from app.clock import utc_now
from app.config import Config, ConfigError
from app.config.oddities import find_oddities
from app.configured_store import open_configured_store
from app.crl_watch import CrlWatch
from app.data_folder import DataFolderError
from app.http.live import LiveApplication
from app.http.rounds import let_others_catch_up, staying
from app.http.server import Site, WebServer
from app.indexer import Indexer
from app.logs import set_log_level, set_up_logs
from app.notifier import Notifier
from app.recorder.recorder import Recorder
from app.rollover import CaWatch
from app.settings import Change, Settings
from app.store import Sharing
from app.succession import load_succession
from app.validators import find_notified
from app.wiring import Validators, build_counts, build_web
from app.workers.share import Share
from ca.errors import StoreUnavailable
from ca.issuing.key_store import KeyUnusable
from ca.issuing.root import CaUnusable
from ca.journal import log_line
from ca.policy.challenges import ChallengeKey
from ca.ports import AuditEntry

log = logging.getLogger(__name__)
# Everybody waits with who waits for the database; the other way round, a minute of 503 is no loss.
BUSY_SECONDS = 3.0


class Service:
    """The CA of a *plan* under *settings*.

    What the command line changes meanwhile, and what is reloaded, is taken in by all that is served.
    With *has_admin* the administrator may be served here; a database that *is_prepared* is used as it is.
    """

    def __init__(
        self,
        plan: Plan,
        settings: Settings,
        validators: Validators,
        *,
        has_admin: bool,
        is_prepared: bool = False,
    ) -> None:
        config, folder = plan.config, plan.place.folder
        self.base_url = plan.base_url or config.server.base_url or ""
        self._plan = plan
        self._folder = folder
        self._settings = settings
        self._validators = validators
        sharing = Sharing(let_others_catch_up, staying, plan.turn, BUSY_SECONDS)
        self.store = open_configured_store(folder, config, sharing, as_it_is=is_prepared)
        self._key = ChallengeKey(folder.load_secret())
        self._counts = build_counts(config, plan.count, plan.numbers)
        self._chaos = None if plan.chaos_seed is None else Chaos(plan.chaos_seed)
        self._recorder = Recorder(folder.recordings, count=self._counts.meter.leave_out_recordings)
        # One for all sites: each asks it, and it looks once.
        self._watch = CaWatch(folder)
        self._crls = CrlWatch()
        web = self._live(lambda: self._build(settings.current()))
        self._sites = [Site(web, one, plan.limits, self._counts.meter) for one in plan.sockets]
        self._admin = [self._admin_site(plan.admin_socket)] if has_admin and plan.admin_socket else []

    def worker(self, share: Share) -> Worker:
        """What a process does, once it is one: the first serves the administrator too."""
        # While there is a file to be had for it. A database that is away is opened when it is needed.
        with suppress(StoreUnavailable):
            self.store.open()
            self._crls.look()
        taken = self._settings.taken
        notifier = Notifier(self.store, find_notified(self._validators.of(taken).values()), utc_now)

        def take_in(new: Config) -> None:
            notifier.use(find_notified(self._validators.of(new).values()))
            self._recorder.use(new.build_recorder_limits())
            set_log_level(new.log.level)

        self._settings.on_change = take_in
        self._settings.announces = share.is_first
        self._recorder.use(taken.build_recorder_limits())
        self._settings.begin()
        self._counts.meter.begin(share.slot)
        server = WebServer([*self._sites, *(self._admin if share.is_first else [])], share)
        indexer = Indexer(self.store) if share.is_first else None
        return Worker(
            server,
            self.store,
            notifier,
            self._recorder,
            indexer,
            self._crls,
            self._counts.tally,
            self._reload,
        )

    def _admin_site(self, listener: socket.socket) -> Site:
        site = open_admin_site(
            self._folder, self.store, self._key, listener, self._reload, self._counts.meter
        )
        web = self._live(lambda: build_admin(self._folder, site, self._settings.current()))
        return Site(web, listener, replace(self._plan.limits, connections=ADMIN_CONNECTIONS))

    def _live(self, build: Callable[[], Bottle]) -> LiveApplication:
        return LiveApplication(build, lambda: (self._watch(), self._settings.version()))

    def _build(self, config: Config) -> Bottle:
        cas, warnings = load_succession(self._folder, utc_now())
        told = self._plan.told
        for warning in (*warnings, *cas.complaints, *find_oddities(config, utc_now())):
            if warning not in told:
                say(f"warning: {warning}")
                told.add(warning)
        base = self._plan.base_url or config.server.base_url or ""
        return build_web(
            cas,
            config,
            self.store,
            self._key,
            base,
            self._counts,
            self._validators.of(config),
            self._recorder.keep,
            self._chaos,
            self._crls,
        )

    def _reload(self, actor: str) -> Change:
        change = self._settings.reload(self._build)
        detail = log_line(changed=",".join(change.names))
        entry = AuditEntry(utc_now(), actor, "reload", "settings", "taken in", "operator", detail)
        write_audit(self.store, entry)
        return change


def serve_anew(plan: Plan, share: Share) -> Worker:
    """What a process that was spawned does, which has of its parent the *plan* and the environment alone.

    Raises:
        SystemExit: It cannot serve, and the log says why.

    """
    set_up_logs(plan.config.log.level)
    try:
        return _make_anew(plan, share)
    except (CaUnusable, ConfigError, DataFolderError, KeyUnusable, OSError, StoreUnavailable) as error:
        log.error(log_line(reason="a worker cannot begin", detail=error))
        raise SystemExit(1) from error


def _make_anew(plan: Plan, share: Share) -> Worker:
    validators, settings = Validators(plan.place.folder), plan.make_settings()

    def try_them(new: Config) -> None:
        validators.of(new)
        set_log_level(new.log.level)

    # What was reloaded since, if this process can take it in.
    settings.on_change, settings.announces = try_them, share.is_first
    settings.begin()
    service = Service(plan, settings, validators, has_admin=share.is_first, is_prepared=True)
    calm_collector()
    return service.worker(share)


def calm_collector() -> None:
    """Have Python look for garbage cycles less often: a request makes hundreds of objects and none.

    What is loaded by now stays for good and is not looked at again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
