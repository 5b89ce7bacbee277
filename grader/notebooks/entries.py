"""What a class's reports come to in a gradebook: a score for each check's cell, and what the student reads. Knows the
rules by which reports may stand side by side, and that nbgrader shows a comment as Markdown; knows no table of its.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Final

from grader.errors import UsageError
from grader.notebooks.cells import ABSENT, NO_VERDICT, REFUSED, assignment, check_cell, check_of
from grader.report.folder import Result
from grader.report.model import Check, Graded, Outcome, Refusal, Refused, Ungraded
from grader.safe_text import safe_text

_NAME_CHARS: Final = 128  # of every name in nbgrader's tables; PostgreSQL refuses more
_COMMENT_CHARS: Final = 2_000  # of each check: a comment is read in a small box, the report has the rest
_FILES_NAMED: Final = 20


@dataclass(frozen=True, slots=True)
class Entry:
    """What one report says.

    Attributes:
        scores: by cell; None where there is no verdict.
        comment: what the student reads.
        refused: what is refused, and the cure; None when it was not refused.
        absent: nothing was handed in.
        graded_at: as the report's; None when it does not say.
        file: the report's.
    """

    student: str
    scores: Mapping[str, int | None]
    comment: str | None
    refused: str | None
    absent: bool
    graded_at: str | None
    file: Path


@dataclass(frozen=True, slots=True)
class Entries:
    """One exercise of the class. `points`, by cell, is empty when no report has a verdict: nobody knows its checks."""

    assignment: str
    points: Mapping[str, int]
    by_student: Mapping[str, Entry]


def entries_of(results: Sequence[Result], *, unofficial: bool) -> list[Entries]:
    """What these reports come to, an exercise each.

    Args:
        unofficial: take reports that are not official, or of some checks only.

    Raises:
        UsageError: they cannot stand side by side, or a name is none that a gradebook can hold.
    """
    if not unofficial:
        _refuse_unofficial(results)
    by_exercise = sorted(results, key=lambda result: result.report.exercise)
    found: dict[str, Entries] = {}
    for slug, group in groupby(by_exercise, key=lambda result: result.report.exercise):
        of_one = list(group)
        if not re.fullmatch(r"ex[0-9]{2,3}_[a-z0-9_]+", slug):  # nbgrader makes folders of it
            raise UsageError(f"{slug!a} is no name of an exercise, such as ex03_epoll. Grade the submission again.")
        name = assignment(slug)
        if name in found:
            raise UsageError(f"{of_one[0].file}: another exercise is called {name} too. Sync one of them at a time.")
        found[name] = _entries(name, of_one)
    return list(found.values())


def _refuse_unofficial(results: Sequence[Result]) -> None:
    """A report without a verdict brings no score, so nobody asks whether it is official."""
    refused = []
    for result in results:
        if isinstance(result.report, Graded) and (result.report.partial or not result.report.official):
            not_official = f"not official, because {result.report.why_unofficial}"
            why = "only some checks were asked for" if result.report.partial else not_official
            refused.append(f"{result.file}: {why}")
    if refused:
        raise UsageError(
            "These reports are no whole, official gradings, so nothing was written:\n"
            f"{listed(refused)}\n"
            "Grade these submissions again, in a box and without --only (`grade doctor` says what a box needs); "
            "or take them as they are with --unofficial."
        )


def _entries(name: str, results: Sequence[Result]) -> Entries:
    _refuse_mixture(name, results)
    graded = [result.report for result in results if isinstance(result.report, Graded)]
    points = {check_cell(check.name): check.points for report in graded for check in report.checks}
    for word in (*points, *(result.student for result in results)):
        if len(word) > _NAME_CHARS or word != safe_text(word):
            raise UsageError(f"{name}: a gradebook cannot hold the name {safe_text(word)!a}. Give it a shorter one.")
    by_student = {result.student: _entry(result, points) for result in sorted(results, key=lambda one: one.student)}
    return Entries(name, points, by_student)


def _refuse_mixture(name: str, results: Sequence[Result]) -> None:
    """Scores of different checks are no one class's scores."""
    files: dict[tuple[str, int], list[str]] = {}
    for result in results:
        if isinstance(result.report, Graded):
            worth = 0 if result.report.partial else result.report.max_score  # of some checks: nothing to compare
            files.setdefault((result.report.checks_digest, worth), []).append(str(result.file))
    whole = {digest for digest, worth in files if worth}
    kinds = [(digest, worth) for digest, worth in files if worth or digest not in whole]
    if len(kinds) > 1:
        groups = [f"checks {kind[0][:12]}, {kind[1] or 'some'} points:\n{listed(files[kind])}" for kind in kinds]
        raise UsageError(
            f"{name}: these reports were made by different checks, so their scores cannot stand side by side:\n"
            + "\n".join(groups)
            + "\nGrade all of them again with the course as it is now."
        )


