"""A class's grades as the CSV that Moodle's gradebook imports: who, then a grade and a feedback for each exercise.

Read in grade/import/csv/classes/load_data.php of moodle/moodle: which column says who, and which is which grade, is
chosen in the form of the import. `-` is no grade, and clears one that Moodle holds; blank is no grade in a column that
is there already, but a value in a new one. One unknown student ends the whole import. The feedback is shown as HTML.
"""

import html

from grader.report.formats import Sheet
from grader.report.formats.grades import Grades, as_csv, cell, require_plain
from grader.report.formats.verdict import remarks
from grader.report.model import Graded

_NO_GRADE = "-"


def render(grades: Grades) -> Sheet:
    require_plain(grades.students)
    header = ["Student", *(word for slug in grades.exercises for word in (cell(slug), f"{cell(slug)} feedback"))]
    rows = [header]
    for student in grades.students:
        row = [student]
        for slug in grades.exercises:
            report = grades.reports.get((student, slug))
            why = html.escape(cell(grades.why_not.get((student, slug), "")))
            row += (_NO_GRADE, why) if report is None else (str(report.score), _feedback(report))
        rows.append(row)
    cleared = [
        f"{student}, {slug}: the cell is `-`, and Moodle clears what it holds. Give --exercise."
        for student, slug in grades.holes()
    ]
    return Sheet(as_csv(rows), [*grades.left_out, *cleared])


def _feedback(report: Graded) -> str:
    failed = [check.name for check in report.checks if check.outcome.loses_points]
    said = [f"{report.score} of {report.max_score} points."]
    said += [f"Not passed: {', '.join(failed)}."] if failed else []
    said += [*remarks(report), f"Seed {report.seed}."]
    return html.escape(cell(" ".join(said)), quote=False)
