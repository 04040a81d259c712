"""What came of the tests of a run, and what they found out, whichever process of it ran them."""

import json
import time
from collections.abc import Collection
from pathlib import Path

import pytest

# Longer than the slowest test: no news for so long means that a process is gone.
PATIENCE_SECONDS = 300.0

Row = tuple[str, ...]


class Outcomes:
    """The outcome of each test by its node id, and the rows of docs/devices.md.

    Each process of a run writes down its own in *folder*, and reads what the others wrote.
    """

    def __init__(self, folder: Path, process: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._file = folder / f"{process}.jsonl"
        self._phases: dict[str, str] = {}

    def note_phase(self, report: pytest.TestReport) -> None:
        """Keep the first of a test's three phases that did not pass, or that all did."""
        if self._phases.get(report.nodeid, "passed") == "passed":
            self._phases[report.nodeid] = report.outcome
        if report.when == "teardown":
            self._write(["outcome", report.nodeid, self._phases.pop(report.nodeid)])

    def note_row(self, row: Row) -> None:
        """Keep a row of the table of clients."""
        self._write(["row", *row])

    def wait_for(self, tests: Collection[str]) -> dict[str, str]:
        """The outcomes of all that have run, once *tests* are among them.

        Raises:
            TimeoutError: Nothing happened any more, and some of *tests* have not run.

        """
        found, news = self._outcomes(), time.monotonic()
        while missing := set(tests) - found.keys():
            time.sleep(1)
            now = self._outcomes()
            if len(now) > len(found):
                found, news = now, time.monotonic()
            elif time.monotonic() - news > PATIENCE_SECONDS:
                raise TimeoutError(f"{len(missing)} tests were not run, {min(missing)} among them")
        return found

    def rows(self) -> set[Row]:
        """All rows until now."""
        return {tuple(rest) for kind, *rest in self._lines() if kind == "row"}

    def _outcomes(self) -> dict[str, str]:
        return {node: outcome for kind, node, outcome, *_ in self._lines() if kind == "outcome"}

    def _write(self, line: list[str]) -> None:
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def _lines(self) -> list[list[str]]:
        # What has no end yet is being written.
        return [
            json.loads(line)
            for file in sorted(self._folder.glob("*.jsonl"))
            for line in file.read_text("utf-8").splitlines(keepends=True)
            if line.endswith("\n")
        ]


OUTCOMES = pytest.StashKey[Outcomes]()
LAST = pytest.StashKey[frozenset[str]]()


def others(session: pytest.Session) -> set[str]:
    """The tests of this run but for those that look at what came of the others."""
    last = session.config.stash[LAST]
    return {item.nodeid for item in session.items if item.nodeid not in last}
