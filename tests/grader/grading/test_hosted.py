"""A grading for a host: what somebody handed in comes as texts, and no folder of ours is named to them."""

import pytest

from grader.course.load import load_course
from grader.errors import SubmissionError
from grader.grading.hosted import grade_texts
from places import TESTS


@pytest.mark.parametrize(
    ("files", "said"),
    [
        pytest.param({"tiny.py": "a = 1\n\0\n"}, "tiny.py:2: a NUL byte", id="a file"),
        pytest.param({"other.py": "a = 1\n"}, "tiny.py", id="the whole"),
    ],
)
def test_what_is_refused_is_told_without_the_folder_that_is_gone(files: dict[str, str], said: str) -> None:
    course = load_course(TESTS / "tiny_course")

    with pytest.raises(SubmissionError) as refused:
        grade_texts(course, course.exercises[0], files)

    assert said in str(refused.value)
    assert "tracegrade-held" not in str(refused.value)
