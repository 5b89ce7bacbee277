"""A class's reports as grades: a row for each student, a column for each exercise, and the reason where there is none.
Knows what may be recorded, and which cells a spreadsheet would run; knows no gradebook.
"""

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from grader.errors import UsageError
from grader.report.folder import Result
from grader.report.formats.safe import one_line, safe_report
from grader.report.formats.verdict import why_no_grade
from grader.report.model import Graded

# What begins so is a formula to a spreadsheet (OWASP, "CSV Injection"); the last four are the full-width forms of the
# first, which Excel takes for them in some languages.
_FORMULA = re.compile(r"[=+\-@\t\r\uff1d\uff0b\uff0d\uff20]")
_NUMBER = re.compile(r"-?[0-9]+([.,][0-9]+)?%?|-")  # `-` alone is a gradebook's word for no grade

_REFUSED_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Grades:
    """Reports that are grades, by student and exercise; and a sentence for each that is none."""

    students: Sequence[str]  # who have a grade at all
    exercises: Mapping[str, str]  # slug to title
    max_scores: Mapping[str, int]
    reports: Mapping[tuple[str, str], Graded]
    why_not: Mapping[tuple[str, str], str]  # of a report that is none
    left_out: Sequence[str]

    def holes(self) -> Iterable[tuple[str, str]]:
        """Who has a grade, but none of this exercise."""
        for student in self.students:
            for slug in self.exercises:
                if (student, slug) not in self.reports:
                    yield student, slug


def grades_of(results: Sequence[Result], *, unofficial: bool) -> Grades:
    """What of these reports may be recorded.

    Raises:
        UsageError: a grade is not official, and nobody said that such ones are wanted; or the reports of one exercise
            are worth different points.
    """
    reports: dict[tuple[str, str], Graded] = {}
    why_not: dict[tuple[str, str], str] = {}
    for result in results:
        report = safe_report(result.report)
        why = why_no_grade(report)
        if isinstance(report, Graded) and why is None:
            reports[result.student, report.exercise] = report
        else:
            why_not[result.student, report.exercise] = one_line(why or "")
    if not unofficial:
        _require_official(reports)
    _require_same_worth(reports)
    return Grades(
        students=sorted({student for student, _ in reports}),
        exercises={slug: report.title for (_, slug), report in sorted(reports.items())},
        max_scores={slug: report.max_score for (_, slug), report in reports.items()},
        reports=reports,
        why_not=why_not,
        left_out=[
            *(f"{student}, {slug}: no grade. {why}" for (student, slug), why in why_not.items()),
            *_mixed_checks(reports),
        ],
    )


def _require_official(reports: Mapping[tuple[str, str], Graded]) -> None:
    refused = [
        f"{who}, {slug}: {report.why_unofficial}" for (who, slug), report in reports.items() if report.why_unofficial
    ]
    if refused:
        more = f"; and {len(refused) - _REFUSED_SHOWN} more" if len(refused) > _REFUSED_SHOWN else ""
        raise UsageError(
            f"Not official: {'; '.join(refused[:_REFUSED_SHOWN])}{more}. "
            "Grade them again in a box, or say --unofficial."
        )


def _require_same_worth(reports: Mapping[tuple[str, str], Graded]) -> None:
    worth: dict[str, tuple[str, int]] = {}
    for (student, slug), report in reports.items():
        other, points = worth.setdefault(slug, (student, report.max_score))
        if points != report.max_score:
            raise UsageError(
                f"{slug} is worth {points} points in the report of {other} and {report.max_score} in that of "
                f"{student}. Grade both by the same checks."
            )


def _mixed_checks(reports: Mapping[tuple[str, str], Graded]) -> list[str]:
    digests: dict[str, set[str]] = {}
    for (_, slug), report in reports.items():
        digests.setdefault(slug, set()).add(report.checks_digest)
    return [
        f"{slug}: the reports were made by {len(found)} versions of its checks. Grade all by one of them."
        for slug, found in sorted(digests.items())
        if len(found) > 1
    ]


# --- cells --------------------------------------------------------------------------------------------------------


def cell(text: str) -> str:
    """Text for a cell: one line, safe, and no formula. A number stays what it is."""
    shown = one_line(text)
    return f"'{shown}" if _FORMULA.match(shown) and not _NUMBER.fullmatch(shown) else shown


def require_plain(students: Iterable[str]) -> None:
    """By these names a gradebook finds its students, so they cannot be altered.

    Raises:
        UsageError: a spreadsheet would take one for a formula, or Moodle's importer for none (PHP's `empty("0")`).
    """
    for student in students:
        if student == "0" or cell(student) != student or _FORMULA.match(student):
            raise UsageError(f"The student's folder {student!r} is no name for a gradebook's file. Rename it.")


def as_csv(rows: Iterable[Sequence[str]]) -> str:
    """RFC 4180, with line feeds."""
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(rows)
    return stream.getvalue()
