"""The examination: its plan, and the steps taken one after the other."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

from cryptography.hazmat.primitives.asymmetric import rsa

from app.clock import utc_now
from app.diagnosis.knowledge import knowledge
from app.doctor import address, clients, dialects, enrolling, habits, manners, reading, trespassing
from app.doctor.clients import is_persona
from app.doctor.enrolling import judge_serials
from app.doctor.report import Report, StepResult, make_report
from app.doctor.seen import CAPABILITIES, Found, Seen
from app.doctor.step import Needs, Step
from app.doctor.target import Target
from app.doctor.visit import Visit, make_key
from app.personas import PERSONAS, Reach
from ca.asn1 import Asn1Error

_GONE = "it is not answered, and neither is GetCACaps behind it"


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be examined, and how far it may go.

    Without *challenges*, or where *read_only* is set, nothing is asked for that a server would have to
    decide on. *personas* are the clients that come by in the end, by their names; where *insists* is set
    they were asked for, and whatever one of them stops at is a violation.
    """

    target: Target
    challenges: tuple[str, ...] = field(default=(), repr=False)
    read_only: bool = False
    subject: str = ""
    personas: tuple[str, ...] = tuple(PERSONAS)
    insists: bool = False
    reach: Reach = field(default_factory=Reach)
    make_key: Callable[[], rsa.RSAPrivateKey] = make_key

    @property
    def only_reads(self) -> bool:
        """Whether no certificate is asked for."""
        return self.read_only or not self.challenges


def plan(request: Request) -> tuple[Step, ...]:
    """The steps in their order. Whether one can be taken shows on the way."""
    steps = (
        *((address.STEP,) if request.target.query_names else ()),
        *reading.STEPS,
        *(one for one in manners.STEPS if one is not manners.SLASH or request.target.may_end_in_slash),
        *habits.POLLING,
        *enrolling.STEPS,
        *trespassing.STEPS,
        *habits.SENDING,
        *dialects.STEPS,
        *clients.steps(request.personas, read_only=request.only_reads),
        *trespassing.LAST,
    )
    return tuple(step for step in steps if step.needs.is_read_only or not request.only_reads)


def examine(request: Request, progress: Callable[[Step], object] = lambda _: None) -> Report:
    """Take the steps of the plan, telling *progress* of each before it is taken."""
    seen = Seen(request.target.url, utc_now())
    visit = Visit(request.target, seen, request.challenges, request.subject, request.reach, request.make_key)
    taken = [_take(step, visit, progress) for step in plan(request)]
    # What was issued on the way begins after the visit did.
    seen.now = utc_now()
    return make_report(
        request.target.shown,
        [_conceal(result, request.target) for result in _judge(taken, seen)],
        visit.sent,
        knowledge(),
        enrolled=seen.enrolled,
        went_on=seen.went_on,
        asked=request.personas if request.insists else (),
        spared=manners.spared(seen),
    )


def _judge(taken: Sequence[tuple[Step, StepResult]], seen: Seen) -> list[StepResult]:
    """Judge in the end, when what came later may tell what it was: the doctor's own steps first."""
    others = (
        ("all answers", "what may show at any of them", tuple(manners.judge_all(seen))),
        ("serial numbers", "each has to be unique, and not to be guessed", tuple(judge_serials(seen))),
        ("the end", "the server has to be there still", tuple(_judge_end(seen))),
    )
    own = {step.name: _found(step, seen) for step, _ in taken if not is_persona(step)}
    for one in chain(*own.values(), *(found for _, _, found in others)):
        seen.found.setdefault(one.finding, one)
    found = own | {step.name: _found(step, seen) for step, _ in taken if is_persona(step)}
    results = [replace(result, found=found[step.name]) for step, result in taken]
    results += [StepResult(name, why, one) for name, why, one in others]
    return [replace(one, found=_in_time(one.found, seen.late)) for one in results]


def _in_time(found: tuple[Found, ...], late: frozenset[str]) -> tuple[Found, ...]:
    """*found* with a mark at what was seen when the server had ended."""
    return tuple(replace(one, late=one.where.partition(": ")[0] in late) for one in found)


def _conceal(result: StepResult, target: Target) -> StepResult:
    """Servers say again what they were asked."""
    hide = target.conceal
    found = tuple(replace(one, where=hide(one.where), detail=hide(one.detail)) for one in result.found)
    return replace(result, found=found, skipped=hide(result.skipped))


def _found(step: Step, seen: Seen) -> tuple[Found, ...]:
    """What *step* shows; where even that breaks off, this is told with what was found before."""
    found: list[Found] = []
    try:
        for one in step.judge(seen):
            found.append(one)
    except Asn1Error as error:
        found.append(Found("damaged-encoding", step.name, str(error)))
    return tuple(found)


def _take(step: Step, visit: Visit, progress: Callable[[Step], object]) -> tuple[Step, StepResult]:
    progress(step)
    lacking = _lacking(step, visit)
    started = time.monotonic()
    try:
        if not lacking:
            step.send(visit)
    except Asn1Error as error:
        lacking = f"what the server gave cannot be read: {error}"
    return step, StepResult(step.name, step.why, skipped=lacking, seconds=time.monotonic() - started)


def _judge_end(seen: Seen) -> Iterator[Found]:
    if seen.killed_by == trespassing.UNKNOWN_TYPE:
        yield Found("message-type-kills", seen.killed_by, _GONE)
    elif seen.killed_by:
        yield Found("server-dies", seen.killed_by, _GONE)


def _lacking(step: Step, visit: Visit) -> str:
    """What *step* lacks, in words; empty where it can be taken."""
    if visit.seen.killed_by:
        return f"the server does not answer any more since: {visit.seen.killed_by}"
    first = visit.seen.first(CAPABILITIES)
    if first is not None and not first.status:
        return "the server cannot be talked to"
    if first is not None and 300 <= first.status < 400 and not is_persona(step):
        return "everything is somewhere else"
    if visit.is_too_slow:
        return f"the server was waited for {visit.late} times in vain"
    there = {
        Needs.NOTHING: True,
        Needs.RECIPIENT: visit.seen.roles is not None,
        Needs.SAMPLE: visit.sample is not None,
        Needs.CERTIFICATE: visit.identity is not None,
    }
    # Who has no challenge password never comes here: the plan is without such steps.
    needs = Needs.RECIPIENT if step.needs is Needs.CHALLENGE else step.needs
    return "" if there[needs] else f"it needs {needs.value}"
