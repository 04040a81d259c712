"""A report as JUnit has it, for the pages of a CI: a test case for each step."""

import xml.etree.ElementTree as ElementTree

from app.diagnosis.finding import Severity
from app.diagnosis.knowledge import Knowledge
from app.doctor.report import Entry, Report, StepResult


def junit(report: Report, known: Knowledge) -> bytes:
    """The XML document. A violation is a failure; a warning or a note stands in the output."""
    cases = [_case(step, report, known) for step in report.steps]
    suite = ElementTree.Element(
        "testsuite",
        name="scepbox doctor",
        hostname=report.url,
        tests=str(len(cases)),
        failures=str(sum(case.find("failure") is not None for case in cases)),
        errors="0",
        skipped=str(sum(case.find("skipped") is not None for case in cases)),
        time=f"{report.seconds:.3f}",
    )
    suite.extend(cases)
    suites = ElementTree.Element("testsuites")
    suites.append(suite)
    ElementTree.indent(suites)
    document: bytes = ElementTree.tostring(suites, encoding="utf-8", xml_declaration=True)
    return document + b"\n"


def _case(step: StepResult, report: Report, known: Knowledge) -> ElementTree.Element:
    case = ElementTree.Element(
        "testcase", classname="scepbox.doctor", name=step.name, time=f"{step.seconds:.3f}"
    )
    if step.skipped:
        ElementTree.SubElement(case, "skipped", message=_clean(step.skipped))
        return case
    shown = [entry for entry in report.entries if _first_step(entry, report) is step]
    wrong = [entry for entry in shown if entry.severity is Severity.VIOLATION]
    if wrong:
        failure = ElementTree.SubElement(
            case, "failure", type=wrong[0].finding.id, message=_clean(wrong[0].finding.what)
        )
        failure.text = "\n\n".join(_words(entry, known) for entry in wrong)
    rest = [entry for entry in shown if entry not in wrong]
    if rest:
        ElementTree.SubElement(case, "system-out").text = "\n\n".join(_words(entry, known) for entry in rest)
    return case


def _first_step(entry: Entry, report: Report) -> StepResult | None:
    """The step that showed it first: it is told once."""
    return next((step for step in report.steps if entry.seen[0] in step.found), None)


def _words(entry: Entry, known: Knowledge) -> str:
    finding = entry.finding
    told = f"{entry.severity} {finding.id}: {finding.what}\n{entry.why(known)}\nmend: {finding.fix}"
    return _clean(f"{told} ({finding.reference})")


def _clean(text: str) -> str:
    """Without the characters that XML 1.0 has no way to write."""
    return "".join(one if one.isprintable() or one == "\n" else " " for one in text)
