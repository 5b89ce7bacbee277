"""A report in the form that another tool reads, one module a tool; here are their names, and the one way in.

Knows the names and what each form is for. Nothing here knows how a verdict was reached, what was typed, or files.
Every text of a report is made safe before a renderer sees it, whoever wrote the report; a renderer then escapes for its
own form. The renderers are imported when they are needed: the command line asks for the names alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from grader.report.folder import Result
    from grader.report.model import Report


@dataclass(frozen=True, slots=True)
class Format:
    """What a person must know of a form before choosing it."""

    purpose: str
    joinable: bool = False  # the texts of several reports, one behind another, are a text of this form
    appends: bool = False  # it goes behind what the file holds already, as GitHub's runner wants it
    of_class: bool = False  # it tells of a class, not of one report


FORMATS: Mapping[str, Format] = {
    "json": Format("the report itself, whole"),
    "junit": Format("JUnit XML, for CI and editors"),
    "github": Format("GitHub annotations, for standard output in a workflow", joinable=True),
    "github-summary": Format("Markdown for $GITHUB_STEP_SUMMARY", joinable=True, appends=True),
    "classroom": Format("GitHub Classroom's `result`, for $GITHUB_OUTPUT", appends=True),
    "gradescope": Format("Gradescope's results.json"),
    "prairielearn": Format("PrairieLearn's results.json"),
    "autolab": Format("standard output of Autolab's driver"),
    "text": Format("plain text, as on the screen: for a student, or a mail", joinable=True),
    "plain": Format("pass, fail or error for each check, as Exercism's results.json"),
    "canvas": Format("a class's grades as CSV for Canvas", of_class=True),
    "moodle": Format("a class's grades as CSV for Moodle", of_class=True),
}


@dataclass(frozen=True, slots=True)
class Context:
    """What a report does not say and a form may show."""

    # Where the files that were handed in lie: name as in the report's evidence to path in the repository, with `/`.
    files: Mapping[str, str] = field(default_factory=dict)


def render(name: str, report: "Report", context: Context | None = None) -> str:
    """The report in that form, which is one of `FORMATS` that is not of a class. It ends with a line feed."""
    from grader.report.formats import autolab, classroom, github, gradescope, junit, plain, prairielearn, text
    from grader.report.formats.safe import one_line, safe_report
    from grader.report.model import to_json

    report = safe_report(report)
    files = {} if context is None else {file: one_line(path) for file, path in context.files.items()}
    match name:
        case "json":
            return to_json(report) + "\n"
        case "junit":
            return junit.render(report)
        case "github":
            return github.annotations(report, files)
        case "github-summary":
            return github.summary(report)
        case "classroom":
            return classroom.render(report, files)
        case "gradescope":
            return gradescope.render(report)
        case "prairielearn":
            return prairielearn.render(report)
        case "autolab":
            return autolab.render(report)
        case "text":
            return text.render(report)
        case "plain":
            return plain.render(report)
    raise ValueError(f"{name!r} is no form of one report")


@dataclass(frozen=True, slots=True)
class Roster:
    """A gradebook that Canvas exported: what it is called in messages, and its text."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Sheet:
    """A class's grades as text, and sentences for whoever imports it."""

    text: str
    left_out: Sequence[str]  # reports that came to nothing here: the student and the reason
    notes: Sequence[str] = ()  # nothing is lost, but it may be a surprise


def render_class(
    name: str, results: "Sequence[Result]", *, unofficial: bool = False, roster: Roster | None = None
) -> Sheet:
    """The reports of a class in that form, which is one of `FORMATS` that is of a class.

    Raises:
        UsageError: a report is not official and `unofficial` was not said; the roster is no export of Canvas's, or
            contradicts the reports; a student's name would be taken for a formula.
    """
    from grader.report.formats import canvas, moodle
    from grader.report.formats.grades import grades_of

    grades = grades_of(results, unofficial=unofficial)
    match name:
        case "canvas":
            return canvas.render(grades, roster)
        case "moodle":
            return moodle.render(grades)
    raise ValueError(f"{name!r} is no form of a class")
