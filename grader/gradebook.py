"""Reports into the gradebook of nbgrader. Knows the rules of what is written, and nbgrader's tables; knows nothing of
how a verdict is reached, nor of databases, and never reads nbgrader's notebooks.

nbgrader's own class `Gradebook` commits at every step and starts the program `alembic` to make a new database
(nbgrader/api.py). So its tables are used without it: one connection, one transaction, from the first look to the last
row, and the tables of a new gradebook are part of it. Whatever ends a sync early leaves the gradebook as it was.

Every check is a grade cell, also one that is worth nothing: so the gradebook is the one that a notebook made for the
same exercise would make. Comments hang on the solution cell, where nbgrader shows them.
"""

import importlib
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from grader.cells import SOLUTION, assignment, check_cell, check_of
from grader.database import INSTALL, transaction, without_password
from grader.errors import UsageError
from grader.report import UNCOUNTED, Check, Graded, Outcome, Ungraded
from grader.results import Result
from grader.safetext import safe_text

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.orm import Session

_COURSE: Final = "default_course"  # what nbgrader's SaveCells and autograde open a gradebook with
_NAME_CHARS: Final = 128  # of every name in nbgrader's tables; PostgreSQL refuses more
_COMMENT_CHARS: Final = 2_000  # of each check: a comment is read in a small box, the report has the rest
_FILES_NAMED: Final = 20
_EXPORTER: Final = "grader.autograde.ExportVerdicts"  # leaves a score empty where there is no verdict


# --- from reports to what is written --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Entry:
    """What one report says: a score by cell, None where there is no verdict, and what the student reads."""

    student: str
    scores: Mapping[str, int | None]
    comment: str | None


@dataclass(frozen=True, slots=True)
class _Sheet:
    """One exercise of the class. `points`, by cell, is empty when no report has a verdict: nobody knows its checks."""

    assignment: str
    points: Mapping[str, int]
    entries: Mapping[str, _Entry]


def _sheets(results: Sequence[Result], *, unofficial: bool) -> list[_Sheet]:
    if not unofficial:
        _refuse_unofficial(results)
    by_exercise = sorted(results, key=lambda result: result.report.exercise)
    sheets: dict[str, _Sheet] = {}
    for slug, group in groupby(by_exercise, key=lambda result: result.report.exercise):
        of_one = list(group)
        if not re.fullmatch(r"ex[0-9]{2,3}_[a-z0-9_]+", slug):  # nbgrader makes folders of it
            raise UsageError(f"{slug!a} is no name of an exercise, such as ex03_epoll. Grade the submission again.")
        name = assignment(slug)
        if name in sheets:
            raise UsageError(f"{of_one[0].file}: another exercise is called {name} too. Sync one of them at a time.")
        sheets[name] = _sheet(name, of_one)
    return list(sheets.values())


def _refuse_unofficial(results: Sequence[Result]) -> None:
    """A report without a verdict brings no score, so nobody asks whether it is official."""
    refused = []
    for result in results:
        if isinstance(result.report, Graded) and (result.report.partial or not result.report.official):
            why = "only some checks were asked for" if result.report.partial else "not official"
            refused.append(f"{result.file}: {why}")
    if refused:
        raise UsageError(
            "These reports are no whole, official gradings, so nothing was written:\n"
            f"{_listed(refused)}\n"
            "Grade these submissions again, in a box and without --only (`grade doctor` says what a box needs); "
            "or take them as they are with --unofficial."
        )


