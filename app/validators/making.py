"""Makes the validators that somebody outside is behind from their sections of the settings."""

from pathlib import Path
from typing import assert_never

from app.config.validator import (
    ExecSection,
    IntuneSection,
    TrustedSignerSection,
    ValidatorSection,
    WebhookSection,
)
from app.validators.entra import ClientCertificate, ClientSecret, Credential
from app.validators.exchange import Caller
from app.validators.exec import ExecValidator
from app.validators.intune import Cloud, IntuneService, IntuneValidator
from app.validators.secret_files import SecretFiles
from app.validators.webhook import WebhookValidator
from ca.ports import Validator

MIN_SECRET_OCTETS = 16


def make_validator(name: str, section: ValidatorSection, files: SecretFiles) -> Validator | None:
    """The validator of a *section*; None for a trusted signer, which asks nobody.

    Raises:
        FileUnusable: A file that it needs cannot be used.
        SecretElsewhere: A secret is in another environment than this.

    """
    match section:
        case ExecSection():
            files.program("command", section.command[0])
            return ExecValidator(name, tuple(section.command), files.folder, section.timeout_seconds)
        case WebhookSection():
            return _webhook(name, section, files)
        case IntuneSection():
            return _intune(name, section, files)
        case TrustedSignerSection():
            return None
        case _:
            assert_never(section)


def _webhook(name: str, section: WebhookSection, files: SecretFiles) -> WebhookValidator:
    secret = files.secret("secret", section.secret_file, section.secret, at_least=MIN_SECRET_OCTETS)
    return WebhookValidator(
        name=name,
        url=section.url,
        notify_url=section.notify_url or "",
        webhook_id=section.webhook_id or name,
        secret=secret.encode("utf-8", "surrogateescape"),
        caller=_caller(section.ca_file, files),
        timeout_seconds=section.timeout_seconds,
    )


def _intune(name: str, section: IntuneSection, files: SecretFiles) -> IntuneValidator:
    cloud = Cloud(section.authority, section.graph, section.resource, section.allow_http)
    credential, caller = _credential(section, files), _caller(section.ca_file, files)
    service = IntuneService(cloud, section.tenant, section.client_id, credential, caller)
    return IntuneValidator(name, service, section.timeout_seconds, section.notify)


def _credential(section: IntuneSection, files: SecretFiles) -> Credential:
    if section.certificate_file is None:
        return ClientSecret(files.secret("client_secret", section.client_secret_file, section.client_secret))
    certificate = files.certificates("certificate_file", section.certificate_file)[0]
    return ClientCertificate(certificate.der, files.key("key_file", section.key_file))


def _caller(ca_file: Path | None, files: SecretFiles) -> Caller:
    if ca_file is None:
        return Caller()
    files.certificates("ca_file", ca_file)
    return Caller(files.find("ca_file", ca_file))
