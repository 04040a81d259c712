"""The table of clients in docs/devices.md: collecting its rows, writing it, comparing it."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.outcomes import Outcomes

from . import peers

DOCUMENT = Path(__file__).parents[2] / "docs/devices.md"

INTRODUCTION = """\
# Clients that enrol

The tests in `tests/interop` write this table: each row is a run of a real client, in the version
named, against `run.py serve` over HTTP, and was written only after the test held. Algorithms are
read off the wire: the cipher of the envelope, the digest of the message, and the method of HTTP;
"answered with" tells where the reply could not use the same. Where a client prefers POST, its rows
with GET were made by showing it capabilities without `POSTPKIOperation`. In rows of "poll" the
client waited until its request was approved or rejected from the command line. Every reply was also
verified and opened by `openssl cms`, every certificate by `openssl verify -x509_strict`. What
`inspect` says of each message, request and reply, was held field by field to what `openssl cms` and
Ruby's OpenSSL read in it.

Where the result names an RA, a registration authority stood before the CA, which was RSA, EC, or an
EC intermediate two steps below an RSA root. Clients want to be told of it: strongSwan by
`--cacert-enc` and `--cacert-sig` with the RA's certificate and a `--cacert` for each above it,
certmonger by `-r` with the RA's and `-N` with the CA's. scepclient encrypts to every certificate of
the bundle and stops at an EC one, unless `-ca-fingerprint` names the RA's.

`SCEPBOX_WRITE_DOCS=1 pytest tests/interop` writes the table anew; without the variable the last
test compares the rows, versions aside, and fails where they differ.
"""

COLUMNS = ("client", "version", "operation", "algorithm", "result")

# The order of a client's life, and the only operations there are.
OPERATIONS = (
    "capabilities",
    "CA certificate",
    "enrol",
    "renew, same key",
    "renew, new key",
    "poll",
    "refused",
)

Row = tuple[str, str, str, str]


@dataclass(frozen=True, slots=True)
class Table:
    """The rows that this run of the tests has proved."""

    _outcomes: Outcomes

    @property
    def rows(self) -> set[Row]:
        """The rows until now."""
        return {
            (client, operation, algorithm, result)
            for client, operation, algorithm, result in self._outcomes.rows()
        }

    def record(self, peer: peers.Peer, operation: str, algorithm: str, result: str) -> None:
        """Note that *peer* has done this, with that algorithm and that result."""
        assert operation in OPERATIONS
        self._outcomes.note_row((peer.name, operation, algorithm, result))

    def markdown(self, versions: dict[str, str]) -> str:
        """Write the whole document."""
        cells = [(c, versions[c], o, a, r) for c, o, a, r in sorted(self.rows, key=_position)]
        lines = [COLUMNS, tuple("---" for _ in COLUMNS), *cells]
        return INTRODUCTION + "\n" + "".join(f"| {' | '.join(line)} |\n" for line in lines)


def committed_rows() -> set[Row]:
    """Read the rows of the committed document, without the versions."""
    lines = DOCUMENT.read_text().splitlines() if DOCUMENT.exists() else []
    cells = [tuple(part.strip() for part in line.strip("|").split("|")) for line in lines]
    rows = [cell for cell in cells if len(cell) == len(COLUMNS)][2:]
    return {(client, operation, algorithm, result) for client, _, operation, algorithm, result in rows}


def writing() -> bool:
    """Tell whether the document is to be written rather than compared."""
    return os.environ.get("SCEPBOX_WRITE_DOCS") == "1"


def listing(rows: Iterable[Row]) -> str:
    """Show rows one a line."""
    return "".join(f"\n  {' | '.join(row)}" for row in sorted(rows, key=_position))


def _position(row: Row) -> tuple[str, int, str, str]:
    client, operation, algorithm, result = row
    return client.lower(), OPERATIONS.index(operation), algorithm, result
