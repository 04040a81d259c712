"""What stands in a backup about itself: what is in it, and how each part of it has to read."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.store.exchange import Kind

MANIFEST = "manifest.json"
# Where in the archive the files of the data folder are, and the rows of the tables.
FOLDER, DATABASE = "folder/", "database/"
_Count = Annotated[int, Field(ge=0)]


class BackupDamaged(Exception):
    """A file is no backup, or not the whole of it; the text says which file, and what is wrong."""


class CannotRestore(Exception):
    """Where a backup should go there is no room; the text says what to do."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True)


class Member(_Part):
    """One file of the archive: its length, and the SHA-256 of its content in hexadecimal.

    *modified* is when a file of the data folder was written, in seconds since 1970: when a CA was activated
    is doubted where its file was written at another time.
    """

    octets: _Count
    modified: _Count | None = None
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class TableShape(_Part):
    """A table: what each column holds, in the order of the rows' values, and how many rows there are."""

    columns: dict[str, Annotated[Kind, Field(strict=False)]]
    rows: _Count


class Head(_Part):
    """The last entry of the audit log: its number, and its chain in hexadecimal."""

    number: _Count
    chain: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Manifest(_Part):
    """All that stands in ``manifest.json``. *schema_revision* is that of the tables."""

    format: Literal["scepbox backup"] = "scepbox backup"
    version: Literal[1] = 1
    program: str
    created_at: Annotated[datetime, Field(strict=False)]
    database: str
    schema_revision: str
    audit_head: Head
    tables: dict[str, TableShape]
    members: dict[str, Member]

    @classmethod
    def read(cls, octets: bytes) -> "Manifest":
        """Read one.

        Raises:
            BackupDamaged: It is none, or a newer program's.

        """
        try:
            manifest = cls.model_validate_json(octets)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(map(str, first["loc"]))
            if place in ("version", "format"):
                raise BackupDamaged(f"a {place} that this program does not know; use a newer one") from None
            raise BackupDamaged(f"its {MANIFEST} is damaged: {place}: {first['msg']}") from None
        if manifest.tables.keys() != {name_of_table(name) for name in manifest.members} - {""}:
            raise BackupDamaged("its tables are not those that its manifest names")
        return manifest


def member_of_table(name: str) -> str:
    """The file of the archive with the rows of a table."""
    return f"{DATABASE}{name}.jsonl"


def name_of_table(member: str) -> str:
    """The table of such a file; empty for any other."""
    inside = member.removeprefix(DATABASE)
    return inside.removesuffix(".jsonl") if member != inside else ""
