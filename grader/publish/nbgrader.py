"""The target `nbgrader`: a course directory with a notebook for each exercise, what a student grades it with, and the
settings. Knows nbgrader's cells (their metadata, schema 3: nbgrader/nbgraderformat/v3.json of jupyter/nbgrader); knows
nothing of how a cell runs or a notebook is graded: `grader.notebooks.extension` and `grader.notebooks.autograde` are
only named here.
"""

import hashlib
import re
import string
from collections.abc import Iterator, Sequence
from typing import Any

from grader.course.model import Check, Course, Exercise
from grader.course.stubs import read_text, stub_of
from grader.errors import UsageError
from grader.notebooks.cells import COURSE, assignment, check_cell, first_line, solution_cell
from grader.publish.folder import kit_files, kit_requirements, public_files, template
from grader.publish.tree import File, Tree, below, text_file
from grader.publish.wheel import wheel

_WELCOME = string.Template("""\
This notebook is the exercise: the handout, the cell that you write, and a cell for each check.

* Write in the cell that begins with `$first_line`, and leave that line as it is. What stands there is handed in.
* Running it writes `$folder/`, where `grade $number` in a terminal finds it. Edit the cell, not the file.
* Run the checks below it. The first one grades everything, so it takes a while; the others only tell what it found.
""")

_SETUP = """\
# No module named 'grader'? In the folder `students` that you were given: pip install -r requirements.txt
%load_ext grader.notebooks.extension"""

_SETTINGS = string.Template('''\
"""nbgrader's settings for this course. Graded by `grader.notebooks.autograde`: see docs/nbgrader.md of tracegrade."""

import os
import sys

c = get_config()  # noqa: F821
c.CourseDirectory.course_id = "$course_id"

# No cell of a student's is ever run here: where nbgrader would execute a notebook, GradeInBox grades the solution in a
# box. These are names, not classes, so that nbgrader stops, instead of executing, where tracegrade is not installed.
c.Autograde.sanitize_preprocessors = [
    "grader.notebooks.autograde.TakeSolutions",
    "nbgrader.preprocessors.ClearOutput",
    "nbgrader.preprocessors.DeduplicateIds",
    "nbgrader.preprocessors.OverwriteKernelspec",
    "nbgrader.preprocessors.OverwriteCells",
    "nbgrader.preprocessors.CheckCellMetadata",
]
c.Autograde.autograde_preprocessors = [
    "grader.notebooks.autograde.GradeInBox",
    "nbgrader.preprocessors.LimitOutput",
    "grader.notebooks.autograde.SaveVerdicts",
    "nbgrader.preprocessors.AssignLatePenalties",
    "nbgrader.preprocessors.CheckCellMetadata",
]
c.ExportApp.plugin_class = "grader.notebooks.autograde.ExportVerdicts"  # a score is empty where there is no verdict
# Who was not collected by nbgrader is left out and told; by itself nbgrader stops there.
c.ExchangeFactory.release_feedback = "grader.notebooks.feedback.ReleaseFeedback"

# Graded by source/<assignment>/course. With the hidden sizes: name the folder of the whole course, and remove the #.
# c.GradeInBox.course = "../my-course"

# Whatever other settings say: nothing but these marks keeps a solution out of a release.
c.ClearSolutions.begin_solution_delimeter = "BEGIN SOLUTION"
c.ClearSolutions.end_solution_delimeter = "END SOLUTION"
c.ClearSolutions.code_stub = {"python": "# YOUR CODE HERE\\nraise NotImplementedError()"}

# nbgrader starts `alembic`, which is installed beside it, for a new gradebook, and looks for it on the PATH.
os.environ["PATH"] = os.environ.get("PATH", os.defpath) + os.pathsep + os.path.dirname(sys.executable)
''')


def tree(course: Course, exercises: Sequence[Exercise]) -> Tree:
    """`nbgrader_config.py`, for each exercise `source/exNN/exNN.ipynb` with `source/exNN/course/` beside it, and in
    `students/` what a student installs.

    The notebooks hold the references, in the marks that `nbgrader generate_assignment` clears.

    Raises:
        CourseError: a reference is missing, is not UTF-8, or its solution regions are not sound.
        UsageError: nbgrader is not installed.
    """
    files = {"nbgrader_config.py": text_file(_SETTINGS.substitute(course_id=_course_id(course)))}
    for exercise in exercises:
        name = assignment(exercise.slug)
        folder = f"source/{name}"
        files[f"{folder}/{name}.ipynb"] = text_file(_notebook(exercise))
        files.update(below(f"{folder}/{COURSE}", public_files(course, [exercise])))
    return {**files, **below("students", _students())}


