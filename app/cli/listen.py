"""The addresses that ``serve`` is told to listen on, checked before any is bound."""

from collections.abc import Sequence

from app.cli.context import Refusal
from app.config import check_address


def check_addresses(addresses: Sequence[str]) -> Sequence[str]:
    """Return *addresses* as they are.

    Raises:
        Refusal: One is not HOST:PORT, or stands there twice.

    """
    seen: set[tuple[str, int]] = set()
    for address in addresses:
        try:
            host, _, port = check_address(address).rpartition(":")
        except ValueError as error:
            raise Refusal(f"--listen {error}") from error
        place = (host.strip("[]").lower(), int(port))
        # Port 0 is another one each time.
        if place in seen and place[1]:
            raise Refusal(f"--listen {address} is given twice; once is enough")
        seen.add(place)
    return addresses
