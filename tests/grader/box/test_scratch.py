"""Temporary folders: what a dead owner has left is swept away, and nothing else is."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from grader.box import scratch
from grader.box.scratch import PREFIX, held_folder, sweep

OWNER = """
import os, sys
from pathlib import Path
from grader.box.scratch import held_folder

with held_folder(Path(sys.argv[1])) as folder:
    (folder / "inner").mkdir()
    (folder / "inner" / "file").write_text("text")
    (folder / "link").symlink_to(sys.argv[2])
    if sys.argv[3] == "forked" and os.fork():
        print(folder, flush=True)
        os._exit(0)
    if sys.argv[3] == "alone":
        print(folder, flush=True)
    sys.stdin.read()
"""


@contextmanager
def owner(below: Path, *, points_to: Path = Path("/nowhere"), how: str = "alone") -> Iterator[tuple[Path, int]]:
    """A process with a folder there; gives the folder and the process's number."""
    command = [sys.executable, "-c", OWNER, str(below), str(points_to), how]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield Path(process.stdout.readline().strip()), process.pid


def killed(below: Path, *, points_to: Path = Path("/nowhere")) -> Path:
    with owner(below, points_to=points_to) as (folder, pid):
        os.kill(pid, 9)
    return folder


def test_a_folder_is_there_for_the_block_and_no_longer(tmp_path: Path) -> None:
    with held_folder(tmp_path) as folder:
        (folder / "file").write_text("text")
        assert folder.stat().st_mode & 0o777 == 0o700

    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_owner_has_left_is_gone_when_the_next_one_begins(tmp_path: Path) -> None:
    left = killed(tmp_path)
    assert (left / "inner" / "file").exists()

    with held_folder(tmp_path) as folder:
        assert list(tmp_path.iterdir()) == [folder]


def test_the_folder_of_a_living_owner_stays(tmp_path: Path) -> None:
    with owner(tmp_path) as (folder, _):
        sweep(tmp_path)
        assert (folder / "inner" / "file").exists()


def test_a_folder_stays_while_a_child_of_its_owner_works_in_it(tmp_path: Path) -> None:
    with owner(tmp_path, how="forked") as (folder, _):
        sweep(tmp_path)
        assert (folder / "inner" / "file").exists()


def test_no_link_is_followed_and_nothing_else_is_touched(tmp_path: Path) -> None:
    precious, below = tmp_path / "precious", tmp_path / "below"
    for folder in (precious, below, below / "tracegrade-abcdefgh"):
        folder.mkdir()
    (precious / "file").write_text("text")
    (below / f"{PREFIX}link").symlink_to(precious)
    (below / f"{PREFIX}file").write_text("text")
    left = killed(below, points_to=precious)

    sweep(below)

    assert not left.exists()
    assert (precious / "file").read_text() == "text"
    assert sorted(one.name for one in below.iterdir()) == [
        "tracegrade-abcdefgh",
        *sorted([f"{PREFIX}file", f"{PREFIX}link"]),
    ]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can make another user's folder")
def test_another_users_folder_stays(tmp_path: Path) -> None:
    left = killed(tmp_path)
    os.chown(left, 5555, 5555)

    sweep(tmp_path)

    assert left.exists()


def test_a_folder_that_is_swept_away_before_it_is_held_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = scratch._opened
    seen: list[Path] = []

    def swept(folder: Path) -> int:
        lock = opened(folder)
        if not seen:
            shutil.rmtree(folder)
        seen.append(folder)
        return lock

    monkeypatch.setattr(scratch, "_opened", swept)

    with held_folder(tmp_path) as folder:
        assert seen == [seen[0], folder] and seen[0] != folder
        assert list(tmp_path.iterdir()) == [folder]


def test_a_folder_that_somebody_sweeps_at_this_moment_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold, answers = scratch._hold, [False]
    monkeypatch.setattr(scratch, "_hold", lambda lock: answers.pop() if answers else hold(lock))

    with held_folder(tmp_path) as folder:
        assert len(list(tmp_path.iterdir())) == 2 and folder.exists()


def test_a_folder_that_is_not_there_has_nothing_to_sweep(tmp_path: Path) -> None:
    sweep(tmp_path / "nowhere")
