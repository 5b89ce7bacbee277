"""A report as a runner of GitHub Classroom hands it on: the line `result=BASE64` for $GITHUB_OUTPUT.

The keys are those of the runners, as `classroom-resources/autograding-grading-reporter` reads them
(src/console-results.js, src/notify-classroom.js):

* what it prints in the log is passed tests of all tests, in points; what it tells Classroom is the sum of the scores;
* it reads `tests.length` and adds up `tests[].score` whatever the status is, so both are always there, and integers;
* it tells Classroom nothing when `max_score` is 0, and fails the job by the word `error`: that is what becomes of a
  report that is no grade;
* the result goes to it in one environment variable, and Linux starts no program with one of 128 KiB or more
  (MAX_ARG_STRLEN): long messages are cut.
"""

import base64
import json
from collections.abc import Mapping
from typing import Any

from grader.report.formats.safe import shortened
from grader.report.formats.verdict import place_of, remarks, why_no_grade
from grader.report.model import Graded, Outcome, Refused, Report, ScoredCheck

_VERSION = 3
_MESSAGE_CHARS = 500
_MOST_BYTES = 90_000  # 120,000 in base64


def render(report: Report, files: Mapping[str, str]) -> str:
    data = _encoded(report, files, _MESSAGE_CHARS)
    if len(data) > _MOST_BYTES:
        data = _encoded(report, files, 0)
    return f"result={base64.b64encode(data).decode('ascii')}\n"


def without_report() -> str:
    """The value of `result` for a step that has written none: it was killed, or the kit did not start. An empty one
    ends the reporter, and with it what every other exercise of the push has earned.
    """
    said = "There is no verdict, and this is no zero: the grading did not end. The log of its step says more."
    return base64.b64encode(json.dumps(_none("no grade", said)).encode()).decode("ascii")


def _encoded(report: Report, files: Mapping[str, str], message_chars: int) -> bytes:
    return json.dumps(_result(report, files, message_chars), ensure_ascii=False).encode()


def _result(report: Report, files: Mapping[str, str], message_chars: int) -> dict[str, Any]:
    why = why_no_grade(report)
    if not isinstance(report, Graded) or why is not None:
        said = shortened(why or "", _MESSAGE_CHARS)
        return _none(report.word if isinstance(report, Refused) else "no grade", said)
    counted = [check for check in report.checks if check.outcome.counts]
    return {
        "version": _VERSION,
        "status": "pass" if report.passed else "fail",
        "max_score": report.max_score,
        "message": shortened("\n".join(remarks(report)), _MESSAGE_CHARS) or None,
        "tests": [_test(report, check, files, message_chars) for check in counted],
    }


def _none(name: str, said: str) -> dict[str, Any]:
    test = {"name": name, "status": "error", "message": said, "test_code": "", "line_no": 0, "score": 0}
    return {"version": _VERSION, "status": "error", "max_score": 0, "message": said, "tests": [test]}


def _test(report: Graded, check: ScoredCheck, files: Mapping[str, str], message_chars: int) -> dict[str, Any]:
    place = place_of(check, files)
    return {
        "name": f"{check.name}: {check.title}",
        "status": "pass" if check.outcome is Outcome.PASSED else "fail",
        "message": shortened(check.message(report.language), message_chars) or None,
        "test_code": "",
        "filename": files[place[0]] if place else "",
        "line_no": place[1] if place else 0,
        "score": check.score or 0,
        "duration": round(check.duration_s, 3),
    }
