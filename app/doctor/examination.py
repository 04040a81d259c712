"""The examination: its plan, and the steps taken one after the other."""

import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from app.clock import utc_now
from app.diagnosis.knowledge import knowledge
from app.doctor import enrolling, habits, reading
from app.doctor.enrolling import judge_serials
from app.doctor.reading import CAPABILITIES, judge_all
from app.doctor.report import Report, StepResult, make_report
from app.doctor.seen import Seen
from app.doctor.step import Needs, Step
from app.doctor.target import Target
from app.doctor.visit import Visit


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be examined, and how far it may go.

    Without *challenges*, or where *read_only* is set, nothing is asked for that a server would have to
    decide on. *timeout* is for each exchange, in seconds.
    """

    target: Target
    challenges: tuple[str, ...] = ()
    read_only: bool = False
    subject: str = ""
    timeout: float = 30
    trust: ssl.SSLContext | None = None


def plan(request: Request) -> tuple[Step, ...]:
    """The steps in their order. Whether one can be taken shows on the way."""
    steps = (*reading.STEPS, *habits.POLLING, *enrolling.STEPS, *habits.SENDING, *enrolling.LAST)
    if request.challenges and not request.read_only:
        return steps
    return tuple(step for step in steps if step.needs.is_read_only)


def examine(request: Request, progress: Callable[[Step], object] = lambda _: None) -> Report:
    """Take the steps of the plan, telling *progress* of each before it is taken."""
    seen = Seen(request.target.url, utc_now())
    visit = Visit(request.target, seen, request.challenges, request.subject, request.timeout, request.trust)
    taken = [_take(step, visit, progress) for step in plan(request)]
    # Judged in the end: what comes later may tell what it was.
    results = [replace(result, found=tuple(step.judge(seen))) for step, result in taken]
    results.append(StepResult("all answers", "what may show at any of them", tuple(judge_all(seen))))
    serials = tuple(judge_serials(seen))
    results.append(StepResult("serial numbers", "each has to be unique, and not to be guessed", serials))
    return make_report(request.target.url, results, visit.sent, knowledge())


def _take(step: Step, visit: Visit, progress: Callable[[Step], object]) -> tuple[Step, StepResult]:
    progress(step)
    lacking = _lacking(step, visit)
    started = time.monotonic()
    if not lacking:
        step.send(visit)
    return step, StepResult(step.name, step.why, skipped=lacking, seconds=time.monotonic() - started)


def _lacking(step: Step, visit: Visit) -> str:
    """What *step* lacks, in words; empty where it can be taken."""
    first = visit.seen.first(CAPABILITIES)
    if first is not None and (not first.status or 300 <= first.status < 400):
        return "the server cannot be talked to"
    there = {
        Needs.NOTHING: True,
        Needs.RECIPIENT: visit.seen.roles is not None,
        Needs.CHALLENGE: visit.seen.roles is not None,
        Needs.SAMPLE: visit.sample is not None,
        Needs.CERTIFICATE: visit.identity is not None,
    }
    return "" if there[step.needs] else f"there is no {step.needs.value}"
