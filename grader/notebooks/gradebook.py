"""Reports into the gradebook of nbgrader. Knows nbgrader's tables, and what of them is a person's; knows nothing of how
a verdict is reached, nor of databases, and never reads nbgrader's notebooks.

nbgrader's own class `Gradebook` commits at every step and starts the program `alembic` to make a new database
(nbgrader/api.py). So its tables are used without it: one connection, one transaction, from the first look to the last
row, and the tables of a new gradebook are part of it. Whatever ends a sync early leaves the gradebook as it was.

Every check is a grade cell, also one that is worth nothing: so the gradebook is the one that a notebook made for the
same exercise would make. Comments hang on the solution cell, where nbgrader shows them.
"""

import importlib
import sys
from collections.abc import Collection, Mapping, Sequence, Set
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from grader.errors import UsageError
from grader.notebooks.cells import SOLUTION, check_of
from grader.notebooks.database import INSTALL, transaction, without_password
from grader.notebooks.entries import Entries, Entry, entries_of, listed, stamped
from grader.notebooks.synced import Change, Synced
from grader.report.folder import Result
from grader.report.model import moment
from grader.safe_text import safe_text

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.orm import Session

_COURSE: Final = "default_course"  # what nbgrader's SaveCells and autograde open a gradebook with
_REASON_CHARS: Final = 400  # of why a submission is refused: a student's file has the name that the student gave it


def _shown(scores: Mapping[str, float | None], points: Mapping[str, float]) -> str:
    """A submission's automatic score in words."""
    known = [score for score in scores.values() if score is not None]
    if not known:
        return "no verdict"
    lacking = sum(points[name] for name, score in scores.items() if score is None)
    return f"{sum(known):g} of {sum(points.values()):g}" + (f", no verdict on {lacking:g}" if lacking else "")


def sync(
    results: Sequence[Result],
    db: str,
    *,
    students: Collection[str] = (),
    unofficial: bool = False,
    dry_run: bool = False,
    patience_s: float = 30.0,
) -> Synced:
    """Write these reports into the gradebook; all of them, or nothing.

    What a person entered stays: names, manual scores and comments, extra credit, penalties, extensions. A check without
    a verdict has no score, never a zero, and is marked for a person to look at.

    Args:
        students: Who is known besides: whoever of them, of those with a report and of the gradebook's students has no
            report is named.
        db: The gradebook's URL, as SQLAlchemy and nbgrader take it. A gradebook that is not there yet is made.
        unofficial: Take reports that are not official, or of some checks only.
        dry_run: Write nothing; say what would be written.
        patience_s: How long to wait for somebody else who is writing.

    Raises:
        UsageError: reports that cannot stand side by side, in the folder or with what is in the gradebook; one that is
            older than what the gradebook knows; no such database, no right to it, one of another kind or version;
            nbgrader is not installed.
        GraderError: somebody else is writing, or the database failed on the way. Nothing was written.
    """
    exercises = entries_of(results, unofficial=unofficial)
    try:
        importlib.import_module("nbgrader.api")  # slow, so before anything is locked
    except ModuleNotFoundError as error:
        raise UsageError(f"nbgrader is not installed here (no module {error.name}): {INSTALL}.") from error
    with transaction(db, dry_run=dry_run, patience_s=patience_s) as connection:
        _require_current(connection, db)
        return _written(connection, db, exercises, {*students, *(result.student for result in results)})


def _written(connection: "Connection", db: str, exercises: Sequence[Entries], students: Collection[str]) -> Synced:
    from nbgrader.api import Course
    from sqlalchemy.orm import Session

    changes: list[Change] = []
    unchanged = 0
    no_verdict, refused, absent, unknown, stale = list[str](), list[str](), list[str](), list[str](), list[str]()
    with Session(connection, autoflush=False) as session:
        if session.get(Course, _COURSE) is None:
            session.add(Course(id=_COURSE))
        for entries in exercises:
            page = _Page.open(session, db, entries)
            for entry in entries.by_student.values():
                if entry.refused is not None:
                    refused.append(f"{entries.assignment} {entry.student}: {_one_line(entry.refused)}")
                elif entry.absent:
                    absent.append(f"{entries.assignment} {entry.student}")
            if page is None:
                unknown.append(entries.assignment)
                no_verdict += [f"{entries.assignment} {one.student}" for one in _without_verdict(entries)]
                absent += [f"{entries.assignment} {who}" for who in sorted(students - entries.by_student.keys())]
                continue
            absent += [
                f"{entries.assignment} {who}" for who in sorted(page.without_row(students) - entries.by_student.keys())
            ]
            for entry in entries.by_student.values():
                if (why := page.why_stale(entry)) is not None:
                    stale.append(f"{entry.file}: {why}")
                change = page.write(entry)
                if change is None:
                    unchanged += 1
                else:
                    changes.append(change)
                missing = any(entry.scores.get(name) is None for name, points in page.points.items() if points)
                if missing and entry.refused is None and not entry.absent:
                    no_verdict.append(f"{entries.assignment} {entry.student}")
            session.flush()
        if stale:
            raise UsageError(
                "These reports are older than what the gradebook knows, so nothing was written:\n"
                f"{listed(stale)}\n"
                "Grade these submissions again, or take the files away."
            )
    return Synced(
        changes=tuple(changes),
        unchanged=unchanged,
        no_verdict=tuple(no_verdict),
        refused=tuple(refused),
        absent=tuple(absent),
        unknown=tuple(unknown),
    )


