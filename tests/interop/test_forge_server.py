"""A server on node-forge, ported from the old Ruby sample: what iOS says 22013 of, and why."""

import subprocess
from collections.abc import Iterator
from urllib.request import urlopen

import pytest

from app.doctor.examination import Request, examine
from app.doctor.target import Target
from tests.asking_faults import Asking
from tests.faults.server import Running

from . import peers


@pytest.fixture
def asking() -> Iterator[Asking]:
    """A device at the server, which checks no challenge password."""
    peers.require(peers.NODE_FORGE)
    command = ["node", str(peers.FORGE / "server.js")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().removeprefix("ready: ").strip()
            with urlopen(f"{url}?operation=GetCACert", timeout=60) as response:
                yield Asking(Running(url, "", response.read()))
        finally:
            process.kill()


def test_inspect_says_that_the_attributes_of_scep_are_missing_and_for_whom_it_is(asking: Asking) -> None:
    """The signature holds and OpenSSL reads it, so that whoever wrote it sees nothing wrong."""
    found = asking.found(asking.answer("SUCCESS"))

    missing = [
        *("message-type-missing", "pki-status-missing", "transaction-id-missing"),
        *("recipient-nonce-missing", "sender-nonce-missing"),
    ]
    assert found[: len(missing)] == missing
    assert set(found[len(missing) :]) == {
        *(
            "recipient-not-signer",
            "reply-weak-digest",
            "weak-cipher",
            "signed-unsorted",
            "unsorted-attributes",
        )
    }
    assert asking.found(asking.answer("GetCACert")) == []


def test_doctor_leads_with_the_attributes_and_those_who_stop_there(asking: Asking) -> None:
    """What else is wrong with such a server comes behind it, for a client never gets that far."""
    url = asking.server.url

    report = examine(Request(Target(url), ("not checked",), personas=("ios", "sscep")))

    first, second, *_ = report.entries
    assert first.finding.id == "message-type-missing"
    assert {"ios", "sscep"} <= set(first.stopped)
    assert set(first.leads_to) >= {"pki-status-missing", "transaction-id-missing"}
    assert second.finding.id == "recipient-not-signer"
