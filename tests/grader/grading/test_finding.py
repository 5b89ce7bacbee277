"""Where wanted files are found, and what is refused because it has two meanings."""

from pathlib import Path

import pytest

from grader.errors import SubmissionError
from grader.grading.finding import find
from gradings import SOLUTION, TINY, Tiny, tiny_course


def laid(top: Path, *names: str) -> Path:
    for name in names:
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text((TINY / SOLUTION).read_text())
    return top


@pytest.fixture
def course(tmp_path: Path) -> Tiny:
    return tiny_course(tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        "tiny-1.py",
        "tiny (1).py",
        "tiny_2.py",
        "doejane_LATE_12345_678_tiny-2.py",
        "Ada Lovelace_123_assignsubmission_file_tiny.py",
        "Ada Lovelace_123_assignsubmission_file_/tiny-1.py",
    ],
)
def test_a_file_that_a_system_has_renamed_is_the_one_that_is_wanted(name: str, tmp_path: Path) -> None:
    assert find(laid(tmp_path, name, "notes.txt"), ["tiny.py"], "ex90_tiny") == tmp_path / name


@pytest.mark.parametrize("name", ["Tiny.py", "destiny.py", "tiny_test.py", "tiny.py.txt", "other.py", "tiny.pyc"])
def test_another_file_is_not_taken_for_it(name: str, tmp_path: Path) -> None:
    assert find(laid(tmp_path, name), ["tiny.py"], "ex90_tiny") == tmp_path


def test_the_wanted_name_is_better_than_a_renamed_one(tmp_path: Path) -> None:
    assert find(laid(tmp_path, "tiny.py", "tiny-1.py"), ["tiny.py"], "ex90_tiny") == tmp_path


def test_where_two_files_are_wanted_none_is_guessed(tmp_path: Path) -> None:
    assert find(laid(tmp_path, "tiny-1.py"), ["tiny.py", "more.py"], "ex90_tiny") == tmp_path


def test_two_renamed_files_are_refused_with_both_names(tmp_path: Path) -> None:
    with pytest.raises(SubmissionError, match=r"files that may be meant: tiny-1\.py, tiny-2\.py\. Hand in one of them"):
        find(laid(tmp_path, "tiny-1.py", "tiny-2.py"), ["tiny.py"], "ex90_tiny")


def test_a_link_is_not_looked_into(tmp_path: Path) -> None:
    laid(tmp_path / "elsewhere", "deep/tiny.py")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")

    assert find(tmp_path / "link", ["tiny.py"], "ex90_tiny") == tmp_path / "link"


@pytest.mark.parametrize("name", ["hw1/tiny.py", "exercises/ex90_tiny/tiny.py", "ada_1_2_tiny-1.py"])
def test_the_command_takes_what_it_finds_and_says_so(name: str, course: Tiny, tmp_path: Path) -> None:
    done = course.grade("ex90", "--submission", str(laid(tmp_path / "ada", name)), "--only", "scaled", "--trust")

    assert done.code == 0, done.out + done.err
    assert f"Graded: {name.removesuffix('/tiny.py')}\n" in done.out


def test_a_link_that_a_person_typed_is_followed_and_one_inside_is_refused(course: Tiny, tmp_path: Path) -> None:
    laid(tmp_path / "ada", "tiny.py")
    (tmp_path / "typed").symlink_to(tmp_path / "ada")
    (tmp_path / "bob").mkdir()
    (tmp_path / "bob/tiny.py").symlink_to(tmp_path / "ada/tiny.py")

    typed = course.grade("ex90", "--submission", str(tmp_path / "typed"), "--only", "scaled", "--trust")
    inside = course.grade("ex90", "--submission", str(tmp_path / "bob"), "--only", "scaled", "--trust")

    assert typed.code == 0, typed.out + typed.err
    assert inside.code == 2
    assert "symbolic link" in inside.out + inside.err
