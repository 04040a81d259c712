"""Which tests there are and what they prove, from pytest itself and without running any of them."""

import json
import subprocess
import sys
from contextlib import redirect_stdout
from dataclasses import dataclass

import pytest

from tests.world import ROOT


@dataclass(frozen=True, slots=True)
class Proof:
    """One case of a test, by its node id, and a requirement that it proves."""

    requirement: str
    node: str

    @property
    def test(self) -> tuple[str, str]:
        """The file and the name of the test, whichever case of it this is."""
        file, _, name = self.node.partition("::")
        return file, name.partition("[")[0]


class _Collector:
    """A plugin that looks at the marks of everything that was collected."""

    def __init__(self) -> None:
        self.found: list[tuple[str, str]] = []

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Take down each mark of each test."""
        self.found = [
            (number, item.nodeid)
            for item in session.items
            for mark in item.iter_markers("proves")
            for number in mark.args
        ]


def collected() -> list[Proof]:
    """Have another process collect the whole suite: this one may be running a part of it."""
    command = [sys.executable, "-m", __name__]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    return [Proof(*pair) for pair in json.loads(done.stdout)]


def main() -> int:
    """Print the pairs as JSON."""
    collector = _Collector()
    with redirect_stdout(sys.stderr):
        code = pytest.main(["--collect-only", "-qq", "-p", "no:cacheprovider"], plugins=[collector])
    print(json.dumps(collector.found))
    return int(code)


if __name__ == "__main__":
    sys.exit(main())
