"""What single values of the settings have to be, wherever they are given."""

import re

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
