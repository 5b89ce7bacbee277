"""A report as PrairieLearn's results.json (docs/externalGrading.md in PrairieLearn/PrairieLearn).

`gradable: false` is an answer that costs neither points nor an attempt, and then there must be no `score`, not even a
null one: the results' page calculates with it. The points of the tests are shown only if every test has them. A file of
more than 1 MB is refused.
"""

import json
from typing import Any

from grader.report.formats.safe import shortened
from grader.report.formats.verdict import headline, remarks, why_no_grade
from grader.report.model import Check, Graded, Report, ScoredCheck

_MOST_BYTES = 900_000
_MESSAGE_CHARS = 8_000


def render(report: Report) -> str:
    text = _rendered(report, _MESSAGE_CHARS)
    return text if len(text.encode()) <= _MOST_BYTES else _rendered(report, 0)


def _rendered(report: Report, message_chars: int) -> str:
    why = why_no_grade(report)
    result: dict[str, Any] = {"gradable": why is None}
    if why is not None:
        result["format_errors"] = [why]
    elif isinstance(report, Graded):
        result["score"] = report.score / report.max_score
    result["message"] = "\n".join([headline(report), *remarks(report)])
    result["tests"] = [_test(report, check, message_chars, recordable=why is None) for check in report.checks]
    return json.dumps(result, ensure_ascii=False, indent=2) + "\n"


def _test(report: Report, check: Check, message_chars: int, *, recordable: bool) -> dict[str, Any]:
    test: dict[str, Any] = {"name": check.name, "description": check.title}
    if recordable and isinstance(check, ScoredCheck):  # what is not counted here is worth no points: 0 of 0
        test |= {"points": check.score or 0, "max_points": check.points}
    if said := shortened(check.message(report.language), message_chars):
        test["message"] = said
    return test
