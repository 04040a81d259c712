"""What single values of the settings have to be, wherever they are given."""

import re
from urllib.parse import parse_qs, urlsplit

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


def check_url(text: str) -> str:
    """Return the server's address for others as it is: printable ASCII, as it goes into certificates.

    Raises:
        ValueError: It is not one of HTTP.

    """
    if not re.fullmatch(r"https?://[!-~]+", text) or "?" in text or "#" in text:
        raise ValueError(f"{text!r} is not an address such as https://scep.example.org")
    return text


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
