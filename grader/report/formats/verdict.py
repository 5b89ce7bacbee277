"""What a report comes to when it must be said in one number, and what its reader has to know beside. Knows when there
is no such number; knows no form.

A report has no grade when the submission was refused, when there is no verdict, when only some checks were asked for,
and when points could not be counted here: whatever stood in the place of those points would be a zero, or a present.
"""

from collections.abc import Iterable

from grader.report.model import Check, Graded, Refused, Report, Ungraded


def why_no_grade(report: Report) -> str | None:
    """Why this report is no grade, in a sentence; None when its score is one."""
    if isinstance(report, Refused) and report.refusal.absent:
        return f"There is no submission, so this is no grade: {report.reason}"
    if isinstance(report, Refused):
        return f"The submission is refused, and this is no zero: {report.reason}"
    if isinstance(report, Ungraded):
        return f"There is no verdict: {report.reason}"
    if report.partial:
        return "Only some of the checks were run. Grade the submission again without --only."
    if uncounted := [check for check in report.checks if not check.outcome.counts and check.points]:
        names = ", ".join(f"{check.name} ({check.outcome.word})" for check in uncounted)
        return (
            f"Only {report.measurable_score} of {report.max_score} points could be counted; not {names}. "
            "Grade the submission again on a machine that can measure the rest: `grade doctor` tells."
        )
    return "No check is worth any points." if report.max_score == 0 else None


def remarks(report: Report) -> list[str]:
    """What a reader must know before the score is believed: whole sentences, the gravest first."""
    said = [] if (why := why_no_grade(report)) is None else [why]
    if isinstance(report, Graded) and (because := report.why_unofficial):
        said.append(f"Not official, because {because}.")
    if isinstance(report, Graded):
        quiet = [check.name for check in report.checks if not check.outcome.counts and not check.points]
        if quiet:
            said.append(f"Not counted: {', '.join(quiet)}.")
    if report.sizes == "hidden":
        said.append("Graded with the instructor's hidden sizes.")
    return said


def headline(report: Report) -> str:
    """The score in words, or that there is none."""
    name = f"{report.title} ({report.exercise})"
    if isinstance(report, Graded):
        return f"{name}: {report.score} of {report.max_score} points"
    return f"{name}: {report.word if isinstance(report, Refused) else 'no verdict'}"


def circumstances(report: Report) -> dict[str, str]:
    """What a run was made under, by name: with these a grade can be looked at again."""
    known = {"graded_at": report.graded_at, "submission_digest": report.submission_digest}
    return {
        "exercise": report.exercise,
        "isolation": "unproven" if report.isolation is None else str(report.isolation),
        "official": "yes" if report.official else "no",
        "sizes": report.sizes,
        "seed": str(report.seed),
        "checks_digest": report.checks_digest,
        "kit_version": report.kit_version,
        **{name: value for name, value in known.items() if value is not None},
    }


def place_of(check: Check, files: Iterable[str]) -> tuple[str, int] | None:
    """The file, one of `files`, and the line that the check's evidence names last: where the program was innermost."""
    known = set(files)
    rows = check.failure.evidence if check.failure is not None else ()
    places = [(row.file, row.line) for row in rows if row.file is not None and row.line is not None]
    return next((place for place in reversed(places) if place[0] in known), None)
