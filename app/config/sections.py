"""The sections of the settings but for the profiles."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from app.config.checks import check_address, check_admin_address, check_database, check_url
from ca.algorithms.levels import CryptoLevel
from ca.profiles import DEFAULT

MOST_WORKERS = 64


class Section(BaseModel):
    """A table of the file: nothing in it is unknown, and nothing changes it later."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ServerSection(Section):
    """Where the server listens; *base_url* is how devices reach it, where that is another address.

    *admin_listen* is where the administrator comes to, or ``off``.
    """

    # Devices on the LAN are what it is for, so it listens on every address.
    listen: Annotated[list[Annotated[str, AfterValidator(check_address)]], Field(min_length=1)] = [
        "0.0.0.0:8080"
    ]
    # Only this machine reaches it, until somebody decides otherwise.
    admin_listen: Annotated[str, AfterValidator(check_admin_address)] = "127.0.0.1:8081"
    base_url: Annotated[str, AfterValidator(check_url)] | None = None
    # 0: as many as the machine is good for.
    workers: Annotated[int, Field(ge=0, le=MOST_WORKERS)] = 0


class DatabaseSection(Section):
    """The database: empty means SQLite in the data folder.

    *password_file* has the password for PostgreSQL, so that *url* need not.
    """

    url: Annotated[str, AfterValidator(check_database)] = Field(default="", repr=False)
    password_file: str = ""

    @model_validator(mode="after")
    def _fits(self) -> "DatabaseSection":
        if self.password_file and not self.url.startswith("postgresql"):
            raise ValueError('password_file is for url = "postgresql+psycopg://..."')
        return self


class CaSection(Section):
    """The CA's own affairs.

    *distribution_url* is where CRL, OCSP and CA certificate are fetched, where that is not the
    server's base_url.
    """

    # A new CRL is made at half of it, and at each revocation.
    crl_days: Annotated[int, Field(ge=1, le=365)] = 7
    distribution_url: Annotated[str, AfterValidator(check_url)] | None = None


class CryptoSection(Section):
    """The level that profiles have unless they say otherwise."""

    level: CryptoLevel = CryptoLevel.COMPATIBLE


class ChallengeSection(Section):
    """Challenge passwords: how many may be guessed, and the page that hands them out as NDES does.

    So many wrong ones a minute, of one source and of all, are taken before those that people chose rest.
    *ndes_cache* is how many of the page's passwords may wait to be used, each for *ndes_minutes*.
    """

    guesses_per_minute: Annotated[int, Field(ge=1, le=1_000_000)] = 10
    guesses_overall_per_minute: Annotated[int, Field(ge=1, le=1_000_000)] = 100
    ndes_cache: Annotated[int, Field(ge=1, le=100_000)] = 5
    ndes_minutes: Annotated[int, Field(ge=1, le=525_600)] = 60
    # Always the same one, any number of times and for ever: NDES' UseSinglePassword.
    ndes_single_password: bool = False
    ndes_utf16: bool = False
    ndes_profile: str = DEFAULT


class LimitsSection(Section):
    """What strangers may take: octets, connections, seconds, and places among what waits for approval."""

    body_octets: Annotated[int, Field(ge=16_384, le=2_097_152)] = 262_144
    header_octets: Annotated[int, Field(ge=16_384, le=1_048_576)] = 98_304
    # Of each process; of one address, or of a /64 of IPv6; and requests that wait for their turn.
    connections: Annotated[int, Field(ge=10, le=60_000)] = 1000
    connections_per_source: Annotated[int, Field(ge=1, le=60_000)] = 250
    requests_waiting: Annotated[int, Field(ge=1, le=60_000)] = 500
    request_seconds: Annotated[int, Field(ge=1, le=600)] = 30
    idle_seconds: Annotated[int, Field(ge=1, le=3600)] = 60
    # GetCert and GetCRL of one source, by all processes together.
    queries_per_minute: Annotated[int, Field(ge=1, le=1_000_000)] = 60
    pending_per_profile: Annotated[int, Field(ge=1, le=100_000)] = 1000
    pending_per_peer: Annotated[int, Field(ge=1, le=100_000)] = 100
    # How long a request waits, and how long after that its refusal is remembered.
    pending_days: Annotated[int, Field(ge=1, le=3650)] = 7
    refused_days: Annotated[int, Field(ge=1, le=3650)] = 7


class RecorderSection(Section):
    """The exchanges that are kept, for ``log``; *exchanges* but for refusals, which are kept beside them."""

    on: bool = True
    exchanges: Annotated[int, Field(ge=0, le=1_000_000)] = 1000
    refusals: Annotated[int, Field(ge=0, le=1_000_000)] = 1000
    days: Annotated[int, Field(ge=1, le=3650)] = 7
    refusal_days: Annotated[int, Field(ge=1, le=3650)] = 30
    # Of all files together.
    megabytes: Annotated[int, Field(ge=1, le=100_000)] = 64


class LogSection(Section):
    """How much is logged."""

    level: Literal["debug", "info", "warning", "error"] = "info"
