"""What docs/metrics.md and the dashboard say of the metrics is what there is."""

import json
import re
from collections.abc import Iterator

import promql_parser
import pytest

from app.http.traffic import Closed, TurnedAway
from app.metrics.catalogue import CATALOGUE, Kind, Metric
from app.metrics.clients import FAMILIES
from app.metrics.exposition import expose
from ca.algorithms.ciphers import DES_CBC, DES_EDE3_CBC
from ca.algorithms.digests import DIGESTS
from ca.algorithms.levels import CryptoLevel
from ca.laps import Stage
from tests.world import ROOT

DOCUMENT = (ROOT / "docs" / "metrics.md").read_text("utf-8")
DASHBOARD = json.loads((ROOT / "deploy" / "grafana" / "scepbox.json").read_text("utf-8"))
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
# What Grafana puts in their places.
VARIABLES = {"$__rate_interval": "5m", "$__range": "6h", "$instance": "a|b", "$profile": "default"}
# What Prometheus adds to whatever it scrapes.
_OF_PROMETHEUS = {"instance", "job"}
BY_SAMPLE: dict[str, Metric] = {
    f"{one.name}{suffix}": one
    for one in CATALOGUE
    for suffix in (("_bucket", "_count", "_sum") if one.kind is Kind.HISTOGRAM else ("",))
}


def alerts() -> dict[str, str]:
    """The expression of each alert in the document."""
    block = DOCUMENT.partition("groups:\n")[2].partition("```")[0]
    found = re.findall(r"- alert: (\w+).*\n +expr: (?:>-\n)?((?:.+\n)(?: {10}\S.+\n)*)", block)
    return {name: " ".join(text.split()) for name, text in found}


def queries() -> Iterator[str]:
    """Every expression of the dashboard, as Prometheus gets it."""
    for panel in PANELS:
        for target in panel["targets"]:
            text = target["expr"]
            for name, value in VARIABLES.items():
                text = text.replace(name, value)
            yield text


@pytest.mark.parametrize("expression", [*alerts().values(), *queries()])
def test_each_expression_is_promql_over_metrics_and_labels_that_there_are(expression: str) -> None:
    """One that names what is not there shows nothing and alerts at nothing, and nobody notices."""
    named: list[promql_parser.VectorSelector] = []
    grouped: set[str] = set()

    def visit(part: promql_parser.Expr) -> bool:
        match part:
            case promql_parser.VectorSelector():
                named.append(part)
            case promql_parser.MatrixSelector():
                named.append(part.vector_selector)
            case promql_parser.AggregateExpr() if part.modifier is not None:
                grouped.update(part.modifier.labels)
        return True

    promql_parser.walk(promql_parser.parse(expression), visit)

    assert named
    for selector in named:
        labels = {matcher.name for matcher in selector.matchers.matchers}
        if selector.name == "up":
            assert labels <= _OF_PROMETHEUS
            continue
        assert selector.name in BY_SAMPLE
        metric = BY_SAMPLE[selector.name]
        known = {*metric.labels, *_OF_PROMETHEUS, *(["le"] if metric.kind is Kind.HISTOGRAM else [])}
        assert labels | grouped <= known


def test_every_alert_of_the_document_is_looked_at() -> None:
    """The lines are found by their form."""
    assert len(alerts()) == DOCUMENT.count("- alert: ") > 10


def test_counters_are_asked_for_their_rise_alone() -> None:
    """Their value means nothing: a restart begins at zero."""
    for expression in (*alerts().values(), *queries()):
        for name in re.findall(r"scepbox_\w+(?:_total|_bucket|_sum)\b", expression):
            assert re.search(rf"(rate|increase)\({name}\b", expression), expression


def test_every_metric_stands_in_the_document_as_it_is() -> None:
    """Name, labels, type and meaning, each in one row."""
    rows = re.findall(r"(?m)^\| `(scepbox_\w+)` \| (.*) \| (\w+) \| (.*) \|$", DOCUMENT)

    assert rows == [
        (one.name, ", ".join(f"`{label}`" for label in one.labels) or "–", one.kind, one.help)
        for one in CATALOGUE
    ]


def test_every_value_of_a_label_stands_in_the_document() -> None:
    """Whoever writes an alert has to know what there may be."""
    weak = {one.name for one in DIGESTS if not CryptoLevel.MODERN.accepts_digest(one)}
    ciphers = {DES_CBC.name, DES_EDE3_CBC.name}

    for value in (*Stage, *FAMILIES, *weak, *ciphers, *TurnedAway, *Closed):
        assert f"`{value}`" in DOCUMENT, value


def test_the_dashboard_can_be_imported() -> None:
    """What Grafana asks of a file: panels of their own numbers and places, and a choice of data source."""
    assert DASHBOARD["title"] == "scepbox"
    assert DASHBOARD["schemaVersion"] >= 39
    numbers = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(numbers)) == len(numbers)
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells
    for panel in PANELS:
        assert panel["datasource"]["uid"] == "${datasource}"
        assert panel["description"]
        assert [target["refId"] for target in panel["targets"]] == ["A", "B"][: len(panel["targets"])]
    variables = {one["name"]: one for one in DASHBOARD["templating"]["list"]}
    assert set(variables) == {"datasource", "instance", "profile"}
    for name in ("instance", "profile"):
        metric, label = re.findall(r"label_values\((\w+), (\w+)\)", variables[name]["definition"])[0]
        assert label in {*BY_SAMPLE[metric].labels, *_OF_PROMETHEUS}


def test_every_metric_that_means_something_to_people_is_on_the_dashboard() -> None:
    """What is counted and shown nowhere is found by nobody."""
    shown = {BY_SAMPLE[name].name for text in queries() for name in re.findall(r"scepbox_\w+", text)}
    elsewhere = {
        "scepbox_build_info",
        "scepbox_left_out_total",
        "scepbox_validator_last_failure_timestamp_seconds",
    }

    assert {one.name for one in CATALOGUE} - shown == elsewhere


def test_a_metric_without_samples_is_told_all_the_same() -> None:
    """So that a query for it is known to be right before anything has happened."""
    body, _ = expose({}, "")

    for one in CATALOGUE:
        assert f"# HELP {one.name} {one.help}.\n# TYPE {one.name} {one.kind}\n" in body.decode()
