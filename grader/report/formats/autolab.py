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
from grader.report.formats.verdict import WORDS, headline, remarks, why_no_grade
from grader.report.model import UNCOUNTED, Check, Graded, Outcome, Ungraded

_MESSAGE_CHARS = 8_000
_HINT_CHARS = 500
_STAGE = "Checks"


def render(report: Graded | Ungraded) -> str:
    feedback = {
        "_presentation": "semantic",
        "stages": [_STAGE],
        _STAGE: {f"{check.name}: {check.title}": _case(check) for check in report.checks if _counts(check)},
    }
    score = report.score if isinstance(report, Graded) and why_no_grade(report) is None else None
    scores = json.dumps({"scores": {report.exercise: score}}, ensure_ascii=False)
    words = [headline(report), *remarks(report), "", *(line for check in report.checks for line in _words(check))]
    return "\n".join([*words, "", json.dumps(feedback, ensure_ascii=False), _without_colons(scores)]) + "\n"


def _counts(check: Check) -> bool:
    return check.outcome not in UNCOUNTED


def _case(check: Check) -> dict[str, Any]:
    if check.outcome is Outcome.PASSED:
        return {"passed": True}
    return {"passed": False, "hint": shortened(check.message, _HINT_CHARS) or WORDS[check.outcome]}


def _words(check: Check) -> list[str]:
    """A line for the check, and its message behind a margin, so that no line of it can pass for one of ours."""
    said = shortened(check.message, _MESSAGE_CHARS).split("\n") if check.message else []
    return [f"{WORDS[check.outcome]}: {check.name}: {check.title}", *(f"    {line}".rstrip() for line in said)]


def _without_colons(document: str) -> str:
    """The same JSON, with each colon inside of a text as an escape."""
    return re.sub(r'"(?:[^"\\]|\\.)*"', lambda text: text[0].replace(":", "\\u003a"), document)
