"""Every requirement has its test or its reason, and docs/conformance.md says which."""

from collections.abc import Sequence
from difflib import unified_diff

import pytest

from tests.conformance import document
from tests.conformance.catalogue import Requirement, catalogue, load
from tests.conformance.collecting import Proof, collected
from tests.conformance.marks import REQUIREMENT, cases
from tests.interop.devices import writing
from tests.outcomes import Outcomes, others

HINT = "SCEPBOX_WRITE_DOCS=1 python tests/run.py writes docs/conformance.md anew"


@pytest.fixture(scope="module")
def proofs() -> list[Proof]:
    """What all tests of the suite say that they prove."""
    return collected()


def unproven(requirements: Sequence[Requirement], proofs: Sequence[Proof]) -> list[str]:
    """The requirements without a test and without a reason."""
    proven = {proof.requirement for proof in proofs}
    return [one.id for one in requirements if one.id not in proven and not one.reason]


def test_every_requirement_has_a_test_or_a_reason(proofs: list[Proof]) -> None:
    """RFC 8894 whole: a MUST or SHOULD that nobody looks after is found by a device."""
    assert unproven(list(catalogue().values()), proofs) == []


def test_no_reason_outlives_its_test(proofs: list[Proof]) -> None:
    """What is proven is neither open nor left out: take the reason out of requirements.toml."""
    requirements = catalogue()

    assert {one.requirement for one in proofs if requirements[one.requirement].reason} == set()


def test_no_test_proves_what_nobody_asked_for(proofs: list[Proof]) -> None:
    """A mistyped number would leave its requirement without a test."""
    assert {one.requirement for one in proofs} - catalogue().keys() == set()


def test_the_numbers_are_of_one_form() -> None:
    """A key that begins with a number is a mark only where the number can be recognised."""
    assert [number for number in catalogue() if not REQUIREMENT.fullmatch(number)] == []


LINE = '["A"]\n"R-1-a" = { level = "MUST", who = "server", section = "1", text = "So it is." '


def test_a_requirement_without_a_test_is_found() -> None:
    """The net has to hold: without test and reason, with a reason, and with a test."""
    bare, excused = load(f"{LINE}}}")["R-1-a"], load(f'{LINE}, open = "later" }}')["R-1-a"]

    assert unproven([bare], []) == ["R-1-a"]
    assert unproven([excused], []) == []
    assert unproven([bare], [Proof("R-1-a", "tests/test_x.py::test_y[z]")]) == []


@pytest.mark.parametrize(
    "rest",
    [', level = "WILL" }', ', who = "nobody" }', ', text = "no sentence" }', ', text = "a | b." }'],
)
def test_a_line_that_nobody_would_understand_is_no_requirement(rest: str) -> None:
    """A wrong word in the catalogue would be a requirement that is never counted."""
    word = rest.split()[1]
    line = "".join(part for part in (LINE.replace(f"{word} =", "note ="), rest))

    with pytest.raises(ValueError, match="R-1-a"):
        load(line)


def test_an_unknown_word_and_two_reasons_are_refused() -> None:
    """``reason = ...`` is not a reason, and open is not left out."""
    with pytest.raises(TypeError, match="reason"):
        load(f'{LINE}, reason = "later" }}')
    with pytest.raises(ValueError, match="not both"):
        load(f'{LINE}, open = "later", left_out = "never" }}')


def test_a_key_says_what_its_case_proves() -> None:
    """``N-055 empty`` is a case of N-055; a key in words alone is a case of nothing."""
    first, second = cases({"N-055 empty": 1, "in words": (2, 3)})

    assert [mark.args for mark in first.marks] == [("N-055",)]
    assert (second.values, second.marks, second.id) == (((2, 3),), [], "in words")


def test_what_came_of_the_cases_is_counted() -> None:
    """The last column of the document, and how it is read again."""
    proofs = [Proof("N-055", f"tests/test_x.py::test_y[{number}]") for number in range(3)]
    outcomes = {proof.node: "passed" for proof in proofs} | {proofs[0].node: "skipped"}

    results = document.counted(proofs, outcomes)
    text = document.markdown(catalogue(), proofs, results)

    assert results == {"N-055": "2 passed, 1 skipped"}
    assert document.committed_results(text)["N-055"] == "2 passed, 1 skipped"
    assert "[y](../tests/test_x.py)" in text


def test_the_document_is_up_to_date(
    request: pytest.FixtureRequest, outcomes: Outcomes, proofs: list[Proof]
) -> None:
    """Whoever reads it sees the tests there are; it is written where the whole suite has just run."""
    run = {item.nodeid for item in request.session.items}
    if writing() and all(proof.node in run for proof in proofs):
        results = document.counted(proofs, outcomes.wait_for(others(request.session)))
        text = document.markdown(catalogue(), proofs, results)
        document.DOCUMENT.write_text(text, "utf-8", newline="\n")

    committed = document.DOCUMENT.read_text("utf-8")
    results = document.committed_results(committed)

    expected = document.markdown(catalogue(), proofs, results)
    difference = unified_diff(committed.splitlines(), expected.splitlines(), "committed", "now", lineterm="")
    assert committed == expected, "\n".join([HINT, *difference])
    proven = {proof.requirement for proof in proofs}
    assert {number for number in proven if "passed" not in results[number]} == set(), HINT
    assert not any("failed" in result for result in results.values()), HINT
