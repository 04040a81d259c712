"""The body of knowledge is whole: every id, place, client and source is known, and the document tells it."""

import os

import pytest

from app.diagnosis.finding import Finding, Symptom
from app.diagnosis.knowledge import AREAS, FOLDER, knowledge, read_ids
from app.diagnosis.node import PLACES
from ca.deviations import REFERENCES, DeviationKind
from tests.diagnosing import DOCUMENT, HINT, markdown

KNOWN = knowledge()
EVERYTHING: list[Finding | Symptom] = [*KNOWN.findings.values(), *KNOWN.symptoms.values()]


@pytest.mark.parametrize("kind", list(DeviationKind))
def test_every_deviation_that_a_reader_notices_has_a_finding(kind: DeviationKind) -> None:
    """Whoever sees the word in the log finds what it means, under the clause that the reader names."""
    assert KNOWN.findings[kind.value].reference == REFERENCES[kind]


def test_no_id_is_given_twice() -> None:
    """Scripts and links go by it."""
    ids = [*(one for area in AREAS for one in read_ids(area)), *KNOWN.symptoms]

    assert len(ids) == len(set(ids))


def test_every_file_of_knowledge_is_read() -> None:
    """What lies beside and is not read is not known."""
    files = {path.stem for path in FOLDER.iterdir()}

    assert files == {*AREAS, "symptoms", "clients", "sources"}


@pytest.mark.parametrize("one", EVERYTHING, ids=lambda one: one.id)
def test_sources_and_clients_are_known(one: Finding | Symptom) -> None:
    """A statement about somebody else's product says where it is from."""
    clients = {one.client} if isinstance(one, Symptom) else set(one.clients)

    assert set(one.source) <= KNOWN.sources.keys()
    assert clients <= KNOWN.clients.keys()


def test_no_source_and_no_client_is_there_for_nothing() -> None:
    """Such a one is a slip in another place."""
    clients = {client for one in KNOWN.findings.values() for client in one.clients}
    clients |= {one.client for one in KNOWN.symptoms.values()}

    assert {key for one in EVERYTHING for key in one.source} == KNOWN.sources.keys()
    assert clients == KNOWN.clients.keys()


def test_every_finding_is_at_a_place_that_inspect_has() -> None:
    """Else nobody could be shown where it is."""
    assert {place for one in KNOWN.findings.values() for place in one.where} <= PLACES


@pytest.mark.parametrize("symptom", KNOWN.symptoms.values(), ids=lambda one: one.id)
def test_every_cause_is_a_finding_and_every_symptom_can_be_found(symptom: Symptom) -> None:
    """A list of causes with a hole in it leads nowhere."""
    assert set(symptom.causes) <= KNOWN.findings.keys()
    assert len(set(symptom.causes)) == len(symptom.causes)
    assert symptom.codes or symptom.texts


def test_the_document_tells_it_all() -> None:
    """It is written from the knowledge, so that nobody has to keep the two alike."""
    written = markdown(KNOWN)
    if os.environ.get("SCEPBOX_WRITE_DOCS") == "1":
        DOCUMENT.write_text(written, "utf-8", newline="\n")

    assert DOCUMENT.read_text("utf-8") == written, HINT
