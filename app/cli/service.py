"""What ``serve`` puts together before it forks, and what each process then makes of it."""

import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from bottle import Bottle

from app.chaos.application import Chaos
from app.cli.admin_site import ADMIN_CONNECTIONS, build_admin, open_admin_site
from app.cli.context import say
from app.cli.worker import Worker, write_audit
from app.clock import utc_now
from app.config import Config
from app.config.oddities import find_oddities
from app.configured_store import open_configured_store
from app.crl_watch import CrlWatch
from app.data_folder import DataFolder
from app.http.limits import Limits
from app.http.live import LiveApplication
from app.http.rounds import let_others_catch_up, staying
from app.http.server import Site, WebServer
from app.indexer import Indexer
from app.logs import set_log_level
from app.notifier import Notifier
from app.recorder.recorder import Recorder
from app.rollover import CaWatch
from app.settings import Change, Settings
from app.store import Sharing
from app.succession import load_succession
from app.validators import find_notified
from app.wiring import Validators, build_counts, build_web
from app.workers import Share, make_turn
from ca.errors import StoreUnavailable
from ca.journal import log_line
from ca.policy.challenges import ChallengeKey
from ca.ports import AuditEntry

# Everybody waits with who waits for the database; the other way round, a minute of 503 is no loss.
BUSY_SECONDS = 3.0


class Service:
    """The CA in *folder* under *settings*, for *count* processes.

    *base_url* is how devices reach it, where the settings do not say; with *chaos* they meet with more than
    answers. What the command line changes
    meanwhile, and what is reloaded, is taken in by all that is served.
    """

    def __init__(
        self,
        folder: DataFolder,
        config: Config,
        settings: Settings,
        validators: Validators,
        base_url: str,
        count: int,
        chaos: Chaos | None = None,
    ) -> None:
        self.base_url = base_url or config.server.base_url or ""
        self._given_url = base_url
        self._folder = folder
        self._config = config
        self._settings = settings
        self._validators = validators
        sharing = Sharing(let_others_catch_up, staying, make_turn(count), BUSY_SECONDS)
        self.store = open_configured_store(folder, config, sharing)
        self._key = ChallengeKey(folder.load_secret())
        self._counts = build_counts(config, count)
        self._chaos = chaos
        self._recorder = Recorder(folder.recordings, count=self._counts.meter.leave_out_recordings)
        # One for all sites: each asks it, and it looks once.
        self._watch = CaWatch(folder)
        self._told: set[str] = set()
        self._crls = CrlWatch()
        self._web = self._live(lambda: self._build(settings.current()))

    def site(self, listener: socket.socket, limits: Limits) -> Site:
        """What devices are served with on a socket."""
        return Site(self._web, listener, limits, self._counts.meter)

    def admin_site(self, listener: socket.socket, limits: Limits) -> Site:
        """What the administrator is served with on a socket."""
        site = open_admin_site(
            self._folder, self.store, self._key, listener, self._reload, self._counts.meter
        )
        web = self._live(lambda: build_admin(self._folder, site, self._settings.current()))
        return Site(web, listener, replace(limits, connections=ADMIN_CONNECTIONS))

    def worker(self, sites: Sequence[Site], admin: Site | None) -> Callable[[Share], Worker]:
        """What a process does, once it is one: the first serves the administrator too."""

        def make(share: Share) -> Worker:
            # While there is a file to be had for it. A database that is away is opened when it is needed.
            with suppress(StoreUnavailable):
                self.store.open()
                self._crls.look()
            notifier = Notifier(
                self.store, find_notified(self._validators.of(self._config).values()), utc_now
            )

            def take_in(new: Config) -> None:
                notifier.use(find_notified(self._validators.of(new).values()))
                self._recorder.use(new.build_recorder_limits())
                set_log_level(new.log.level)

            self._settings.on_change = take_in
            self._settings.announces = share.is_first
            self._recorder.use(self._config.build_recorder_limits())
            self._settings.begin()
            self._counts.meter.begin(share.slot)
            served = [*sites, admin] if share.is_first and admin else list(sites)
            server = WebServer(served, share)
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

        return make

    def _live(self, build: Callable[[], Bottle]) -> LiveApplication:
        return LiveApplication(build, lambda: (self._watch(), self._settings.version()))

    def _build(self, config: Config) -> Bottle:
        cas, warnings = load_succession(self._folder, utc_now())
        for warning in (*warnings, *cas.complaints, *find_oddities(config, utc_now())):
            if warning not in self._told:
                say(f"warning: {warning}")
                self._told.add(warning)
        base = self._given_url or config.server.base_url or ""
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