def _students() -> Tree:
    """The kit as a wheel, and the file by which it is installed with Jupyter and all else that it needs."""
    kit = kit_files()
    name, packed = wheel(kit)
    pinned = [
        block
        for block in re.split(r"(?m)^(?=[a-z])", kit_requirements("instructor").data.decode())
        if block[:1].isalpha() and not block.startswith("psycopg")
    ]
    ours = f"./{name} \\\n    --hash=sha256:{hashlib.sha256(packed).hexdigest()}\n"
    return {
        name: File(packed),
        "requirements.txt": text_file("".join([*pinned, ours])),
        "README.md": template("nbgrader_students_README.md"),
    }


def _course_id(course: Course) -> str:
    return "-".join(re.findall("[a-z0-9]+", course.title.in_("en").lower())) or "course"


# --- the notebook ---------------------------------------------------------------------------------------------------


def _notebook(exercise: Exercise) -> str:
    try:
        import nbformat
    except ImportError as error:
        raise UsageError("Notebooks are written by nbgrader's packages. Type `make setup WITH=instructor`.") from error
    cells = list(_cells(exercise))
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number:03}"
    notebook: dict[str, Any] = nbformat.from_dict(
        {
            "nbformat": 4,
            "nbformat_minor": 5,  # the first with ids
            "metadata": {
                "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
                "language_info": {"name": "python"},
            },
            "cells": cells,
        }
    )
    nbformat.validate(notebook)
    return str(nbformat.writes(notebook))  # sorted keys


def _cells(exercise: Exercise) -> Iterator[dict[str, Any]]:
    for number, part in enumerate(_parts(read_text(exercise.handout_dir / "README.md")), start=1):
        yield _markdown(f"handout-{number}", part)
    welcome = _WELCOME.substitute(
        first_line=first_line(exercise.submit[0]),
        folder=f"{COURSE}/exercises/{exercise.slug}",
        number=exercise.number,
    )
    yield _markdown("welcome", welcome)
    yield _code("setup", _SETUP, locked=True)
    for name in exercise.submit:
        reference = read_text(exercise.solution_dir / name)
        stub_of(reference, name=name)  # its regions are sound: nbgrader itself lets pass what would publish a solution
        text = f"{first_line(name)}\n{reference}".removesuffix("\n")
        yield _code(solution_cell(name, first=name == exercise.submit[0]), text, solution=True)
    for check in exercise.checks:
        yield _markdown(f"title-{check.name}", _title(check))
        yield _code(check_cell(check.name), f'check("{check.name}")', grade=True, locked=True, points=check.points)


def _title(check: Check) -> str:
    points = {0: "no points", 1: "1 point"}.get(check.points, f"{check.points} points")
    return f"**{check.name}** ({points}): {check.title.in_('en')}"


def _parts(handout: str) -> Iterator[str]:
    """The handout, cut before each heading of the second level, but not within a fence."""
    part: list[str] = []
    fenced = False
    for line in handout.splitlines():
        fenced ^= line.startswith("```")
        if line.startswith("## ") and not fenced and part:
            yield "\n".join(part).strip()
            part = []
        part.append(line)
    yield "\n".join(part).strip()


def _markdown(grade_id: str, source: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "metadata": _metadata(grade_id, locked=True), "source": source.strip()}


def _code(grade_id: str, source: str, **marks: Any) -> dict[str, Any]:
    metadata = _metadata(grade_id, **marks)
    return {"cell_type": "code", "metadata": metadata, "source": source, "execution_count": None, "outputs": []}


def _metadata(grade_id: str, **marks: Any) -> dict[str, Any]:
    plain = {"schema_version": 3, "grade": False, "solution": False, "locked": False, "task": False}
    return {"nbgrader": {**plain, "grade_id": grade_id, **marks}}
