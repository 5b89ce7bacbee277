"""A grading for a host: what somebody handed in comes as texts, and no folder of ours is named to them."""

import pytest

from grader.course.load import load_course
from grader.grading.hosted import grade_texts
from grader.report.model import Refused, to_json
from places import TESTS


@pytest.mark.parametrize(
    ("files", "said"),
    [
        pytest.param({"tiny.py": "a = 1\n\0\n"}, "tiny.py:2: a NUL byte", id="a file"),
        pytest.param({"other.py": "a = 1\n"}, "the notebook: tiny.py is missing", id="the whole"),
    ],
)
def test_what_is_refused_is_told_without_the_folder_that_is_gone(files: dict[str, str], said: str) -> None:
    course = load_course(TESTS / "tiny_course")

    report = grade_texts(course, course.exercises[0], files, called="the notebook")

    assert isinstance(report, Refused)
    assert said in report.reason
    assert "tracegrade-held" not in to_json(report)
