"""What single values of the settings have to be, wherever they are given."""

import re

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