def listed(lines: Sequence[str]) -> str:
    more = [f"and {len(lines) - _FILES_NAMED} more"] if len(lines) > _FILES_NAMED else []
    return "\n".join(f"  {line}" for line in [*lines[:_FILES_NAMED], *more])


def _entry(result: Result, points: Mapping[str, int]) -> Entry:
    report = result.report
    scores: Mapping[str, int | None] = {}
    said = list[str]()
    match report:
        case Refused(refusal=Refusal(absent=True)):
            said = [f"{ABSENT}, so there is nothing to grade."]
        case Refused(reason=reason):
            said = [f"{REFUSED} this was not graded, and that is no zero.", reason]
        case Ungraded(reason=reason):
            said = [f"{NO_VERDICT}, and this is no zero.", reason]
        case Graded(checks=checks, language=language):
            said = [_said(check, language) for check in checks if check.outcome is not Outcome.PASSED]
            scores = {check_cell(check.name): check.score for check in checks}
            missing = (check_of(cell) for cell in sorted(points.keys() - scores.keys()) if points[cell])
            said += [f"{check}: not asked for in this grading, so there is no verdict" for check in missing]
    if report.graded_at is not None:
        said.append(_stamp(report.graded_at, report.submission_digest))
    return Entry(
        student=result.student,
        scores=scores,
        comment=_comment(said),
        refused=report.reason if isinstance(report, Refused) and not report.refusal.absent else None,
        absent=isinstance(report, Refused) and report.refusal.absent,
        graded_at=report.graded_at,
        file=result.file,
    )


def _stamp(graded_at: str, digest: str | None) -> str:
    """The last line of a comment: which submission it is about."""
    return f"Submission {'' if digest is None else f'{digest[:12]} '}read at {graded_at}"


def stamped(comment: str | None) -> tuple[str, str | None]:
    """A comment without its stamp, and when the submission was read that it is about; None when it does not say. Its
    last line is ours, so no words of a student's program are taken for it.
    """
    before, _, last = (comment or "").rpartition("\n")
    found = re.fullmatch(r" {4}Submission (?:[0-9a-f]{12} )?read at (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)", last)
    return (before.rstrip(), found[1]) if found else (comment or "", None)


def _said(check: Check, language: str) -> str:
    worth = "no verdict, and no zero" if not check.outcome.counts else f"0 of {check.points}"
    # Cut as a whole and not by the line, here and below: a hint, or the reason for no verdict, is a paragraph on one.
    text = safe_text(check.message(language), max_chars=_COMMENT_CHARS, max_line=_COMMENT_CHARS)
    message = "".join(f"\n  {line}" for line in text.splitlines())
    return f"{check.name}: {check.title} ({check.outcome.word}, {worth}){message}"


def _comment(parts: Sequence[str]) -> str | None:
    """nbgrader makes HTML of a comment as if it were Markdown, and lets tags in it stand. It escapes what is code, and
    that is what a line is that stands four spaces in: so each one does, as a student's program may have printed it."""
    text = "\n\n".join(safe_text(part, max_line=_COMMENT_CHARS) for part in parts)
    return "\n".join(f"    {line}" for line in text.splitlines()) or None
