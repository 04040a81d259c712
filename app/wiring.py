"""The composition root: the only place where both rings are put together."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from wsgiref.types import WSGIApplication

from app.chaos.application import Chaos
from app.clock import utc_now
from app.config import Config
from app.crl_watch import CrlWatch
from app.data_folder import DataFolder
from app.http.answers import PlainBottle
from app.http.ocsp import OcspEndpoint
from app.http.public import PublicPages
from app.http.revocation import CrlPage
from app.http.round_keys import RoundIdentities, round_key
from app.http.rounds import do_elsewhere, wait_elsewhere
from app.http.scep import Keep, ScepEndpoint, note_exchange
from app.linter import PkiLinter
from app.metrics.meter import Meter
from app.metrics.shared import SharedNumbers
from app.ocsp_signer import OcspSignerFile
from app.store import SqlStore
from app.succession import Ca, Succession
from app.validators import build_validators as asking_validators
from app.validators import find_notified_names, load_trusted_signers
from ca.announcement import Announcement
from ca.approval import ApprovalDesk
from ca.errors import StoreUnavailable
from ca.issuing.addresses import StatusAddresses, public_name
from ca.issuing.authority import Authority
from ca.issuing.root import encode_pem
from ca.issuing.status import RevocationStatus
from ca.journal import Exchange
from ca.ocsp.responder import OcspResponder, OcspResponders
from ca.policy.challenges import ChallengeKey
from ca.policy.enrolment import EnrolmentPolicy
from ca.policy.guesses import UNLIMITED
from ca.policy.trusted_signer import TrustedSigner
from ca.ports import GuessLimit, QueryLimit, Validator
from ca.profiles import Profile
from ca.responder import Responder
from ca.scep.codec import encode_ca_certificates, encode_ca_chain
from ca.succession import OtherCa
from ca.tally import RefusalTally


def distribution_url(config: Config, base_url: str = "") -> str:
    """Where certificates say that their status is told; empty where they say nothing."""
    return config.ca.distribution_url or base_url or config.server.base_url or ""


def build_authority(ca: Ca, distribution_url: str = "") -> Authority:
    """The CA that signs; its certificates say where their status is told if *distribution_url* is known.

    Each CA has addresses of its own, which go on telling of it when it is not the CA of today any more.
    """
    plain = ca.authority
    if not distribution_url:
        return Authority(ca.certificate, round_key(plain.key))
    url, name = distribution_url.rstrip("/"), public_name(ca.certificate)
    crl = f"{url}/crl/{name}.crl" if plain.may_sign_crls else None
    addresses = StatusAddresses(f"{url}/ocsp", f"{url}/ca/{name}.cer", crl)
    return Authority(ca.certificate, round_key(plain.key), addresses)


def build_others(cas: Succession, distribution_url: str) -> tuple[OtherCa, ...]:
    """The CAs beside the one of today, as they answer messages."""

    def build(ca: Ca, issues_until: datetime, *, is_next: bool = False) -> OtherCa:
        authority = build_authority(ca, distribution_url)
        return OtherCa(authority, RoundIdentities(ca.identity), _chain(ca), issues_until, is_next=is_next)

    following = (build(one, one.authority.not_after, is_next=True) for one in cas.next)
    return (*following, *(build(one.ca, one.issues_until) for one in cas.former))


@dataclass(frozen=True, slots=True)
class Counts:
    """What a process counts for as long as it runs, however often its application is built anew."""

    guesses: GuessLimit = UNLIMITED
    tally: RefusalTally = field(default_factory=RefusalTally)
    queries: QueryLimit | None = None
    meter: Meter = field(default_factory=Meter)


def build_counts(config: Config, processes: int, numbers: SharedNumbers) -> Counts:
    """What each of so many *processes* counts; the metrics in *numbers*, which all of them have."""
    # A quarter of the start of a verb, which needs none of it.
    from app.guesses import GuessCounter
    from app.queries import QueryCounter

    said = config.challenge
    return Counts(
        GuessCounter(said.guesses_per_minute, said.guesses_overall_per_minute, processes=processes),
        queries=QueryCounter(config.limits.queries_per_minute, processes=processes),
        meter=Meter(numbers),
    )


def build_web(
    cas: Succession,
    config: Config,
    store: SqlStore,
    challenge_key: ChallengeKey,
    base_url: str = "",
    counts: Counts | None = None,
    validators: Mapping[str, Validator] | None = None,
    keep: Keep | None = None,
    chaos: Chaos | None = None,
    crls: CrlWatch | None = None,
) -> WSGIApplication:
    """The application that is served. *keep* is told of each exchange, once it is over.

    With *chaos* what may happen to clients does. *crls* looks after the CRLs that are served.
    """
    counts, crls = counts or Counts(), crls or CrlWatch()
    ca, lifetime = cas.current, config.crl_lifetime
    profiles = config.build_profiles()
    _index(store, profiles.values())
    url = distribution_url(config, base_url)
    authority, others = build_authority(ca, url), build_others(cas, url)

    def watch(exchange: Exchange) -> None:
        counts.meter.watch(exchange)
        note_exchange(exchange)

    responder = Responder(
        authority=authority,
        identity=RoundIdentities(ca.identity),
        policy=EnrolmentPolicy(
            ca.certificate, challenge_key, tuple(one.authority.certificate for one in others), counts.guesses
        ),
        store=store,
        clock=utc_now,
        chain=_chain(ca),
        queue=config.build_queue(),
        crl_lifetime=lifetime,
        others=others,
        elsewhere=do_elsewhere,
        linter=PkiLinter(),
        tally=counts.tally,
        queries=counts.queries,
        validators=validators or {},
        consult=counts.meter.consulting(wait_elsewhere),
        watch=watch,
        **({} if chaos is None else {"temper": chaos.temper}),
    )
    statuses = [
        RevocationStatus(one, store, utc_now, lifetime, crls.known)
        for one in (authority, *(other.authority for other in others))
    ]
    crls.use(statuses)
    signers = [
        OcspSignerFile(one.ocsp_signer, status.authority)
        for one, status in zip(cas.all(), statuses, strict=True)
    ]
    web = PlainBottle()
    web.catchall = False
    ScepEndpoint(
        responder.respond,
        profiles,
        lambda: encode_ca_certificates(ca.served(utc_now())),
        lambda: encode_ca_chain(ca.served(utc_now())),
        next((Announcement(ca.identity, one.served, utc_now).body for one in cas.next), None),
        counts.meter.count,
        keep,
    ).add_to(web)
    # Of two certificates for one name and key the one of today stays.
    files = {public_name(one.certificate): one.certificate.der for one in reversed(cas.all())}
    pem = encode_pem(ca.certificate)
    PublicPages(ca.certificate, pem, lambda: _answers(store), base_url, files).add_to(web)
    by_name = {public_name(one.authority.certificate): one.crl for one in reversed(statuses)}
    CrlPage(statuses[0].crl, by_name, partial(counts.meter.count_query, "CRL")).add_to(web)
    responders = [
        OcspResponder(status, signer.current) for status, signer in zip(statuses, signers, strict=True)
    ]
    count_ocsp = partial(counts.meter.count_query, "OCSP")
    OcspEndpoint(OcspResponders(responders).respond, count_ocsp).add_to(web)
    return web if chaos is None else chaos.around(web)


def build_statuses(cas: Succession, config: Config, store: SqlStore) -> dict[str, RevocationStatus]:
    """The CAs with their CRLs, by the names under which certificates have them fetched."""
    lifetime = config.crl_lifetime
    # Of two certificates for one name and key the one of today stays.
    return {
        public_name(one.certificate): RevocationStatus(one.authority, store, utc_now, lifetime)
        for one in reversed(cas.all())
    }


def build_approval_desk(
    cas: Succession, config: Config, store: SqlStore, actor: str = "operator"
) -> ApprovalDesk:
    """What ``request approve`` and ``request reject`` decide at; *actor* is who does."""
    url = distribution_url(config)
    return ApprovalDesk(
        build_authority(cas.current, url),
        store,
        utc_now,
        config.build_profiles(),
        config.build_queue().memory,
        build_others(cas, url),
        notified=find_notified_names(config),
        linter=PkiLinter(),
        crl_lifetime=config.crl_lifetime,
        actor=actor,
    )


def build_validators(config: Config, folder: DataFolder) -> dict[str, Validator]:
    """All validators by name, those that ask nobody too.

    Raises:
        ConfigError: A file that they need cannot be used; one line for each.

    """
    signers = load_trusted_signers(config, folder).values()
    inside = {one.name: TrustedSigner(one.name, one.cas, one.subject) for one in signers}
    return {**asking_validators(config, folder), **inside}


class Validators:
    """The validators of the settings in force: the same ones until those are taken in anew.

    They keep connections and tokens, and what they are told goes the way that they are asked.
    """

    def __init__(self, folder: DataFolder) -> None:
        self._folder = folder
        self._config: Config | None = None
        self._made: dict[str, Validator] = {}

    def of(self, config: Config) -> dict[str, Validator]:
        """Those of *config*.

        Raises:
            ConfigError: As :func:`build_validators`.

        """
        if config is not self._config:
            self._made = build_validators(config, self._folder)
            self._config = config
        return self._made


def _index(store: SqlStore, profiles: Iterable[Profile]) -> None:
    """Have certificates found fast by what the profiles ask of them."""
    by_key = any(not one.keys.shared for one in profiles)
    by_subject = any(one.max_active for one in profiles)
    if by_key or by_subject:
        store.transact(lambda store: store.index_certificates(by_key=by_key, by_subject=by_subject))


def _chain(ca: Ca) -> tuple[bytes, ...]:
    return tuple(one.der for one in (ca.certificate, *ca.chain))


def _answers(store: SqlStore) -> bool:
    try:
        return store.can_write() and store.read(lambda repository: repository.is_alive())
    except StoreUnavailable:
        return False
