"""docs/conformance.md: written from the catalogue, the marks of the tests and what came of a run."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tests.conformance.catalogue import OF_RFC_8894, Requirement
from tests.conformance.collecting import Proof

DOCUMENT = Path(__file__).parents[2] / "docs/conformance.md"

INTRODUCTION = """\
# Conformance

What RFC 8894 asks of a SCEP server and of our client, piece by piece, and the test that proves it;
with the rules of the RFCs under it (CMS, PKCS #10, certificates, HTTP), what devices in the field
rely on, and the ways in which a message can be wrong. The tests write this file: a requirement is
in [requirements.toml](../tests/conformance/requirements.toml), and the test that proves it says so
with `@pytest.mark.proves("R-3.2.1-a")`. The suite fails where one has neither a test nor a reason.

`SCEPBOX_WRITE_DOCS=1 python tests/run.py` writes the file anew. The last column is from the run
that wrote it, and counts the cases of the tests.

A level from MUST to RULE is RFC 8894's own (RULE: it describes without such a word). CMS, PKCS10,
PKIX and HTTP are demands of the RFCs under it; DRAFT is what older drafts of SCEP and devices in
the field have; SECURITY is what it takes to keep the promises of RFC 8894 7; CASE is a message that
is wrong, and what it gets.
"""

COLUMNS = ("", "level", "who", "section", "requirement", "proven by", "result")


def markdown(
    catalogue: Mapping[str, Requirement], proofs: Sequence[Proof], results: Mapping[str, str]
) -> str:
    """Write the whole document. *results* are the last column, by requirement."""
    chapters: dict[str, list[Requirement]] = {}
    for requirement in catalogue.values():
        chapters.setdefault(requirement.chapter, []).append(requirement)
    parts = [INTRODUCTION, _summary(chapters)]
    for chapter, requirements in chapters.items():
        rows = [_row(one, proofs, results.get(one.id, "")) for one in requirements]
        parts.append(f"## {chapter}\n\n{_table(COLUMNS, rows)}")
    return "\n".join(parts)


def counted(proofs: Iterable[Proof], outcomes: Mapping[str, str]) -> dict[str, str]:
    """Count what came of the cases of each requirement: ``12 passed``, ``3 passed, 1 skipped``.

    Raises:
        KeyError: A case was not run.

    """
    counts: dict[str, Counter[str]] = {}
    for proof in proofs:
        counts.setdefault(proof.requirement, Counter())[outcomes[proof.node]] += 1
    return {
        number: ", ".join(f"{count[outcome]} {outcome}" for outcome in sorted(count))
        for number, count in counts.items()
    }


def committed_results(text: str) -> dict[str, str]:
    """Read the last column of a document."""
    rows = re.findall(r"(?m)^\| ([A-Z]+-[0-9][0-9.a-z-]*) \|.*\| ([^|]*) \|$", text)
    return {number: result.strip() for number, result in rows}


def _summary(chapters: Mapping[str, Sequence[Requirement]]) -> str:
    everything = [one for requirements in chapters.values() for one in requirements]
    binding = [one for one in everything if one.level in OF_RFC_8894[:5]]
    head = f"**{_counts(everything)}.** MUST, SHOULD and RECOMMENDED of RFC 8894: {_counts(binding)}.\n"
    rows = [
        (f"[{chapter}](#{_anchor(chapter)})", *map(str, _numbers(requirements)))
        for chapter, requirements in chapters.items()
    ]
    return f"{head}\n{_table(('chapter', 'proven', 'open', 'left out'), rows)}"


def _numbers(requirements: Sequence[Requirement]) -> tuple[int, int, int]:
    waiting = sum(bool(one.open) for one in requirements)
    left_out = sum(bool(one.left_out) for one in requirements)
    return len(requirements) - waiting - left_out, waiting, left_out


def _counts(requirements: Sequence[Requirement]) -> str:
    proven, waiting, left_out = _numbers(requirements)
    return (
        f"{len(requirements)} requirements: {proven} proven, {waiting} open, {left_out} left out on purpose"
    )


def _row(requirement: Requirement, proofs: Sequence[Proof], result: str) -> tuple[str, ...]:
    text = requirement.text + (f" *{requirement.note}*" if requirement.note else "")
    tests = dict.fromkeys(proof.test for proof in proofs if proof.requirement == requirement.id)
    proven_by = "<br>".join(_link(*test) for test in sorted(tests))
    if requirement.reason:
        proven_by = f"**{'open' if requirement.open else 'left out'}**: {requirement.reason}"
    return (requirement.id, requirement.level, requirement.who, requirement.section, text, proven_by, result)


def _link(file: str, test: str) -> str:
    return f"[{test.removeprefix('test_').replace('_', ' ')}](../{file})"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = (head, ["---"] * len(head), *rows)
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _anchor(heading: str) -> str:
    """The name that a heading's place gets in the page."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
