"""The composition root: the only place where both rings are put together."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bottle import Bottle
from cryptography.hazmat.primitives.asymmetric import rsa

from app.config import Config
from app.data_folder import DataFolder
from app.http.answers import PlainBottle
from app.http.ocsp import OcspEndpoint
from app.http.public import PublicPages
from app.http.revocation import CrlPage
from app.http.rounds import do_elsewhere
from app.http.scep import ScepEndpoint
from app.ocsp_signer import OcspSignerFile
from app.registration import RegistrationAuthority
from app.store import ALONE, DatabaseUrl, Sharing, SqlStore, open_store, sqlite_url
from ca.approval import ApprovalDesk
from ca.errors import StoreUnavailable
from ca.issuing.addresses import StatusAddresses
from ca.issuing.authority import Authority
from ca.issuing.key_store import read_private_key
from ca.issuing.root import CaUnusable, check_ca, encode_pem, read_certificates
from ca.issuing.status import RevocationStatus
from ca.ocsp.responder import OcspResponder
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
    if not authority.may_sign_crls:
        warnings.append(
            "the CA certificate lacks cRLSign: there is no CRL, and OCSP alone tells what is revoked"
        )
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


def crl_lifetime(config: Config) -> timedelta:
    """How long a CRL is good for."""
    return timedelta(days=config.ca.crl_days)


def build_authority(ca: Ca, distribution_url: str = "") -> Authority:
    """The CA that signs; its certificates say where their status is told if *distribution_url* is known."""
    plain = ca.authority
    if not distribution_url:
        return plain
    url = distribution_url.rstrip("/")
    crl = f"{url}/crl" if plain.may_sign_crls else None
    return Authority(ca.certificate, plain.key, StatusAddresses(f"{url}/ocsp", f"{url}/ca.cer", crl))


def build_web(
    ca: Ca,
    config: Config,
    store: SqlStore,
    challenge_key: ChallengeKey,
    base_url: str = "",
    ocsp_signer: Path | None = None,
) -> Bottle:
    """The application that is served. *ocsp_signer* is where what signs OCSP answers is kept."""
    authority = build_authority(ca, config.ca.distribution_url or base_url)
    status = RevocationStatus(authority, store, utc_now, crl_lifetime(config))
    responder = Responder(
        authority=authority,
        identity=ca.identity,
        policy=EnrolmentPolicy(ca.certificate, challenge_key),
        store=store,
        clock=utc_now,
        chain=tuple(one.der for one in (ca.certificate, *ca.chain)),
        queue=config.build_queue(),
        crl_lifetime=crl_lifetime(config),
        elsewhere=do_elsewhere,
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
    CrlPage(status.crl).add_to(web)
    OcspEndpoint(OcspResponder(status, OcspSignerFile(ocsp_signer, authority).current).respond).add_to(web)
    return web


def build_approval_desk(ca: Ca, config: Config, store: SqlStore) -> ApprovalDesk:
    """What ``request approve`` and ``request reject`` decide at."""
    authority = build_authority(ca, config.ca.distribution_url or config.server.base_url or "")
    return ApprovalDesk(authority, store, utc_now, config.build_profiles(), config.build_queue().memory)


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
