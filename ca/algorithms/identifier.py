"""AlgorithmIdentifier (RFC 5280 4.1.1.2): an OID and its parameters, read and not judged."""

from dataclasses import dataclass

from ca.asn1 import Element, tags
from ca.deviations import DeviationKind


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


def note_absent_parameters(element: Element, part: str) -> None:
    """Tell where the NULL is left out that RSA's identifiers must have (RFC 3370 3.2, 4.2.1, RFC 4055 5).

    Digests are no matter: RFC 5754 2 wants theirs absent.
    """
    if len(element.children()) == 1:
        element.deviate(DeviationKind.ABSENT_PARAMETERS, part=part)


def explicit_parameters(element: Element) -> dict[int, Element]:
    """The members of a SEQUENCE of EXPLICIT optional ones, as PSS and OAEP parameters are."""
    return {part.tag & 0x1F: part.only_child() for part in element.sequence()}
