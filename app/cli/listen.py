"""The addresses that ``serve`` is told to listen on, checked before any is bound."""

import re
from collections.abc import Sequence

from app.cli.context import Refusal

_ADDRESS = re.compile(r"(?P<host>\S+):(?P<port>[0-9]{1,5})")


def check_addresses(addresses: Sequence[str]) -> Sequence[str]:
    """Return *addresses* as they are.

    Raises:
        Refusal: One is not HOST:PORT, or stands there twice.

    """
    seen: set[tuple[str, int]] = set()
    for address in addresses:
        match = _ADDRESS.fullmatch(address)
        if match is None or int(match["port"]) > 65535:
            raise Refusal(f"--listen {address!r} is not HOST:PORT, such as 0.0.0.0:8080")
        place = (match["host"].strip("[]").lower(), int(match["port"]))
        # Port 0 is another one each time.
        if place in seen and place[1]:
            raise Refusal(f"--listen {address} is given twice; once is enough")
        seen.add(place)
    return addresses
