"""What a report comes to when it must be said in one number, and what its reader has to know beside. Knows when there
is no such number; knows no form.

A report has no grade when there is no verdict, when only some checks were asked for, and when points could not be
counted here: whatever stood in the place of those points would be a zero, or a present.
"""

import re
from collections.abc import Iterable, Mapping

from grader.report.model import UNCOUNTED, Check, Graded, Outcome, Ungraded

FAILED = frozenset({Outcome.FAILED, Outcome.TIMED_OUT, Outcome.CRASHED, Outcome.FORBIDDEN, Outcome.NOT_RUN})

WORDS: Mapping[Outcome, str] = {
    Outcome.PASSED: "passed",
    Outcome.FAILED: "failed",
    Outcome.TIMED_OUT: "timed out",
    Outcome.CRASHED: "crashed",
    Outcome.FORBIDDEN: "forbidden",
    Outcome.NOT_RUN: "not run",
    Outcome.UNMEASURED: "unmeasured",
    Outcome.OMITTED: "omitted",
}

# A row of evidence that names a line of a file, as grader/box/inside.py writes it, or as Python does on standard error.
_PLACE = re.compile(r' *\| +(?:File ")?(?:[^":]*/)?(?P<file>[\w.-]+\.py)(?:", line |:)(?P<line>[1-9][0-9]{0,6})\b')


def why_no_grade(report: Graded | Ungraded) -> str | None:
    """Why this report is no grade, in a sentence; None when its score is one."""
    if isinstance(report, Ungraded):
        return f"There is no verdict: {report.reason}"
    if report.partial:
        return "Only some of the checks were run. Grade the submission again without --only."
    if uncounted := [check for check in report.checks if check.outcome in UNCOUNTED and check.points]:
        names = ", ".join(f"{check.name} ({WORDS[check.outcome]})" for check in uncounted)
        return (
            f"Only {report.measurable_score} of {report.max_score} points could be counted; not {names}. "
            "Grade the submission again on a machine that can measure the rest: `grade doctor` tells."
        )
    return "No check is worth any points." if report.max_score == 0 else None


def remarks(report: Graded | Ungraded) -> list[str]:
    """What a reader must know before the score is believed: whole sentences, the gravest first."""
    said = [] if (why := why_no_grade(report)) is None else [why]
    if isinstance(report, Graded) and (because := report.why_unofficial):
        said.append(f"Not official, because {because}.")
    if isinstance(report, Graded):
        quiet = [check.name for check in report.checks if check.outcome in UNCOUNTED and not check.points]
        if quiet:
            said.append(f"Not counted: {', '.join(quiet)}.")
    if report.sizes == "hidden":
        said.append("Graded with the instructor's hidden sizes.")
    return said


def headline(report: Graded | Ungraded) -> str:
    """The score in words, or that there is none."""
    name = f"{report.title} ({report.exercise})"
    return f"{name}: {report.score} of {report.max_score} points" if report.graded else f"{name}: no verdict"


def circumstances(report: Graded | Ungraded) -> dict[str, str]:
    """What a run was made under, by name: with these a grade can be looked at again."""
    return {
        "exercise": report.exercise,
        "isolation": "unproven" if report.isolation is None else str(report.isolation),
        "official": "yes" if report.official else "no",
        "sizes": report.sizes,
        "seed": str(report.seed),
        "checks_digest": report.checks_digest,
        "kit_version": report.kit_version,
    }


def place_of(check: Check, files: Iterable[str]) -> tuple[str, int] | None:
    """The file, one of `files`, and the line that the check's evidence names last: where the program was innermost."""
    known = set(files)
    places = [(one["file"], int(one["line"])) for one in map(_PLACE.match, check.message.split("\n")) if one]
    return next((place for place in reversed(places) if place[0] in known), None)
