"""AlgorithmIdentifier (RFC 5280 4.1.1.2): an OID and its parameters, read and not judged."""

from dataclasses import dataclass

from ca.asn1 import Element, tags


@dataclass(frozen=True, slots=True)
class AlgorithmIdentifier:
    """An OID with its parameters, None where they are absent or NULL."""

    oid: str
    parameters: Element | None

    @classmethod
    def read(cls, element: Element) -> "AlgorithmIdentifier":
        """Raises: Asn1Error: It is no AlgorithmIdentifier."""
        parts = element.sequence(1, 2)
        absent = len(parts) == 1 or parts[1].tag == tags.NULL
        return cls(parts[0].oid(), None if absent else parts[1])


def explicit_parameters(element: Element) -> dict[int, Element]:
    """The members of a SEQUENCE of EXPLICIT optional ones, as PSS and OAEP parameters are."""
    return {part.tag & 0x1F: part.only_child() for part in element.sequence()}
