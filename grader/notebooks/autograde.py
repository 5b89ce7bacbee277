"""nbgrader's autograding without running a cell: preprocessors that `nbgrader_config.py` names, and an export.

Knows nbgrader's converters, their notebooks and its gradebook. A submitted notebook is data: of all that is in it only
the text of the cells that the release marks as solutions is taken, and put into the instructor's released notebook.
What a student adds, deletes, copies or changes elsewhere is not looked at. Nothing becomes points but a passed check in
a report with a score; where there is none, the cell waits for a person. nbgrader 0.9 by itself reads an error output as
a zero, and no output as all points (`determine_grade` in its `utils.py`): here neither is a score.
"""

import csv
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat
from nbconvert.exporters.exporter import ResourcesDict
from nbformat import NotebookNode
from nbgrader.api import Gradebook, MissingEntry
from nbgrader.coursedir import CourseDirectory
from nbgrader.plugins import CsvExportPlugin
from nbgrader.preprocessors import NbGraderPreprocessor, SaveAutoGrades
from nbgrader.utils import is_grade, is_solution
from traitlets import Unicode

from grader.course.load import load_course
from grader.course.model import Course
from grader.errors import CourseError, KitError, Place, SubmissionError
from grader.grading.hosted import grade_texts, refuse
from grader.notebooks.cells import ABSENT, COURSE, MAGIC, NO_VERDICT, REFUSED, check_of, first_line
from grader.notebooks.extension import NoVerdict, verdict, words
from grader.report.model import Graded, Outcome, Refused, Report

_Processed = tuple[NotebookNode, ResourcesDict]
_MISTAKE = "tracegrade_mistake"  # in the metadata of a solution cell, which are the release's and not the student's
_HIDDEN = "      Graded with your instructor's sizes: a run of your own has other numbers, and the same limits.\n"
_CALLED = "The notebook"
_NOTEBOOK = Place(_CALLED)
_REFUSED = "Refused"  # the name of the error that stands in the outputs of a notebook that is refused
_REASON = "That is no zero. The reason stands below the cells that have no points yet."
_HELD = f"{NO_VERDICT}: this notebook could not be graded, or not all of it. {_REASON}"
_HELD_REFUSED = f"{REFUSED} this notebook cannot be graded as it was handed in. {_REASON}"
_COLUMNS = (  # nbgrader's (nbgrader/plugins/export.py), and why there is no score
    "assignment",
    "duedate",
    "timestamp",
    "student_id",
    "last_name",
    "first_name",
    "email",
    "raw_score",
    "late_submission_penalty",
    "score",
    "max_score",
    "no_score",
)


class TakeSolutions(NbGraderPreprocessor):
    """The released notebook, with what the student wrote in the cells that are theirs."""

    def preprocess(self, nb: NotebookNode, resources: ResourcesDict) -> _Processed:
        names = resources["nbgrader"]
        folder = CourseDirectory(parent=self)
        file = Path(
            folder.format_path(folder.release_directory, ".", names["assignment"]), f"{names['notebook']}.ipynb"
        )
        try:
            released = nbformat.read(file, as_version=4)
        except OSError as error:
            command = f"nbgrader generate_assignment {names['assignment']}"
            raise CourseError(f"{file}: what was released is not there. Type `{command}`.") from error
        for cell in released.cells:
            if is_solution(cell):
                self._take(cell, _texts(nb, cell.metadata.nbgrader.grade_id))
        return released, resources

    def _take(self, cell: NotebookNode, texts: list[str]) -> None:
        expected = cell.source.partition("\n")[0]
        if texts:  # JSON can hold half of a surrogate pair, and no file can
            cell.source = texts[-1].encode("utf-8", "backslashreplace").decode()
        if not expected.startswith(MAGIC):
            return  # an instructor's own question, which a person grades
        mistake = ""
        if not texts:
            mistake = f"the cell that begins with `{expected}` is not in the notebook"
        elif len(set(texts)) > 1:
            mistake = f"the cell that begins with `{expected}` is there {len(texts)} times, with different text"
        elif _first_and_rest(cell.source)[0] != expected:
            mistake = f"the solution's cell does not begin with `{expected}`"
        elif cell.source != texts[-1]:
            mistake = f"the cell that begins with `{expected}` holds characters that are not UTF-8"
        if mistake:
            cell.metadata[_MISTAKE] = mistake


def _texts(nb: NotebookNode, grade_id: str) -> list[str]:
    """What stands in the cells of that id. A submitted notebook may be of any shape."""
    found = []
    for cell in nb.cells:
        match cell:
            case {"metadata": {"nbgrader": {"grade_id": str(name)}}, "source": str(source)} if name == grade_id:
                found.append(source)
    return found