def _without_verdict(entries: Entries) -> Sequence[Entry]:
    return [entry for entry in entries.by_student.values() if entry.refused is None and not entry.absent]


def _one_line(text: str) -> str:
    return " ".join(safe_text(text, max_line=_REASON_CHARS).split())


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
    def open(cls, session: "Session", db: str, entries: Entries) -> "_Page | None":
        """The assignment with the entries' checks as its cells; None when nobody knows what its checks are.

        Raises:
            UsageError: it has other cells or points, and grades that hang on them.
        """
        from nbgrader.api import Assignment, GradeCell, Notebook, SolutionCell
        from sqlalchemy import select

        assignment = session.scalar(select(Assignment).where(Assignment.name == entries.assignment))
        notebooks = {one.name: one for one in assignment.notebooks} if assignment else {}
        notebook = notebooks.get(entries.assignment)
        if not entries.points and not (notebook and _checks(notebook)):
            return None
        if assignment is None:
            assignment = Assignment(name=entries.assignment, course_id=_COURSE)
            session.add(assignment)
        if notebook is None:
            notebook = Notebook(name=entries.assignment, assignment=assignment)
            session.add(notebook)
        cells = _checks(notebook)
        if entries.points:
            _require_one_scale(db, assignment, cells, entries)
        for name, points in entries.points.items():
            if name in cells:
                cells[name].max_score = points
            else:
                session.add(GradeCell(name=name, notebook=notebook, max_score=points, cell_type="code"))
        if SOLUTION not in {cell.name for cell in notebook.solution_cells}:
            session.add(SolutionCell(name=SOLUTION, notebook=notebook))
        session.flush()  # from here on, all of these have ids
        return cls(session, assignment, notebook)

    def without_row(self, students: Collection[str]) -> Set[str]:
        """Of these students, and of those in the gradebook, whoever has handed in nothing that it knows of."""
        return {*students, *self._students} - self._submissions.keys()

    def why_stale(self, entry: Entry) -> str | None:
        """Why the report is not about the newest submission that is known here; None when it may be."""
        submission = self._submissions.get(entry.student)
        if entry.graded_at is None or submission is None:
            return None
        if submission.timestamp is not None and entry.graded_at < (handed_in := moment(_aware(submission.timestamp))):
            return f"graded at {entry.graded_at}, and the submission in the gradebook is of {handed_in}"
        submitted = self._notebooks.get(submission.id)
        comment = submitted and self._comments.get((submitted.id, self._solution.id))
        _, recorded = stamped(comment.auto_comment if comment else None)
        if recorded is not None and entry.graded_at < recorded:
            return f"graded at {entry.graded_at}, and the gradebook has a grading of {recorded}"
        return None

    def write(self, entry: Entry) -> Change | None:
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
        comment = self._comments[submitted.id, self._solution.id]
        changed |= stamped(comment.auto_comment)[0] != stamped(entry.comment)[0]
        _set(comment, auto_comment=entry.comment)
        if not changed:
            return None
        old = "nothing" if new else _shown(before, self.points)
        now = _shown({name: entry.scores.get(name) for name in self._checks}, self.points)
        if entry.refused is not None or entry.absent:
            now = "refused" if entry.refused is not None else "nothing handed in"
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


def _aware(naive: datetime) -> datetime:
    """nbgrader keeps UTC without saying so (`parse_utc` in its utils.py)."""
    return naive if naive.tzinfo else naive.replace(tzinfo=UTC)


def _set(row: Any, **values: object) -> bool:
    """Whether any of these was another one before."""
    other = {name: value for name, value in values.items() if getattr(row, name) != value}
    for name, value in other.items():
        setattr(row, name, value)
    return bool(other)


def _require_one_scale(db: str, assignment: Any, cells: Mapping[str, Any], entries: Entries) -> None:
    """The class in the gradebook is graded by these checks, or is graded anew as a whole."""
    scale = {name: cell.max_score for name, cell in cells.items()}
    if not scale or scale == entries.points:
        return
    gone = sorted(scale.keys() - entries.points.keys())
    if gone:
        raise UsageError(
            f"{entries.assignment} has cells in the gradebook that the reports have no check for: {', '.join(gone)}. "
            "They are of another version of the exercise. Use another gradebook; or, to lose these grades, type: "
            + _nbgrader(f"db assignment remove {entries.assignment} --force", db)
        )
    others = sorted({one.student_id for one in assignment.submissions} - entries.by_student.keys())
    if others:
        raise UsageError(
            f"{entries.assignment}: the reports have other checks or points than the gradebook, and these students "
            f"have no report:\n{listed(others)}\n"
            "Grade them too, so that one class has one scale; or use another gradebook."
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
