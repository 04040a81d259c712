"""What is known, as values: findings, and what devices say of them. Reads no file and judges nothing."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Identifier = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
Operation = Literal["GetCACaps", "GetCACert", "PKIOperation"]
Words = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]


class Severity(StrEnum):
    """How bad it is."""

    VIOLATION = "violation"
    WARNING = "warning"
    INFO = "info"


class Confidence(StrEnum):
    """How sure a piece of knowledge is, the surest first."""

    OBSERVED = "observed"
    SOURCE = "source"
    DECOMPILED = "decompiled"
    DOCUMENTED = "documented"
    REPORTED = "reported"
    INFERRED = "inferred"
    BELIEVED = "believed"

    @property
    def words(self) -> str:
        """What it means, for people."""
        return _CONFIDENCE[self]


_CONFIDENCE = {
    Confidence.OBSERVED: "observed on the wire",
    Confidence.SOURCE: "read in source code",
    Confidence.DECOMPILED: "read in a decompilation",
    Confidence.DOCUMENTED: "documented",
    Confidence.REPORTED: "reported in public",
    Confidence.INFERRED: "inferred",
    Confidence.BELIEVED: "only believed",
}


class Known(BaseModel):
    """What findings and symptoms have in common: *source* are keys of the list of sources."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Identifier
    source: tuple[str, ...] = Field(min_length=1)
    confidence: Confidence


class Finding(Known):
    """One thing that can be wrong.

    *where* are the places where ``inspect`` shows it; *clients* says of each client what it does about
    it; *area* is the file that it stands in.
    """

    area: str
    severity: Severity
    what: Words
    where: tuple[str, ...] = Field(min_length=1)
    reference: Words
    fix: Words
    clients: Mapping[str, Words] = Field(min_length=1)


class Symptom(Known):
    """What a client says when something is wrong: *codes* as it writes them, negative ones too.

    *causes* are findings in the order to check; *operations* those that it is said of, empty where any.
    """

    client: str
    codes: tuple[int, ...] = ()
    texts: tuple[Words, ...] = ()
    means: Words
    causes: tuple[Identifier, ...] = Field(min_length=1)
    operations: tuple[Operation, ...] = ()
