"""The one body of knowledge, read from the files beside this module. Nothing is computed here."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from app.diagnosis.finding import Finding, Symptom

FOLDER = Path(__file__).with_name("known")
# One file each, in the order of the road: the way, what is served, a request, a reply, what is beside it.
AREAS = {
    "encoding": "How a message is written down",
    "transport": "HTTP, TLS and proxies",
    "ca_answers": "GetCACaps, GetCACert and the CA's certificate",
    "request": "A request",
    "reply": "A reply",
    "behaviour": "How a server behaves",
    "server": "Servers and devices",
}


@dataclass(frozen=True, slots=True)
class Knowledge:
    """Everything that is known: findings and symptoms by id, clients and sources by key."""

    findings: Mapping[str, Finding]
    symptoms: Mapping[str, Symptom]
    clients: Mapping[str, str]
    sources: Mapping[str, str]

    def symptoms_of(self, finding: str) -> list[Symptom]:
        """What devices say where *finding* is the cause, those first that have it early on their list."""
        found = [one for one in self.symptoms.values() if finding in one.causes]
        return sorted(found, key=lambda one: one.causes.index(finding))


@cache
def knowledge() -> Knowledge:
    """Read all of it, once."""
    findings = [Finding(area=area, **table) for area in AREAS for table in _read(area)["finding"]]
    symptoms = [Symptom(**table) for table in _read("symptoms")["symptom"]]
    return Knowledge(
        findings={one.id: one for one in findings},
        symptoms={one.id: one for one in symptoms},
        clients=_read("clients"),
        sources=_read("sources"),
    )


def read_ids(area: str) -> list[str]:
    """The ids of the findings of an area as they stand in its file, so that one given twice shows."""
    return [table["id"] for table in _read(area)["finding"]]


def _read(name: str) -> dict[str, Any]:
    return tomllib.loads((FOLDER / f"{name}.toml").read_text("utf-8"))
