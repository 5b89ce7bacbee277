"""A report as Gradescope's results.json (gradescope-autograders.readthedocs.io, "Autograder Specifications").

A test without `score` is shown and counts for nothing. Neither at the top nor in any test a score: Gradescope calls the
run a failed autograder, which its submission metadata tells apart from a score (`autograder_error`) and does not count
as an attempt. That is what becomes of a report that is no grade.
"""

import json
from typing import Any

from grader.report.formats.safe import shortened
from grader.report.formats.verdict import circumstances, headline, remarks, why_no_grade
from grader.report.model import Check, Graded, Outcome, Report, ScoredCheck

_MESSAGE_CHARS = 8_000


def render(report: Report) -> str:
    recordable = why_no_grade(report) is None
    result: dict[str, Any] = {
        "execution_time": round(sum(check.duration_s for check in report.checks), 3),
        "output": "\n".join([headline(report), *remarks(report)]),
        "output_format": "text",
        "test_output_format": "text",
        "test_name_format": "text",
        "extra_data": circumstances(report),
        "tests": [_test(report, check, recordable=recordable) for check in report.checks],
    }
    if isinstance(report, Graded) and recordable:
        result["score"] = report.score
    return json.dumps(result, ensure_ascii=False, indent=2) + "\n"


def _test(report: Report, check: Check, *, recordable: bool) -> dict[str, Any]:
    test: dict[str, Any] = {
        "name": f"{check.name}: {check.title}",
        "output": shortened(check.message(report.language), _MESSAGE_CHARS) or check.outcome.word,
    }
    if check.outcome.counts:
        test["status"] = "passed" if check.outcome is Outcome.PASSED else "failed"
        if recordable and isinstance(check, ScoredCheck):
            test |= {"score": check.score, "max_score": check.points}
    return test
