"""``[validator.NAME]``: who else decides on requests, by its type. Building them is ``app.validators``."""

from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
    model_validator,
)

from app.config.checks import check_endpoint, check_from_environment
from app.config.patterns import compile_pattern
from app.config.sections import Section
from ca.profiles import TextPattern

# A device waits for a minute at most, and has to hear why it is refused.
MOST_SECONDS = 45.0
Seconds: TypeAlias = Annotated[float, Field(ge=0.1, le=MOST_SECONDS)]


def _check_pattern(text: str) -> str:
    compile_pattern(text)
    return text


_EnvironmentSecret: TypeAlias = Annotated[SecretStr | None, BeforeValidator(check_from_environment)]
_Pattern: TypeAlias = Annotated[str, AfterValidator(_check_pattern)]


class ServiceSection(Section):
    """A service that is asked by HTTP; in clear text where *allow_http* says so, or on this host."""

    # Above the addresses, which are looked at in its light.
    allow_http: bool = False
    ca_file: Path | None = None

    @field_validator("url", "notify_url", "authority", "graph", "resource", check_fields=False)
    @classmethod
    def _endpoint(cls, url: str | None, info: ValidationInfo) -> str | None:
        # Where what is said of allow_http is wrong itself, the scheme is another matter.
        allow_http = info.data.get("allow_http", True)
        return url if url is None else check_endpoint(url, allow_http=allow_http)


class ExecSection(Section):
    """A program that is run for each request: the command and its arguments, without a shell."""

    type: Literal["exec"]
    command: Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1)]
    timeout_seconds: Seconds = 10.0


class WebhookSection(ServiceSection):
    """An HTTPS service that is asked, and told afterwards at *notify_url* where there is one.

    *webhook_id* is what it is told that this validator is called; its own name, unless that is said.
    """

    type: Literal["webhook"]
    url: str
    notify_url: str | None = None
    webhook_id: Annotated[str, Field(pattern=r"^[!-~]{1,100}$")] | None = None
    secret_file: Path | None = None
    secret: _EnvironmentSecret = None
    timeout_seconds: Seconds = 10.0

    @model_validator(mode="after")
    def _fits(self) -> "WebhookSection":
        _refuse_both("secret", self.secret_file, self.secret)
        return self


class IntuneSection(ServiceSection):
    """Microsoft Intune, reached with the application *client_id* of *tenant*.

    The application proves itself by a secret, or by a certificate and its key. *authority*, *graph* and
    *resource* are those of the worldwide cloud unless told otherwise.
    """

    type: Literal["intune"]
    tenant: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.-]{0,253}$")]
    client_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,64}$")]
    client_secret_file: Path | None = None
    client_secret: _EnvironmentSecret = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    authority: str = "https://login.microsoftonline.com/"
    graph: str = "https://graph.microsoft.com/"
    resource: str = "https://api.manage.microsoft.com/"
    notify: bool = True
    timeout_seconds: Seconds = 20.0

    @field_validator("authority", "graph", "resource")
    @classmethod
    def _folder(cls, url: str) -> str:
        if not url.endswith("/"):
            raise ValueError(f"{url} has to end with a /")
        return url

    @model_validator(mode="after")
    def _fits(self) -> "IntuneSection":
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("certificate_file and key_file belong together")
        if self.certificate_file is None:
            _refuse_both("client_secret", self.client_secret_file, self.client_secret)
        elif self.client_secret_file or self.client_secret:
            raise ValueError("either certificate_file or a client secret is given, not both")
        return self


class TrustedSignerSection(Section):
    """Requests signed by a certificate of the CAs in *ca_file* (PEM).

    *subject* is a regular expression that the signer's subject has to match as a whole, as RFC 4514
    writes it.
    """

    type: Literal["trusted-signer"]
    ca_file: Path
    subject: _Pattern | None = None

    def pattern(self) -> TextPattern | None:
        """The expression, ready to use."""
        return None if self.subject is None else compile_pattern(self.subject)


ValidatorSection: TypeAlias = Annotated[
    ExecSection | WebhookSection | IntuneSection | TrustedSignerSection, Field(discriminator="type")
]
VALIDATOR_TYPES = ("exec", "webhook", "intune", "trusted-signer")


def _refuse_both(name: str, file: Path | None, secret: SecretStr | None) -> None:
    """That there is one at all is for who asks the validator: a verb runs in another environment."""
    if file is not None and secret is not None:
        raise ValueError(f"{name}_file and {name} of the environment are both given; leave one out")
