"""One grading for a host that is not ours: a notebook's kernel, nbgrader, Jupyter's server. All that runs is a slot,
below the host; when the host ends, the slot does, and takes away what both have left on the disk. Knows no host.
"""

from collections.abc import Mapping

from grader.box.scratch import held_folder
from grader.course.model import Course, Exercise
from grader.doctor.machine import machine
from grader.doctor.programs import search_path
from grader.errors import SubmissionError
from grader.grading.one import grade_quietly, refused
from grader.grading.order import Order
from grader.grading.slot import Tools
from grader.report.model import Refused, Report

_CALLED = "What was handed in"


def grade_own_work(course: Course, exercise: Exercise) -> Report:
    """Grade what stands in the course, by whoever works on it.

    Raises:
        KitError: there is no report.
    """
    path = search_path()
    return grade_quietly(Order.of(course, exercise, exercise.handout_dir, machine(path=path)), Tools.found(path))


def grade_texts(course: Course, exercise: Exercise, files: Mapping[str, str], *, called: str = _CALLED) -> Report:
    """Grade what somebody handed in, as texts by the names of their files. `called` is what a report calls the whole:
    the folder that the texts are in tells a student nothing, and is gone by then.

    Raises:
        KitError: there is no report.
    """
    path = search_path()
    with held_folder() as folder:
        for name, text in files.items():
            (folder / name).write_bytes(text.encode())
        order = Order.of(course, exercise, folder, machine(path=path), called=called)
        return grade_quietly(order, Tools.found(path))


def refuse(course: Course, exercise: Exercise, error: SubmissionError, *, called: str = _CALLED) -> Refused:
    """The report of what a host itself found to be none that can be graded."""
    order = Order.of(course, exercise, exercise.handout_dir, machine(path=search_path()), own=False, called=called)
    return refused(order, error)
