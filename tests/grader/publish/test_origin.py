"""Which commit a course's files are those of: by a real git, and in words where there is none."""

import subprocess
from pathlib import Path

import pytest

from grader.publish.origin import origin_of


def git(folder: Path, *words: str) -> str:
    settings = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    command = ["git", "-C", str(folder), *settings, *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    (tmp_path / "course.yaml").write_text("format: 1\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "a course")
    return tmp_path


def test_all_committed_is_that_commit(repository: Path) -> None:
    origin = origin_of(repository)

    assert origin.commit == git(repository, "rev-parse", "HEAD")
    assert origin.words == f"commit {origin.commit[:12]}"


def test_what_is_not_committed_is_told(repository: Path) -> None:
    (repository / "new").write_text("")

    assert origin_of(repository).words == "files that are not all committed"


def test_git_that_distrusts_the_owner_is_told_with_the_line_to_type(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")  # git's own, for its tests
    monkeypatch.setenv("LANGUAGE", "ko")

    origin = origin_of(repository)

    assert origin.commit == ""
    assert "its owner is another user" in origin.words
    assert f"git config --global --add safe.directory '{repository}'" in origin.words


def test_a_folder_that_is_in_no_repository_and_one_without_a_commit_are_told(tmp_path: Path) -> None:
    assert f"{tmp_path} is in no repository" in origin_of(tmp_path).words

    git(tmp_path, "init", "-q")
    assert "the repository has no commit yet" in origin_of(tmp_path).words


def test_a_machine_without_git_is_told(repository: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))

    assert origin_of(repository).words == "files whose commit is not known: git is not installed"
