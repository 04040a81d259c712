"""``doctor`` at servers that are wrong in one way each: it names that first, and nothing false beside.

The table of docs/diagnoses.md is of these faults (test_diagnoses.py).
"""

import pytest

from app.personas import PERSONAS
from tests.doctoring import examined, personas_of
from tests.faults.catalogue import FAULTS
from tests.faults.conduct import FAULTLESS, Fault


@pytest.mark.parametrize("asks", [False, True])
def test_nothing_is_wrong_with_the_faultless_one(asks: bool) -> None:
    """No client stops, and nobody is told to mend what is not broken."""
    report = examined(FAULTLESS, asks=asks)

    assert [(entry.finding.id, entry.places) for entry in report.entries] == []
    assert [step.name for step in report.steps if step.skipped] == []


@pytest.mark.parametrize("fault", FAULTS.values(), ids=lambda fault: fault.name)
def test_the_fault_is_named_first_with_those_it_hurts_and_nothing_false_beside(fault: Fault) -> None:
    """Whoever reads the first line knows what to mend; what is not hidden shows without a challenge."""
    report = examined(fault.conduct, personas_of(fault), asks=fault.hidden)

    told = [f"{entry.finding.id}: {entry.places}" for entry in report.entries]
    first, *others = report.entries
    assert first.finding.id == fault.finding, told
    assert set(fault.clients) <= set(first.clients)
    assert {entry.finding.id for entry in others} <= fault.beside, told
    # A place alone says little to who has to mend it.
    assert [one for entry in report.entries for one in entry.seen if not (one.detail or one.by)] == []


@pytest.mark.parametrize("name", ["redirect", "not-there"])
@pytest.mark.parametrize("asks", [False, True])
def test_where_nobody_comes_any_further_that_is_a_violation_for_every_client(name: str, asks: bool) -> None:
    """All personas stop there: a server behind it does not pass."""
    report = examined(FAULTS[name].conduct, asks=asks)

    assert not report.passed
    assert {client: [one.finding.id for one in entries] for client, entries in report.fails().items()} == {
        "everyone": [FAULTS[name].finding]
    }
    assert report.enrolled == ()


def test_a_refusal_by_http_stops_nobody_who_is_granted_a_certificate() -> None:
    """It is a violation, and all the same no client that got its certificate fails."""
    report = examined(FAULTS["refusal-500"].conduct)

    assert not report.passed
    assert set(report.enrolled) == PERSONAS.keys()
    assert report.fails() == {}
