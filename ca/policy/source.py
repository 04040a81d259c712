"""Who counts as one sender, where senders are counted."""

from ipaddress import IPv6Address, IPv6Network, ip_address

# RFC 4291 2.5.1, RFC 6177: nobody is given less, and whoever has it chooses the addresses in it.
_HOLDING = 64
_MOST_CHARACTERS = 64


def source_of(remote: str) -> str:
    """The sender behind the address *remote*: that address, or of IPv6 the /64 that it is of."""
    try:
        address = ip_address(remote)
    except ValueError:
        # A proxy's word, or the name of a socket.
        return remote[:_MOST_CHARACTERS]
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(IPv6Network((int(address), _HOLDING), strict=False))
