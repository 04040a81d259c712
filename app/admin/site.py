"""The administrator's site put together: the gate before it, and what is behind."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from bottle import Bottle

from app.admin.gate import Gate, add_security_headers
from app.admin.metrics import MetricsPage
from app.admin.ndes import NdesPage
from app.admin.ndes_passwords import NdesPasswords
from app.admin.pages import STYLE_SOURCE, AdminPages
from app.config import Config
from app.http.answers import PlainBottle
from app.metrics.meter import Meter
from app.metrics.scrape import Scraper
from app.settings import Change
from app.store import SqlStore
from ca.issuing.status import RevocationStatus
from ca.policy.challenges import ChallengeKey
from ca.ports import Clock
from ca.x509.certificate import Certificate


@dataclass(frozen=True, slots=True)
class AdminSite:
    """What the site is made of that no reload changes."""

    gate: Gate
    store: SqlStore
    challenge_key: ChallengeKey
    clock: Clock
    reload: Callable[[str], Change]
    reload_command: str
    meter: Meter

    def build(
        self, certificate: Certificate, config: Config, statuses: Mapping[str, RevocationStatus]
    ) -> Bottle:
        """The application, for the CA of today and the settings in force.

        *statuses* are all CAs with their CRLs, by the names that certificates use.
        """
        web = PlainBottle()
        web.catchall = False
        self.gate.guard(web)
        add_security_headers(web, STYLE_SOURCE)
        made = config.build_profiles()
        profiles = sorted(made)
        AdminPages(certificate, profiles, self.reload, self.reload_command).add_to(web)
        ndes = config.challenge
        passwords = NdesPasswords(
            self.store,
            self.challenge_key,
            self.clock,
            ndes.ndes_profile,
            ndes.ndes_cache,
            timedelta(minutes=ndes.ndes_minutes),
            ndes.ndes_single_password,
        )
        accepted = made[ndes.ndes_profile].challenge_required
        NdesPage(certificate, passwords, ndes.ndes_utf16, accepted).add_to(web)
        scraper = Scraper(self.meter, self.store, self.clock, profiles, config.validator.keys(), statuses)
        MetricsPage(scraper.look).add_to(web)
        return web
