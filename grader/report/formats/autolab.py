r"""A report as what Autolab's driver prints: words for the student, then feedback as JSON in the line before the last,
then the scores as JSON in the last line (docs/lab.md and docs/features/formatted-feedback.md in autolab/Autolab).

The assessment has one problem, named as the exercise. Autolab's parser rewrites the last line before it reads it:
every `word:` becomes `"word":`, in texts too (parseAutoresult in app/helpers/assessment_autograde_core.rb), so a colon
in a text is written \u003a. A line without scores, or with an unknown problem, gives every problem a 0 (saveAutograde,
same file); a score that is null is kept as no score. That is what becomes of a report that is no grade.
"""

import json
import re
from typing import Any

from grader.report.formats.safe import shortened
from grader.report.formats.verdict import headline, remarks, why_no_grade
from grader.report.model import Check, Graded, Outcome, Report

_MESSAGE_CHARS = 8_000
_HINT_CHARS = 500
_STAGE = "Checks"


def render(report: Report) -> str:
    feedback = {
        "_presentation": "semantic",
        "stages": [_STAGE],
        _STAGE: {
            f"{check.name}: {check.title}": _case(check, report.language)
            for check in report.checks
            if check.outcome.counts
        },
    }
    score = report.score if isinstance(report, Graded) and why_no_grade(report) is None else None
    scores = json.dumps({"scores": {report.exercise: score}}, ensure_ascii=False)
    told = [line for check in report.checks for line in _words(check, report.language)]
    words = [headline(report), *remarks(report), "", *told]
    return "\n".join([*words, "", json.dumps(feedback, ensure_ascii=False), _without_colons(scores)]) + "\n"


def _case(check: Check, language: str) -> dict[str, Any]:
    if check.outcome is Outcome.PASSED:
        return {"passed": True}
    return {"passed": False, "hint": shortened(check.message(language), _HINT_CHARS) or check.outcome.word}


def _words(check: Check, language: str) -> list[str]:
    """A line for the check, and its message behind a margin, so that no line of it can pass for one of ours."""
    message = check.message(language)
    said = shortened(message, _MESSAGE_CHARS).split("\n") if message else []
    return [f"{check.outcome.word}: {check.name}: {check.title}", *(f"    {line}".rstrip() for line in said)]


def _without_colons(document: str) -> str:
    """The same JSON, with each colon inside of a text as an escape."""
    return re.sub(r'"(?:[^"\\]|\\.)*"', lambda text: text[0].replace(":", "\\u003a"), document)
