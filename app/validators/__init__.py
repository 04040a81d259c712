"""Validators: who else decides on requests, and is told what came of them. Made from the settings here.

How each talks to the outside is in a module of its own; what may be issued is decided in ``ca``.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from app.config import Config, ConfigError
from app.config.validator import IntuneSection, TrustedSignerSection, ValidatorSection, WebhookSection
from app.data_folder import DataFolder
from app.validators.notified import NotDelivered, Notified
from app.validators.secret_files import FileUnusable, SecretElsewhere, SecretFiles
from ca.ports import Validator
from ca.profiles import TextPattern
from ca.x509.certificate import Certificate

__all__ = [
    "NotDelivered",
    "Notified",
    "TrustedSigners",
    "build_validators",
    "check_validators",
    "find_notified",
    "find_notified_names",
    "load_trusted_signers",
]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TrustedSigners:
    """Whose signature under a request counts: a certificate of one of *cas*, of a *subject* that fits."""

    name: str
    cas: tuple[Certificate, ...]
    subject: TextPattern | None


def build_validators(config: Config, folder: DataFolder) -> dict[str, Validator]:
    """The validators by name, but for trusted signers, which ask nobody. Names of files begin in *folder*.

    Raises:
        ConfigError: A file that they need cannot be used; one line for each.

    """
    return _build(config, folder, _validator)


def check_validators(config: Config, folder: DataFolder) -> list[str]:
    """Look at the files of all validators as :func:`build_validators` and trusted signers do.

    For who asks none of them: what only the environment of the server can have is returned, a line each.

    Raises:
        ConfigError: A file that they need cannot be used; one line for each.

    """
    elsewhere: list[str] = []
    _build(config, folder, _validator, elsewhere)
    load_trusted_signers(config, folder)
    return elsewhere


def find_notified(validators: Iterable[Validator]) -> dict[str, Notified]:
    """Those of *validators* that are told afterwards what came of their requests, by name."""
    return {one.name: one for one in validators if isinstance(one, Notified) and one.wants_notifications}


def find_notified_names(config: Config) -> frozenset[str]:
    """The names of those that are told afterwards, for who only writes down what they have to be told."""
    return frozenset(
        name
        for name, section in config.validator.items()
        if (isinstance(section, WebhookSection) and section.notify_url)
        or (isinstance(section, IntuneSection) and section.notify)
    )


def load_trusted_signers(config: Config, folder: DataFolder) -> dict[str, TrustedSigners]:
    """Those of type ``trusted-signer``, by name.

    Raises:
        ConfigError: A file of CA certificates cannot be used; one line for each.

    """
    return _build(config, folder, _trusted_signers)


def _build(
    config: Config,
    folder: DataFolder,
    build: Callable[[str, ValidatorSection, SecretFiles], T | None],
    elsewhere: list[str] | None = None,
) -> dict[str, T]:
    """What *build* makes of each section, where it makes anything of it.

    Secrets that are not here are no mistake where there is a list, *elsewhere*, to put them into.
    """
    built: dict[str, T] = {}
    problems: list[str] = []
    for name, section in config.validator.items():
        try:
            one = build(name, section, SecretFiles(folder.path, f"validator.{name}"))
        except SecretElsewhere as error:
            (problems if elsewhere is None else elsewhere).append(str(error))
            continue
        except FileUnusable as error:
            problems.append(str(error))
            continue
        if one is not None:
            built[name] = one
    if problems:
        raise ConfigError("\n".join(problems))
    return built


def _validator(name: str, section: ValidatorSection, files: SecretFiles) -> Validator | None:
    # A tenth of the start of a server, and most servers ask nobody.
    from app.validators.making import make_validator

    return make_validator(name, section, files)


def _trusted_signers(name: str, section: ValidatorSection, files: SecretFiles) -> TrustedSigners | None:
    if not isinstance(section, TrustedSignerSection):
        return None
    return TrustedSigners(name, files.certificates("ca_file", section.ca_file), section.pattern())
