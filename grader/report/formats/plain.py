"""A report as the least that a tool may want: pass, fail or error for each check, without points.

The form is version 3 of the results.json of Exercism's test runners (exercism.org/docs/building/tooling/test-runners/
interface): `error` at the top is no verdict. A check that does not count is none of its three words, so it is left out
and named in the message.
"""

import json
from typing import Any

from grader.report.formats.safe import shortened
from grader.report.formats.verdict import remarks
from grader.report.model import Check, Graded, Outcome, Report

_VERSION = 3
_MESSAGE_CHARS = 4_000


def render(report: Report) -> str:
    status = ("pass" if report.passed else "fail") if isinstance(report, Graded) else "error"
    tests = [_test(check, report.language) for check in report.checks if check.outcome.counts]
    message = "\n".join(remarks(report)) or None
    result = {"version": _VERSION, "status": status, "message": message, "tests": tests}
    return json.dumps(result, ensure_ascii=False, indent=2) + "\n"


def _test(check: Check, language: str) -> dict[str, Any]:
    return {
        "name": f"{check.name}: {check.title}",
        "status": "pass" if check.outcome is Outcome.PASSED else "fail",
        "message": shortened(check.message(language), _MESSAGE_CHARS) or None,
    }
