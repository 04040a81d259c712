"""``doctor`` at servers that are wrong in one way each: it names that first, and nothing false beside.

The table of docs/diagnoses.md is of these faults (test_diagnoses.py).
"""

from pathlib import Path

import pytest

from app.personas import PERSONAS
from tests.command_line import run
from tests.doctoring import examined, personas_of
from tests.faults.catalogue import FAULTS
from tests.faults.conduct import FAULTLESS, Conduct, Fault
from tests.faults.server import running

# To count what they pass over would take longer than the tests themselves; others hold it.
pytestmark = pytest.mark.no_cover


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


def test_what_came_before_the_end_is_no_consequence_of_it() -> None:
    """The unknown messageType is sent last: nobody was stopped by it, and all else is told beside it."""
    conduct = Conduct(
        dies_of=frozenset({"message type"}), fails_at=frozenset({"nothing"}), unread=frozenset({"ber"})
    )

    entries = {one.finding.id: one for one in examined(conduct, ("jscep", "ios")).entries}

    assert entries.keys() == {"message-type-kills", "nonsense-fault", "ber-not-read"}
    assert (entries["message-type-kills"].stopped, entries["message-type-kills"].leads_to) == ((), ())
    assert entries["nonsense-fault"].places == "empty POST: HTTP 500"
    assert entries["ber-not-read"].stopped == ("jscep",)


def test_a_persona_stops_at_its_own_way_of_writing_in_the_words_of_the_server() -> None:
    """Where polls are no use BER shows in a PKCSReq; an error 500 for polls is none of its troubles."""
    conduct = Conduct(
        answers_polls=False, refuses_by_http=True, restores_plus=False, unread=frozenset({"ber"})
    )

    entries = {one.finding.id: one for one in examined(conduct, ("ios-legacy", "jscep", "windows")).entries}

    assert {name: one.stopped for name, one in entries.items() if one.stopped} == {
        "plus-lost": ("ios-legacy",),
        "ber-not-read": ("jscep",),
    }
    assert entries["http-error"].places.startswith("CertPoll: HTTP 500: not implemented")
    assert "HTTP 500: Indefinite length encoding not supported" in entries["ber-not-read"].places
    met = [one.detail for one in entries["plus-lost"].seen if one.by]
    assert met[0].startswith("HTTP 400: illegal base64 data")


def test_of_a_reply_the_server_is_told_what_it_is_to_mend() -> None:
    """What clients do in their requests is no matter of its."""
    (entry,) = examined(Conduct(digest="sha1"), ("sscep",)).entries

    assert entry.finding.id == "reply-weak-digest"
    assert entry.finding.fix.startswith("Sign the reply with the digest of the request")
    assert "SHA-1, and the request was signed over SHA-256" in entry.places
    assert "micromdm" not in entry.clients


def test_chunks_are_no_matter_of_cisco_where_http_1_0_gets_none() -> None:
    """It speaks HTTP/1.0, and such a server answers it with a length."""
    (entry,) = examined(Conduct(chunked=True), ("cisco", "ios"), asks=False).entries

    assert entry.finding.id == "http-chunked-reply"
    assert entry.clients == ("sscep",)


def test_enroll_as_another_client_tells_the_words_of_the_server(tmp_path: Path) -> None:
    """A number alone sends nobody to what is wrong."""
    with running(Conduct(refuses_by_http=True, unread=frozenset({"ber"}))) as server:
        who = ("--as", "jscep", "--subject", "CN=device", "--challenge", "-", "--out", tmp_path / "out")
        done = run("enroll", server.url, *who, stdin=server.challenge)

    assert done.code
    assert "HTTP 500: Indefinite length encoding not supported (http-error)" in done.err


def test_a_refusal_by_http_stops_nobody_who_is_granted_a_certificate() -> None:
    """It is a violation, and all the same no client that got its certificate fails."""
    report = examined(FAULTS["refusal-500"].conduct)

    assert not report.passed
    assert set(report.enrolled) == PERSONAS.keys()
    assert report.fails() == {}
