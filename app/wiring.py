"""The composition root: the only place where both rings are put together."""

from dataclasses import dataclass
from datetime import UTC, datetime

from bottle import Bottle
from cryptography.hazmat.primitives.asymmetric import rsa

from app.config import Config
from app.data_folder import DataFolder
from app.http.answers import PlainBottle
from app.http.public import PublicPages
from app.http.scep import ScepEndpoint
from app.registration import RegistrationAuthority
from app.store import ALONE, DatabaseUrl, Sharing, SqlStore, open_store, sqlite_url
from ca.approval import ApprovalDesk
from ca.errors import StoreUnavailable
from ca.issuing.authority import Authority
from ca.issuing.key_store import read_private_key
from ca.issuing.root import CaUnusable, check_ca, encode_pem, read_certificates
from ca.policy.challenges import ChallengeKey
from ca.policy.enrolment import EnrolmentPolicy
from ca.responder import Identities, Responder, ScepIdentity
from ca.scep.codec import encode_ca_certificates, encode_ca_chain
from ca.x509.certificate import Certificate


@dataclass(frozen=True, slots=True)
class Ca:
    """The CA as it lies in the data folder: *authority* issues, *identity* opens and signs messages."""

    certificate: Certificate
    chain: tuple[Certificate, ...]
    authority: Authority
    identity: Identities


def utc_now() -> datetime:
    """The time, UTC."""
    return datetime.now(UTC)


def load_ca(folder: DataFolder) -> tuple[Ca, list[str]]:
    """Load the CA, and what clients may mind in it.

    Raises:
        OSError: A file is missing or cannot be read.
        KeyUnusable, CaUnusable: A file is not what it should be.

    """
    certificate = load_ca_certificate(folder)
    key = read_private_key(folder.ca_key)
    chain = read_certificates(folder.ca_chain) if folder.ca_chain.exists() else ()
    behind_ra, now = folder.has_ra, utc_now()
    try:
        warnings = check_ca(certificate, key, chain, now, behind_ra=behind_ra)
    except CaUnusable as error:
        raise CaUnusable(f"{folder.ca_certificate}: {error}") from error
    authority = Authority(certificate, key)
    identity: Identities
    if isinstance(key, rsa.RSAPrivateKey) and not behind_ra:
        identity = ScepIdentity(certificate, key)
    else:
        identity = RegistrationAuthority(folder, authority, now)
    return Ca(certificate, chain, authority, identity), warnings


def load_ca_certificate(folder: DataFolder) -> Certificate:
    """Load the CA certificate alone.

    Raises:
        OSError: It is missing or cannot be read.
        CaUnusable: It is not a certificate.

    """
    return read_certificates(folder.ca_certificate)[0]


def database_url(folder: DataFolder, config: Config) -> DatabaseUrl:
    """The configured database, or SQLite in the folder."""
    return config.database.url or sqlite_url(folder.database)


def build_web(
    ca: Ca, config: Config, store: SqlStore, challenge_key: ChallengeKey, base_url: str = ""
) -> Bottle:
    """The application that is served."""
    responder = Responder(
        authority=ca.authority,
        identity=ca.identity,
        policy=EnrolmentPolicy(ca.certificate, challenge_key),
        store=store,
        clock=utc_now,
        chain=tuple(one.der for one in (ca.certificate, *ca.chain)),
        queue=config.build_queue(),
    )

    def served() -> tuple[Certificate, ...]:
        # The RA first: clients that do not look at keyUsage encrypt to the first one they see.
        above = (ca.certificate, *ca.chain)
        shown = ca.identity.at(utc_now())[0].certificate
        return above if shown is ca.certificate else (shown, *above)

    web = PlainBottle()
    web.catchall = False
    ScepEndpoint(
        responder.respond,
        config.build_profiles(),
        lambda: encode_ca_certificates(served()),
        lambda: encode_ca_chain(served()),
    ).add_to(web)
    pem = encode_pem(ca.certificate)
    PublicPages(ca.certificate, pem, lambda: _answers(store), base_url).add_to(web)
    return web


def build_approval_desk(ca: Ca, config: Config, store: SqlStore) -> ApprovalDesk:
    """What ``request approve`` and ``request reject`` decide at."""
    return ApprovalDesk(ca.authority, store, utc_now, config.build_profiles(), config.build_queue().memory)


def open_configured_store(folder: DataFolder, config: Config, sharing: Sharing = ALONE) -> SqlStore:
    """Open the store.

    Raises:
        StoreUnavailable: It cannot be opened.

    """
    return open_store(database_url(folder, config), sharing)


def _answers(store: SqlStore) -> bool:
    try:
        return store.read(lambda repository: repository.is_alive())
    except StoreUnavailable:
        return False
