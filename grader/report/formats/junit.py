"""A report as JUnit XML: one suite an exercise, one case a check.

The form is what `junitparser`, Jenkins and GitLab read in common (testsuites, testsuite, properties, testcase with
failure, error or skipped); there is no standard. `error` is kept for what is not the student's: no verdict.

XML 1.0 has no place for control characters, not even escaped ones (section 2.2); safe text holds none.
"""

from xml.etree import ElementTree as ET

from grader.report.formats.verdict import circumstances, headline, remarks
from grader.report.model import Check, Graded, Outcome, Ungraded

_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>'


def render(report: Graded | Ungraded) -> str:
    cases = [_case(report, check) for check in report.checks]
    if isinstance(report, Ungraded):
        verdict = ET.Element("testcase", classname=report.exercise, name="verdict", time="0.000")
        broke = ET.SubElement(verdict, "error", type="no_verdict", message="There is no verdict.")
        broke.text = report.reason
        cases.append(verdict)
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


def _case(report: Graded | Ungraded, check: Check) -> ET.Element:
    case = ET.Element("testcase", classname=report.exercise, name=check.name, time=f"{check.duration_s:.3f}")
    said = f"{check.title}: {check.outcome.word}"
    if check.outcome is not Outcome.PASSED:
        kind = "failure" if check.outcome.failed else "skipped"
        ET.SubElement(case, kind, type=check.outcome, message=said).text = check.message(report.language)
    return case