def _sheet(name: str, results: Sequence[Result]) -> _Sheet:
    _refuse_mixture(name, results)
    graded = [result.report for result in results if isinstance(result.report, Graded)]
    points = {check_cell(check.name): check.points for report in graded for check in report.checks}
    for word in (*points, *(result.student for result in results)):
        if len(word) > _NAME_CHARS or word != safe_text(word):
            raise UsageError(f"{name}: a gradebook cannot hold the name {safe_text(word)!a}. Give it a shorter one.")
    entries = {result.student: _entry(result, points) for result in sorted(results, key=lambda one: one.student)}
    return _Sheet(name, points, entries)


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
        groups = [f"checks {kind[0][:12]}, {kind[1] or 'some'} points:\n{_listed(files[kind])}" for kind in kinds]
        raise UsageError(
            f"{name}: these reports were made by different checks, so their scores cannot stand side by side:\n"
            + "\n".join(groups)
            + "\nGrade all of them again with the course as it is now."
        )


def _listed(lines: Sequence[str]) -> str:
    more = [f"and {len(lines) - _FILES_NAMED} more"] if len(lines) > _FILES_NAMED else []
    return "\n".join(f"  {line}" for line in [*lines[:_FILES_NAMED], *more])


def _entry(result: Result, points: Mapping[str, int]) -> _Entry:
    match result.report:
        case Ungraded(reason=reason):
            return _Entry(result.student, {}, _comment(["There is no verdict, and this is no zero.", reason]))
        case Graded(checks=checks):
            said = [_said(check) for check in checks if check.outcome is not Outcome.PASSED]
            scores = {check_cell(check.name): check.score for check in checks}
            missing = (check_of(cell) for cell in sorted(points.keys() - scores.keys()) if points[cell])
            said += [f"{check}: not asked for in this grading, so there is no verdict" for check in missing]
            return _Entry(result.student, scores, _comment(said))


def _said(check: Check) -> str:
    worth = "no verdict, and no zero" if check.outcome in UNCOUNTED else f"0 of {check.points}"
    # Cut as a whole and not by the line, here and below: a hint, or the reason for no verdict, is a paragraph on one.
    text = safe_text(check.message, max_chars=_COMMENT_CHARS, max_line=_COMMENT_CHARS)
    message = "".join(f"\n  {line}" for line in text.splitlines())
    return f"{check.name}: {check.title} ({check.outcome.replace('_', ' ')}, {worth}){message}"


def _comment(parts: Sequence[str]) -> str | None:
    """nbgrader makes HTML of a comment as if it were Markdown, and lets tags in it stand. It escapes what is code, and
    that is what a line is that stands four spaces in: so each one does, as a student's program may have printed it."""
    text = "\n\n".join(safe_text(part, max_line=_COMMENT_CHARS) for part in parts)
    return "\n".join(f"    {line}" for line in text.splitlines()) or None


# --- what came of it ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Change:
    """One submission whose row in the gradebook is another one now. Scores are the automatic ones."""

    assignment: str
    student: str
    before: str
    after: str
    overridden: tuple[str, ...]  # checks whose score changed under one that a person gave, which stays


@dataclass(frozen=True, slots=True)
class Synced:
    """What a sync has written, or would have."""

    changes: tuple[Change, ...]
    unchanged: int
    no_verdict: tuple[str, ...]  # "ex03 ada"
    unknown: tuple[str, ...]  # assignments that no report and no gradebook knows the checks of

    def lines(self, db: str, *, dry_run: bool) -> Iterator[str]:
        for change in self.changes:
            yield f"{change.assignment} {change.student}: {change.before} -> {change.after}"
            for check in change.overridden:
                yield f"  {check}: a person's score stays; look again, as the automatic one has changed"
        for name in self.unknown:
            yield f"{name}: left out, as no report has a verdict: its checks are not known. Grade it again."
        verb = "would change" if dry_run else "changed"
        yield f"{len(self.changes)} {verb}, {self.unchanged} unchanged, in {without_password(db)}"
        if self.no_verdict:
            yield f"No verdict, or not on every check: {', '.join(self.no_verdict)}."
            yield "  formgrader marks them, and counts what has no verdict as 0 until it is graded, or scored by hand."
            yield f"  nbgrader export does so too, but not with --exporter={_EXPORTER}."


