"""One run's files in the folder that `--keep` names, and nobody else's."""

import os
from pathlib import Path

import pytest

from grader.errors import UsageError
from grader.grading.keeping import RUN, make_ready
from gradings import tiny_course

ADA, BOB = Path("/class/ada"), Path("/class/bob")


def kept(folder: Path, *names: str, exercise: str = "ex90_tiny", source: Path = ADA) -> list[str]:
    """What a run leaves that finds the folder as it is and writes these files."""
    make_ready(folder, exercise=exercise, source=source)
    for name in names:
        (folder / name).write_text("of this run")
    return sorted(os.listdir(folder))


def test_a_new_folder_and_an_empty_one_are_taken(tmp_path: Path) -> None:
    assert kept(tmp_path / "a/b", "echo-1.strace") == ["echo-1.strace", RUN]
    (tmp_path / "c").mkdir()
    assert kept(tmp_path / "c") == [RUN]


def test_the_same_line_typed_again_leaves_the_files_of_the_second_run_alone(tmp_path: Path) -> None:
    kept(tmp_path / "out", "idle-1.strace", "idle-1.output", "idle-2.channel", "judge.log")
    (tmp_path / "out/notes.txt").write_text("a person's")

    assert kept(tmp_path / "out", "sync-1.output") == ["notes.txt", RUN, "sync-1.output"]


@pytest.mark.parametrize("other", [{"source": BOB}, {"exercise": "ex91_other"}], ids=["submission", "exercise"])
def test_the_folder_of_another_run_is_refused_and_keeps_its_files(other: dict[str, object], tmp_path: Path) -> None:
    before = kept(tmp_path, "idle-1.strace")

    with pytest.raises(UsageError, match=r"it holds the files of another run\. Name a new folder, or empty this one\."):
        make_ready(tmp_path, **{"exercise": "ex90_tiny", "source": ADA, **other})  # type: ignore[arg-type]

    assert sorted(os.listdir(tmp_path)) == before


@pytest.mark.parametrize("name", ["idle-1.strace", "thesis.txt", ".git"])
def test_a_folder_that_holds_something_is_refused_by_its_name(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("somebody's")

    with pytest.raises(UsageError, match=f"such as {name}"):
        make_ready(tmp_path, exercise="ex90_tiny", source=ADA)

    assert (tmp_path / name).read_text() == "somebody's"


def test_a_broken_word_of_what_a_folder_holds_is_no_word(tmp_path: Path) -> None:
    (tmp_path / RUN).write_bytes(b"\xff")

    with pytest.raises(UsageError, match="the files of another run"):
        make_ready(tmp_path, exercise="ex90_tiny", source=ADA)


def test_of_all_exercises_each_has_a_folder_of_its_own(tmp_path: Path) -> None:
    course = tiny_course(tmp_path)

    done = course.type("--all", "--solution", "--keep", str(tmp_path / "out"))

    assert done.code == 0, done.err
    assert os.listdir(tmp_path / "out") == ["ex90_tiny"]
    assert "judge.log" in os.listdir(tmp_path / "out/ex90_tiny")
