"""The step that looks at the address itself. It sends nothing."""

from collections.abc import Iterator

from app.diagnosis.knowledge import knowledge
from app.doctor.report import in_list
from app.doctor.seen import Found, Seen
from app.doctor.step import Needs, Step
from app.doctor.target import Target
from app.doctor.visit import Visit
from app.personas import PERSONAS

_ADDRESS = "address"


def _send(_: Visit) -> None:
    """All that there is to see is there already."""


def _judge(seen: Seen) -> Iterator[Found]:
    """Its query is lost where clients put their own in the place of it."""
    names = ", ".join(Target(seen.url).query_names)
    losing = in_list((one.name for one in PERSONAS.values() if one.wire.replaces_query), knowledge())
    yield Found("query-token-lost", _ADDRESS, f"the query has {names}, which these do not send: {losing}")


# For addresses that have a query at all.
STEP = Step(
    _ADDRESS,
    Needs.NOTHING,
    (),
    "a query in it does not reach the server from every client",
    _send,
    _judge,
)
