"""A statement as PostgreSQL is sent it, and where the pipeline of a connection is kept. Sends nothing itself.

Apart from the pipeline, because psycopg costs a tenth of a second that SQLite does not need.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

if TYPE_CHECKING:
    from app.store.pipeline import Pipeline

# Where SQLAlchemy keeps what belongs to a connection of the driver.
_KEY = "scepbox_pipeline"


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement, with places ``$1`` and so on; prepared under its *name* where it is sent first.

    *order* names the parameter of each place, *encoders* make its octets, and *decoders* make the columns
    of a row of theirs. One that *writes* has something to undo.
    """

    name: bytes
    text: bytes
    order: tuple[str, ...] = ()
    encoders: tuple[Callable[[Any], bytes], ...] = ()
    formats: tuple[int, ...] = ()
    decoders: tuple[Callable[[bytes], Any], ...] = ()
    writes: bool = False

    def encode(self, parameters: Mapping[str, object]) -> list[bytes | None]:
        """The parameters in their places."""
        places = zip(self.order, self.encoders, strict=True)
        return [None if (value := parameters[name]) is None else encode(value) for name, encode in places]


class EarlierWorkFailed(Exception):
    """Work that seemed to be done already was refused by *refusal*: nothing of its transaction stands."""

    def __init__(self, refusal: DBAPIError) -> None:
        super().__init__(str(refusal.orig))
        self.refusal = refusal


def give_pipeline(info: dict[Any, Any], pipeline: "Pipeline") -> None:
    """Keep the pipeline of a connection where :func:`find_pipeline` finds it."""
    info[_KEY] = pipeline


def find_pipeline(connection: Connection) -> "Pipeline | None":
    """The pipeline of a connection to PostgreSQL, None for SQLite."""
    return connection.info.get(_KEY)
