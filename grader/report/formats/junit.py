"""A report as JUnit XML: one suite an exercise, one case a check.

The form is what `junitparser`, Jenkins and GitLab read in common (testsuites, testsuite, properties, testcase with
failure, error or skipped); there is no standard. `error` is kept for what is no check's: there is no verdict, or the
submission was refused, which its `type` tells apart.

XML 1.0 has no place for control characters, not even escaped ones (section 2.2); safe text holds none.
"""

from xml.etree import ElementTree as ET

from grader.report.formats.verdict import circumstances, headline, remarks
from grader.report.model import Check, Graded, Outcome, Refused, Report, Ungraded

_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>'


def render(report: Report) -> str:
    cases = [_case(report, check) for check in report.checks]
    if isinstance(report, Refused):
        if report.refusal.absent:
            cases.append(_none(report, "submission", "absent", "Nothing was handed in."))
        else:
            cases.append(_none(report, "submission", "refused", "The submission is refused, and this is no zero."))
    elif isinstance(report, Ungraded):
        cases.append(_none(report, "verdict", "no_verdict", "There is no verdict."))
    numbers = {
        "tests": str(len(cases)),
        "failures": str(sum(case.find("failure") is not None for case in cases)),
        "errors": str(sum(case.find("error") is not None for case in cases)),
        "skipped": str(sum(case.find("skipped") is not None for case in cases)),
        "time": f"{sum(check.duration_s for check in report.checks):.3f}",
    }
    root = ET.Element("testsuites", {"name": "tracegrade", **numbers})
    suite = ET.SubElement(root, "testsuite", {"name": report.exercise, **numbers})
    properties = ET.SubElement(suite, "properties")
    for name, value in circumstances(report).items():
        ET.SubElement(properties, "property", name=name, value=value)
    if isinstance(report, Graded):
        for name in ("score", "max_score", "measurable_score"):
            ET.SubElement(properties, "property", name=name, value=str(getattr(report, name)))
    suite.extend(cases)
    ET.SubElement(suite, "system-out").text = "\n".join([headline(report), *remarks(report)])
    ET.indent(root)
    return f"{_DECLARATION}\n{ET.tostring(root, encoding='unicode')}\n"


def _none(report: Refused | Ungraded, name: str, kind: str, said: str) -> ET.Element:
    """The case that stands for the whole grading."""
    place = {}
    if isinstance(report, Refused) and report.refusal.file is not None:
        place = {"file": report.refusal.file} | ({"line": str(report.refusal.line)} if report.refusal.line else {})
    case = ET.Element("testcase", {"classname": report.exercise, "name": name, "time": "0.000", **place})
    ET.SubElement(case, "error", type=kind, message=said).text = report.reason
    return case


def _case(report: Report, check: Check) -> ET.Element:
    case = ET.Element("testcase", classname=report.exercise, name=check.name, time=f"{check.duration_s:.3f}")
    said = f"{check.title}: {check.outcome.word}"
    if check.outcome is not Outcome.PASSED:
        kind = "failure" if check.outcome.failed else "skipped"
        ET.SubElement(case, kind, type=check.outcome, message=said).text = check.message(report.language)
    return case