def _shown(scores: Mapping[str, float | None], points: Mapping[str, float]) -> str:
    """A submission's automatic score in words."""
    known = [score for score in scores.values() if score is not None]
    if not known:
        return "no verdict"
    lacking = sum(points[name] for name, score in scores.items() if score is None)
    return f"{sum(known):g} of {sum(points.values()):g}" + (f", no verdict on {lacking:g}" if lacking else "")


def sync(
    results: Sequence[Result], db: str, *, unofficial: bool = False, dry_run: bool = False, patience_s: float = 30.0
) -> Synced:
    """Write these reports into the gradebook; all of them, or nothing.

    What a person entered stays: names, manual scores and comments, extra credit, penalties, extensions. A check without
    a verdict has no score, never a zero, and is marked for a person to look at.

    Args:
        db: The gradebook's URL, as SQLAlchemy and nbgrader take it. A gradebook that is not there yet is made.
        unofficial: Take reports that are not official, or of some checks only.
        dry_run: Write nothing; say what would be written.
        patience_s: How long to wait for somebody else who is writing.

    Raises:
        UsageError: reports that cannot stand side by side, in the folder or with what is in the gradebook; no such
            database, no right to it, one of another kind or version; nbgrader is not installed.
        GraderError: somebody else is writing, or the database failed on the way. Nothing was written.
    """
    sheets = _sheets(results, unofficial=unofficial)
    try:
        importlib.import_module("nbgrader.api")  # slow, so before anything is locked
    except ModuleNotFoundError as error:
        raise UsageError(f"nbgrader is not installed here (no module {error.name}): {INSTALL}.") from error
    with transaction(db, dry_run=dry_run, patience_s=patience_s) as connection:
        _require_current(connection, db)
        return _written(connection, db, sheets)


def _written(connection: "Connection", db: str, sheets: Sequence[_Sheet]) -> Synced:
    from nbgrader.api import Course
    from sqlalchemy.orm import Session

    changes: list[Change] = []
    unchanged = 0
    no_verdict, unknown = [], []
    with Session(connection, autoflush=False) as session:
        if session.get(Course, _COURSE) is None:
            session.add(Course(id=_COURSE))
        for sheet in sheets:
            page = _Page.open(session, db, sheet)
            if page is None:
                unknown.append(sheet.assignment)
                continue
            for entry in sheet.entries.values():
                change = page.write(entry)
                if change is None:
                    unchanged += 1
                else:
                    changes.append(change)
                if any(entry.scores.get(name) is None for name, points in page.points.items() if points):
                    no_verdict.append(f"{sheet.assignment} {entry.student}")
            session.flush()
    return Synced(tuple(changes), unchanged, tuple(no_verdict), tuple(unknown))


# --- nbgrader's tables ----------------------------------------------------------------------------------------------


