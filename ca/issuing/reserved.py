"""Subjects that no device gets: those of this server's CAs, of who issued them, and of their RAs.

What is not allowed is told apart more coarsely than what is the same: also what a person would read alike.
"""

import unicodedata
from collections.abc import Iterable
from typing import TypeAlias

from ca.asn1 import read, writer
from ca.deviations import Deviations
from ca.errors import SubjectRefused
from ca.x509 import oids
from ca.x509.certificate import Certificate
from ca.x509.name import MAX_COMMON_NAME, Name

Reading: TypeAlias = frozenset[tuple[str, str]]


def reserved_readings(issuer: Certificate) -> frozenset[Reading]:
    """What the names of the CA *issuer*, of the CA above it and of its RA read like."""
    names = (issuer.subject, Name.load(issuer.issuer_der), Name.load(ra_subject(issuer)))
    return frozenset(_reading(name) for name in names)


def check_not_reserved(subject: Name, reserved: Iterable[frozenset[Reading]]) -> None:
    """Check that *subject* is nobody's here, in whatever order and spelling.

    Raises:
        SubjectRefused: It reads like one of those that are *reserved*.

    """
    reading = _reading(subject)
    if any(reading in names for names in reserved):
        raise SubjectRefused("the subject is that of a CA or an RA of this server", detail=str(subject))


def ra_subject(issuer: Certificate) -> bytes:
    """The CA's name with another common name: RFC 5280 7.1 tells them apart by it."""
    parts = read(issuer.subject_der, "Name", Deviations()).sequence()
    named = list(zip(parts, issuer.subject.rdns, strict=True))
    kept = [part.raw for part, rdn in named if all(one.oid != oids.COMMON_NAME for one in rdn)]
    names = [one.value for one in issuer.subject.attributes() if one.oid == oids.COMMON_NAME]
    text = f"{names[-1]} RA" if names else "SCEP RA"
    if len(text) > MAX_COMMON_NAME:
        text = "SCEP RA"
    common_name = writer.sequence(writer.oid(oids.COMMON_NAME), writer.utf8_string(text))
    return writer.sequence(*kept, writer.set_of([common_name]))


def _reading(name: Name) -> Reading:
    return frozenset((one.oid, _read_alike(one.value)) for one in name.attributes())


def _read_alike(value: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", value).casefold().split())
