"""What single values of the settings have to be, wherever they are given."""

import ipaddress
import re
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

OFF = "off"
_ADDRESS = re.compile(r"(?P<host>\S+):(?P<port>[0-9]{1,5})")


def check_address(text: str) -> str:
    """Return the address to listen on as it is.

    Raises:
        ValueError: It is not HOST:PORT.

    """
    match = _ADDRESS.fullmatch(text)
    if match is None or int(match["port"]) > 65535:
        raise ValueError(f"{text!r} is not HOST:PORT, such as 0.0.0.0:8080")
    return text


def check_admin_address(text: str) -> str:
    """Return the administrator's address as it is: HOST:PORT, or ``off`` for none.

    Raises:
        ValueError: It is neither.

    """
    if text == OFF:
        return text
    try:
        return check_address(text)
    except ValueError:
        raise ValueError(f"{text!r} is neither HOST:PORT, such as 127.0.0.1:8081, nor off") from None


def check_url(text: str) -> str:
    """Return the server's address for others as it is: printable ASCII, as it goes into certificates.

    Raises:
        ValueError: It is not one of HTTP.

    """
    if not re.fullmatch(r"https?://[!-~]+", text) or "?" in text or "#" in text:
        raise ValueError(f"{text!r} is not an address such as https://scep.example.org")
    return text


class FromEnvironment(str):
    """A value that an environment variable brought, and no file."""

    __slots__ = ()


def check_from_environment(value: object) -> object:
    """Return a secret as it is.

    Raises:
        ValueError: It stands in the settings file, which is copied, shown and kept in version control.

    """
    if value is None or isinstance(value, FromEnvironment):
        return value
    raise ValueError(
        "a secret does not belong into this file: put it into one of its own (the key with _file), "
        "or into the environment"
    )


def check_each(check: Callable[[str], object], texts: list[str]) -> list[str]:
    """Return *texts* as they are, if *check* has nothing against any.

    Raises:
        ValueError: It has, and what it says of each.

    """
    problems = list[str]()
    for text in texts:
        try:
            check(text)
        except ValueError as error:
            problems.append(str(error))
    if problems:
        raise ValueError("; ".join(problems))
    return texts


def check_endpoint(url: str, *, allow_http: bool = False) -> str:
    """Return the address of a service that is asked as it is; in clear text only this host's own.

    Raises:
        ValueError: It is no address, or would send what is secret in clear text.

    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"not an address: {error}") from error
    if parts.username is not None or parts.password is not None:
        raise ValueError("an address is written to the log: leave out what is before the @")
    if not re.fullmatch(r"https?://[!-~]+", url) or not host or port == 0 or parts.fragment:
        raise ValueError(f"{url!r} is not an address such as https://mdm.example.org/scep")
    if parts.scheme == "http" and not allow_http and not _is_this_host(host):
        raise ValueError(f"http://{host} would send challenge passwords in clear text: use https")
    return url


def _is_this_host(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def check_database(url: str) -> str:
    """Return the database's address as it is; empty is SQLite in the data folder.

    Raises:
        ValueError: It is neither a file of SQLite nor a database of PostgreSQL. The text has no part of
            it, for there may be a password in it.

    """
    if not url or (
        url.startswith("sqlite:///") and not url.startswith(("sqlite:///:memory:", "sqlite:///?"))
    ):
        return url
    if not url.startswith("postgresql+psycopg://"):
        raise ValueError(
            "it is sqlite:////path/to/scepbox.db or postgresql+psycopg://user@host/database, or left out"
        )
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - read for the error
    except ValueError:
        raise ValueError(
            "what follows the host is no port; a password with : / ? # @ has %3A and so on"
        ) from None
    if not parts.path.strip("/"):
        raise ValueError("the name of the database is missing: postgresql+psycopg://user@host/database")
    if "password" in parse_qs(parts.query):
        raise ValueError("a password does not belong behind the question mark; see password_file")
    return url