class _Page:
    """One assignment of the gradebook with all that its students have there, read once.

    nbgrader expects of a submission the whole structure of its assignment: a row for each notebook, a grade for each
    cell that is graded, a comment for each cell that may have one (`Gradebook.add_submission` in nbgrader/api.py).
    """

    def __init__(self, session: "Session", assignment: Any, notebook: Any) -> None:
        from nbgrader.api import Comment, Grade, Student, SubmittedAssignment, SubmittedNotebook
        from sqlalchemy import select

        self._session, self._assignment, self._notebook = session, assignment, notebook
        self._checks = _checks(notebook)
        self._solution = next(cell for cell in notebook.solution_cells if cell.name == SOLUTION)
        self.points: Mapping[str, float] = {name: cell.max_score for name, cell in self._checks.items()}
        here = SubmittedNotebook.notebook_id == notebook.id
        self._students = set(session.scalars(select(Student.id)))
        of_this = select(SubmittedAssignment).where(SubmittedAssignment.assignment_id == assignment.id)
        self._submissions = {one.student_id: one for one in session.scalars(of_this)}
        self._notebooks = {one.assignment_id: one for one in session.scalars(select(SubmittedNotebook).where(here))}
        grades, comments = (select(row).join(SubmittedNotebook).where(here) for row in (Grade, Comment))
        self._grades = {(one.notebook_id, one.cell_id): one for one in session.scalars(grades)}
        self._comments = {(one.notebook_id, one.cell_id): one for one in session.scalars(comments)}

    @classmethod
    def open(cls, session: "Session", db: str, sheet: _Sheet) -> "_Page | None":
        """The assignment with the sheet's checks as its cells; None when nobody knows what its checks are.

        Raises:
            UsageError: it has other cells or points, and grades that hang on them.
        """
        from nbgrader.api import Assignment, GradeCell, Notebook, SolutionCell
        from sqlalchemy import select

        assignment = session.scalar(select(Assignment).where(Assignment.name == sheet.assignment))
        notebooks = {one.name: one for one in assignment.notebooks} if assignment else {}
        notebook = notebooks.get(sheet.assignment)
        if not sheet.points and not (notebook and _checks(notebook)):
            return None
        if assignment is None:
            assignment = Assignment(name=sheet.assignment, course_id=_COURSE)
            session.add(assignment)
        if notebook is None:
            notebook = Notebook(name=sheet.assignment, assignment=assignment)
            session.add(notebook)
        cells = _checks(notebook)
        if sheet.points:
            _require_one_scale(db, assignment, cells, sheet)
        for name, points in sheet.points.items():
            if name in cells:
                cells[name].max_score = points
            else:
                session.add(GradeCell(name=name, notebook=notebook, max_score=points, cell_type="code"))
        if SOLUTION not in {cell.name for cell in notebook.solution_cells}:
            session.add(SolutionCell(name=SOLUTION, notebook=notebook))
        session.flush()  # from here on, all of these have ids
        return cls(session, assignment, notebook)

    def write(self, entry: _Entry) -> Change | None:
        """Make the student's row say what the entry says; None when it said so already."""
        submission = self._submissions.get(entry.student)
        submitted = self._notebooks.get(submission.id) if submission else None
        changed = new = submitted is None
        if submitted is None:
            submitted = self._hand_in(entry.student, submission)
        self._complete(submitted, self._notebook)
        before = {}
        overridden = []
        for name, cell in self._checks.items():
            grade = self._grades[submitted.id, cell.id]
            score = entry.scores.get(name) if self.points[name] else 0  # no points, and nothing to wait for
            before[name] = grade.auto_score
            by_hand = grade.manual_score is not None
            if grade.auto_score != score and by_hand:
                overridden.append(check_of(name) or name)
            # nbgrader's own rule (SaveAutoGrades): whoever gave a score looks again when the automatic one is another.
            needs = grade.needs_manual_grade or grade.auto_score != score if by_hand else score is None
            changed |= _set(grade, auto_score=score, needs_manual_grade=needs)
        changed |= _set(self._comments[submitted.id, self._solution.id], auto_comment=entry.comment)
        if not changed:
            return None
        old = "nothing" if new else _shown(before, self.points)
        now = _shown({name: entry.scores.get(name) for name in self._checks}, self.points)
        after = f"{now}, with another comment" if old == now else now
        return Change(self._assignment.name, entry.student, old, after, tuple(overridden))

    def _hand_in(self, student: str, submission: Any | None) -> Any:
        """The student's row of our notebook; with rows of the assignment's other ones, when there is no submission."""
        from nbgrader.api import Student, SubmittedAssignment, SubmittedNotebook, new_uuid

        notebooks = [self._notebook]
        if submission is None:
            if student not in self._students:
                self._session.add(Student(id=student))
            submission = SubmittedAssignment(assignment=self._assignment, student_id=student)
            self._session.add(submission)
            notebooks = self._assignment.notebooks
        rows = {one: SubmittedNotebook(id=new_uuid(), notebook=one, assignment=submission) for one in notebooks}
        self._session.add_all(rows.values())
        for notebook, row in rows.items():
            self._complete(row, notebook)
        return rows[self._notebook]

    def _complete(self, submitted: Any, notebook: Any) -> None:
        """A row for each cell that has none: all of them when just handed in, or what was added to the notebook."""
        from nbgrader.api import Comment, Grade

        graded = [*notebook.grade_cells, *notebook.task_cells]
        commented = [*notebook.solution_cells, *notebook.task_cells]
        for rows, row, cells in ((self._grades, Grade, graded), (self._comments, Comment, commented)):
            for cell in cells:
                if (submitted.id, cell.id) not in rows:
                    rows[submitted.id, cell.id] = row(notebook=submitted, cell=cell)
                    self._session.add(rows[submitted.id, cell.id])