def _first_and_rest(source: str) -> tuple[str, str]:
    """The cell's magic and its text, as IPython takes them: above the magic there may be blank lines."""
    first, _, rest = re.sub(r"\A(?:[^\S\n]*\n)+", "", source).partition("\n")
    return first.rstrip(), rest


class GradeInBox(NbGraderPreprocessor):
    """Where nbgrader would execute the notebook: one grading in the box, told in the outputs of the graded cells."""

    course = Unicode(
        "",
        help="The folder of the course to grade by, with its hidden sizes: absolute, or from nbgrader's course folder. "
        "Left empty: source/<assignment>/course, as it was published.",
    ).tag(config=True)

    def preprocess(self, nb: NotebookNode, resources: ResourcesDict) -> _Processed:
        names = resources["nbgrader"]
        try:
            report = self._report(nb, names["assignment"])
            self.log.info("%s of %s: graded with the %s sizes", names["notebook"], names["student"], report.sizes)
            why = "" if isinstance(report, Graded) else report.reason
        except KitError as error:
            report, why = None, str(error)
        refused = isinstance(report, Refused)
        if why:
            ended = "Refused" if refused else "No verdict on"
            self.log.error("%s %s of %s: %s", ended, names["notebook"], names["student"], NoVerdict(why))
        for cell in filter(_is_check, nb.cells):
            try:
                if report is None or refused:
                    raise NoVerdict(why)
                cell.outputs = _told(report, cell)
            except NoVerdict as error:
                name, word = (_REFUSED, "Refused") if refused else ("NoVerdict", "No verdict")
                cell.outputs = [_output("error", ename=name, evalue=str(error), traceback=[f"{word}. {error}"])]
        return nb, resources

    def _report(self, nb: NotebookNode, assignment: str) -> Report:
        course = self._published(assignment)
        (published,) = course.exercises
        exercise = published
        if self.course:
            folder = Path(CourseDirectory(parent=self).root, self.course)
            course = load_course(folder, only=published.slug)
            (exercise,) = course.exercises
            if exercise.digest != published.digest:
                raise CourseError(
                    f"{folder} is not the course that was published: {published.slug} has other checks there. "
                    "Take GradeInBox.course out of nbgrader_config.py, or publish again."
                )
        try:
            handed_in = _handed_in(nb)
        except SubmissionError as error:
            return refuse(course, exercise, error, called=_CALLED)
        if set(handed_in) != set(published.submit):
            wanted = ", ".join(f"`{first_line(name)}`" for name in published.submit)
            raise CourseError(f"The released notebook has not the cells that {published.slug} wants: {wanted}.")
        return grade_texts(course, exercise, handed_in, called=_CALLED)

    def _published(self, assignment: str) -> Course:
        """The course of one exercise in the instructor's own copy; what lies beside a submission is a student's."""
        folder = CourseDirectory(parent=self)
        course = load_course(Path(folder.format_path(folder.source_directory, ".", assignment), COURSE))
        if len(course.exercises) != 1:
            raise CourseError(f"{course.root}: a notebook's course has one exercise. Publish it again.")
        return course


def _handed_in(nb: NotebookNode) -> Mapping[str, str]:
    """The solution's text by file. The first lines are the release's: `TakeSolutions` has seen to it.

    Raises:
        SubmissionError: a cell is not as it was released.
    """
    files = {}
    for cell in nb.cells:
        if is_solution(cell) and (mistake := cell.metadata.get(_MISTAKE)):
            raise SubmissionError(_NOTEBOOK, f": {mistake}", "Mend the submitted notebook and grade it again.")
        line, text = _first_and_rest(cell.source)
        if is_solution(cell) and line.startswith(MAGIC):
            files[line.removeprefix(MAGIC).strip()] = text if text.endswith("\n") else text + "\n"  # as IPython does
    return files


def _is_check(cell: NotebookNode) -> bool:
    """Its points come from its outputs."""
    return cell.cell_type == "code" and is_grade(cell) and not is_solution(cell)


def _told(report: Report, cell: NotebookNode) -> list[NotebookNode]:
    name = check_of(cell.metadata.nbgrader.grade_id)
    if name is None:
        raise NoVerdict("This cell is none of the exercise's checks, and no cell is executed: grade it by hand.")
    check = verdict(report, name)
    points = float(cell.metadata.nbgrader.points) if check.outcome is Outcome.PASSED else 0.0
    sizes = _HIDDEN if report.sizes == "hidden" and check.outcome.loses_points else ""
    return [
        _output("stream", name="stdout", text=words(check, report.language) + sizes),
        _output("execute_result", data={"text/plain": repr(points)}, execution_count=None),
    ]


