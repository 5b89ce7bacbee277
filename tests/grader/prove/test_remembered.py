"""What an audit has proven is remembered for exactly these files; what cannot be remembered costs time alone."""

from pathlib import Path

import pytest

from grader.course.load import load_course
from grader.prove.remembered import remember, unproven
from gradings import CHECKS, EXERCISE, SLUG, SOLUTION, Tiny, tiny_course


@pytest.fixture
def course(tmp_path: Path) -> Tiny:
    return tiny_course(tmp_path)


def names(course: Tiny) -> list[str]:
    loaded = load_course(course.root)
    return [one.slug for one in unproven(loaded, loaded.exercises)]


def proven(course: Tiny) -> str:
    loaded = load_course(course.root)
    return remember(loaded, loaded.exercises)


def test_nothing_is_proven_until_an_audit_says_so(course: Tiny) -> None:
    assert names(course) == [SLUG]
    assert not proven(course)
    assert names(course) == []


@pytest.mark.parametrize(
    "name", [CHECKS, SOLUTION, EXERCISE, f"tests/{SLUG}/wrong/chatty/tiny.py", f"tests/{SLUG}/wrong/expected.yaml"]
)
def test_another_byte_in_what_an_audit_depends_on_is_unproven(course: Tiny, name: str) -> None:
    proven(course)

    with (course.root / name).open("a") as file:
        file.write("# more\n")

    assert names(course) == [SLUG]


def test_a_limit_of_the_course_is_a_part_of_it_and_its_title_is_not(course: Tiny) -> None:
    proven(course)

    course.edit("course.yaml", "title: A tiny course", "title: Another one")
    assert names(course) == []
    course.edit("course.yaml", "processes: 16", "processes: 17")
    assert names(course) == [SLUG]


def test_what_is_remembered_of_another_exercise_stays(course: Tiny) -> None:
    (course.root / ".grade").mkdir()
    (course.root / ".grade/audited.json").write_text('{"ex91_other": "abc"}')

    proven(course)

    assert '"ex91_other": "abc"' in (course.root / ".grade/audited.json").read_text()


@pytest.mark.parametrize("text", ["", "[1]", "{broken"])
def test_a_file_that_holds_something_else_proves_nothing(course: Tiny, text: str) -> None:
    (course.root / ".grade").mkdir()
    (course.root / ".grade/audited.json").write_text(text)

    assert names(course) == [SLUG]


def test_what_cannot_be_written_down_is_a_warning(course: Tiny) -> None:
    (course.root / ".grade").write_text("a file stands where the folder should")

    assert proven(course) == (
        f"{course.root}/.grade/audited.json cannot be written (File exists): publishing will audit again."
    )