def _checks(notebook: Any) -> dict[str, Any]:
    """The cells that are graded by checks. An instructor may have added others, in Markdown, to grade by hand."""
    return {cell.name: cell for cell in notebook.grade_cells if cell.cell_type == "code"}


def _set(row: Any, **values: object) -> bool:
    """Whether any of these was another one before."""
    other = {name: value for name, value in values.items() if getattr(row, name) != value}
    for name, value in other.items():
        setattr(row, name, value)
    return bool(other)


def _require_one_scale(db: str, assignment: Any, cells: Mapping[str, Any], sheet: _Sheet) -> None:
    """The class in the gradebook is graded by these checks, or is graded anew as a whole."""
    scale = {name: cell.max_score for name, cell in cells.items()}
    if not scale or scale == sheet.points:
        return
    gone = sorted(scale.keys() - sheet.points.keys())
    if gone:
        raise UsageError(
            f"{sheet.assignment} has cells in the gradebook that the reports have no check for: {', '.join(gone)}. "
            "They are of another version of the exercise. Use another gradebook; or, to lose these grades, type: "
            + _nbgrader(f"db assignment remove {sheet.assignment} --force", db)
        )
    others = sorted({one.student_id for one in assignment.submissions} - sheet.entries.keys())
    if others:
        raise UsageError(
            f"{sheet.assignment}: the reports have other checks or points than the gradebook, and these students have "
            f"no report:\n{_listed(others)}\nGrade them too, so that one class has one scale; or use another gradebook."
        )


# --- whether this is a gradebook ------------------------------------------------------------------------------------


def _require_current(connection: "Connection", db: str) -> None:
    """The database is a gradebook of the installed nbgrader; an empty one is made a gradebook.

    Raises:
        UsageError: it holds something else, or is of another version.
    """
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory
    from nbgrader.api import Base
    from nbgrader.dbutil import ALEMBIC_DIR
    from sqlalchemy import inspect

    script = ScriptDirectory(ALEMBIC_DIR)
    migrations = MigrationContext.configure(connection)
    tables = inspect(connection).get_table_names()
    if not tables:
        Base.metadata.create_all(connection)
        migrations.stamp(script, "head")
        return
    if "submitted_assignment" not in tables:
        raise UsageError(f"{without_password(db)} holds tables that are no gradebook's. Name an empty database.")
    version = migrations.get_current_revision()
    if version == script.get_current_head():
        return
    if version is None or version in {revision.revision for revision in script.walk_revisions()}:
        typed = _nbgrader("db upgrade", db)
        raise UsageError(f"{without_password(db)} was made by an older nbgrader. Keep a copy of it, and type: {typed}")
    raise UsageError(f"{without_password(db)} was made by a newer nbgrader than the one here. Install that one.")


def _nbgrader(words: str, db: str) -> str:
    """A line to type. nbgrader starts `alembic` from PATH, where an environment that is not activated has none."""
    return f"PATH={Path(sys.executable).parent}:$PATH nbgrader {words} --db='{without_password(db)}'"