def _output(kind: str, **parts: Any) -> NotebookNode:
    output: NotebookNode = nbformat.v4.new_output(kind, **parts)
    return output


def _held(cell: NotebookNode) -> bool:
    """Nothing but the output of a verdict may become points."""
    kinds = [output.output_type for output in cell.outputs]
    return "error" in kinds or kinds.count("execute_result") != 1


class SaveVerdicts(SaveAutoGrades):
    """nbgrader's own, but a cell without a verdict gets no score, not even for a moment: it waits for a person."""

    _comment: str | None = None  # to the student, where a cell is held

    def preprocess(self, nb: NotebookNode, resources: ResourcesDict) -> _Processed:
        held = [cell for cell in filter(_is_check, nb.cells) if _held(cell)]
        refused = any(output.get("ename") == _REFUSED for cell in held for output in cell.outputs)
        self._comment = (_HELD_REFUSED if refused else _HELD) if held else None
        nb, resources = super().preprocess(nb, resources)
        return nb, resources

    def preprocess_cell(self, cell: NotebookNode, resources: ResourcesDict, cell_index: int) -> _Processed:
        if _is_check(cell) and _held(cell):
            grade = self.gradebook.find_grade(*self._place(cell))
            grade.auto_score, grade.needs_manual_grade = None, True
            self.gradebook.db.commit()
            return cell, resources
        cell, resources = super().preprocess_cell(cell, resources, cell_index)
        if self._comment is not None and is_solution(cell):
            self.gradebook.find_comment(*self._place(cell)).auto_comment = self._comment
            self.gradebook.db.commit()
        return cell, resources

    def _place(self, cell: NotebookNode) -> tuple[Any, ...]:
        return cell.metadata.nbgrader.grade_id, self.notebook_id, self.assignment_id, self.student_id


class ExportVerdicts(CsvExportPlugin):
    """nbgrader's own table, but a score that still waits for a person is left empty, as is that of a student who has
    handed in nothing: there both would read as a zero. The last column, which nbgrader has not, says why.
    """

    to: str  # nbgrader's settings
    student: list[str]
    assignment: list[str]

    def export(self, gradebook: Gradebook) -> None:
        file = Path(self.to or "grades.csv")
        wanted = {str(name) for name in self.assignment}, {str(name) for name in self.student}
        rows = [
            self._row(gradebook, assignment, student)
            for assignment in gradebook.assignments
            for student in gradebook.students
            if assignment.name in (wanted[0] or {assignment.name}) and student.id in (wanted[1] or {student.id})
        ]
        with file.open("w", encoding="utf-8", newline="") as stream:
            table = csv.DictWriter(stream, _COLUMNS, lineterminator="\n")
            table.writeheader()
            table.writerows(rows)
        self.log.info("The grades are in %s", file)

    def _row(self, gradebook: Gradebook, assignment: Any, student: Any) -> dict[str, Any]:
        """One student's cells. What is None is an empty one."""
        row = {
            "assignment": assignment.name,
            "duedate": assignment.duedate,
            "student_id": student.id,
            "last_name": student.last_name,
            "first_name": student.first_name,
            "email": student.email,
            "late_submission_penalty": 0.0,
            "max_score": assignment.max_score,
        }
        try:
            submission = gradebook.find_submission(assignment.name, student.id)
        except MissingEntry:
            why = "nothing handed in"
        else:
            row |= {"timestamp": submission.timestamp, "late_submission_penalty": submission.late_submission_penalty}
            if not submission.needs_manual_grade:
                score = submission.score
                return row | {"raw_score": score, "score": max(0.0, score - submission.late_submission_penalty)}
            why = _why_waiting(submission)
        self.log.warning("%s has no score of %s yet (%s): it is left empty", student.id, assignment.name, why)
        return row | {"no_score": why}


def _why_waiting(submission: Any) -> str:
    """What the comments begin with that autograding, or a sync of reports, has written."""
    comments = [comment.auto_comment or "" for notebook in submission.notebooks for comment in notebook.comments]
    for word, why in ((REFUSED, "refused"), (ABSENT, "nothing handed in"), (NO_VERDICT, "no verdict")):
        if any(comment.lstrip().startswith(word) for comment in comments):
            return why
    return "not all of it is graded"
