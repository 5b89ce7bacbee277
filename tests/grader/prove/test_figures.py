"""Figures of exercise.yaml beside what is measured: which agree, and what is told of those that do not."""

from pathlib import Path

import pytest

from grader.course.load import load_course
from grader.course.model import Exercise
from grader.prove.figures import Measured, disagreements, figures_of, table, without_limits
from gradings import EXERCISE, Tiny, tiny_course

REFERENCE = Measured(submission="reference", values={"syscalls_per_request": 3.0})
CHATTY = Measured(submission="wrong/chatty", values={"syscalls_per_request": 19.0})


@pytest.fixture
def course(tmp_path: Path) -> Tiny:
    return tiny_course(tmp_path)


def loaded(course: Tiny) -> Exercise:
    (exercise,) = load_course(course.root).exercises
    return exercise


def told(course: Tiny, *rows: Measured, unmeasured: frozenset[str] = frozenset()) -> list[str]:
    exercise = loaded(course)
    return list(disagreements(exercise, figures_of(exercise, rows), unmeasured))


def test_what_is_measured_is_no_complaint(course: Tiny) -> None:
    assert told(course, REFERENCE, CHATTY) == []


@pytest.mark.parametrize(
    ("figure", "stated", "said"),
    [
        (
            "reference: 3.0",
            "reference: 0.2",
            "the reference figure of syscalls_per_request is 0.2, and",
        ),
        ("reference: 3.0", "reference: 3.4", "is 3.4, and reference needs 3"),
        ("reference: 3.0", "reference: 0", "is 0, and reference needs 3"),
        ("naive: 19", "naive: 900", "the naive figure of syscalls_per_request is 900, and wrong/chatty needs 19"),
        ("naive: 19", "naive: 16", "is 16, and wrong/chatty needs 19"),
    ],
)
def test_a_figure_that_is_not_measured_is_told_with_file_line_and_cure(
    course: Tiny, figure: str, stated: str, said: str
) -> None:
    line = next(i for i, text in enumerate((course.root / EXERCISE).read_text().splitlines(), 1) if figure in text)
    course.edit(EXERCISE, figure, stated)

    (complaint,) = told(course, REFERENCE, CHATTY)

    assert complaint.startswith(f"{EXERCISE}:{line}: ") and said in complaint and "write what is measured" in complaint


@pytest.mark.parametrize("stated", ["naive: 18", "naive: 20", "naive: 100\n        varies: 6"])
def test_a_figure_may_be_as_far_off_as_it_says(course: Tiny, stated: str) -> None:
    course.edit(EXERCISE, "naive: 19", stated)

    assert told(course, REFERENCE, CHATTY) == []


def test_of_several_runs_the_nearest_counts_so_that_one_busy_moment_is_no_complaint(course: Tiny) -> None:
    busy = Measured(submission="reference", values={"syscalls_per_request": 4.4})

    assert told(course, busy, REFERENCE, CHATTY) == []


def test_next_to_nothing_is_nothing(course: Tiny) -> None:
    course.edit(EXERCISE, "reference: 3.0", "reference: 0")

    assert told(course, Measured(submission="reference", values={"syscalls_per_request": 0.2}), CHATTY) == []


def test_a_figure_that_no_wrong_submission_shows_is_told(course: Tiny) -> None:
    within = Measured(submission="wrong/chatty", values={"syscalls_per_request": 4.0})

    (complaint,) = told(course, REFERENCE, within)

    assert "no wrong submission shows the naive figure" in complaint and "`shows`" in complaint


def test_what_this_machine_cannot_measure_is_no_complaint(course: Tiny) -> None:
    assert told(course, unmeasured=frozenset({"calls"})) == []


def test_the_table_has_each_figure_with_all_that_was_measured(course: Tiny) -> None:
    exercise = loaded(course)

    assert list(table(exercise, figures_of(exercise, [REFERENCE, CHATTY]))) == [
        "ex90: budget | figure | stated | measured",
        "  syscalls_per_request | reference | 3 | 3 (reference)",
        "  syscalls_per_request | naive | 19 | 19 (wrong/chatty)",
    ]
    assert list(table(exercise, figures_of(exercise, [])))[1].endswith("| 3 | -")


def test_without_limits_a_value_far_over_the_naive_figure_is_measured(course: Tiny) -> None:
    free = without_limits(loaded(course))

    assert [check.needs for check in free.checks] == [()] * 4
    assert free.check("calls").budgets[0].limit > 4 * 19
