"""Where a command meets the machine that it was typed on: the environment, the terminal, the folder of the course.
The only place that reads the environment, but for the search path.
"""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, cast

from grader.doctor.programs import search_path

if TYPE_CHECKING:
    from rich.console import Console

    from grader.course.model import Course
    from grader.grading.slot import Tools
    from grader.report.model import Machine


def course_at(folder: Path | None, *, only: str | None = None) -> "Course":
    """The course that `folder` (the current one, when None) stands in; `only` as for `load_course`."""
    from grader.course.load import find_course_root, load_course

    return load_course(find_course_root((folder or Path.cwd()).absolute()), only=only)


def find_tools() -> "Tools":
    """What a box is made of, as it is found on this machine."""
    from grader.grading.slot import Tools

    return Tools.found(search_path())


def this_machine() -> "Machine":
    """What a report says of it."""
    from grader.doctor.machine import machine

    return machine(path=search_path())


def path_in_repository(path: Path) -> str | None:
    """Where a file stands in its repository, as GitHub's annotations want it; None when it stands in none."""
    path = path.absolute()
    workspace = os.environ.get("GITHUB_WORKSPACE")
    roots = [folder for folder in path.parents if (folder / ".git").exists()]  # the nearest: a checkout may lie deeper
    roots += [Path(workspace)] if workspace else []
    for root in roots:
        for here, top in ((path, root), (path.resolve(), root.resolve())):
            if here.is_relative_to(top):
                return here.relative_to(top).as_posix()
    return None


@contextlib.contextmanager
def make_console(*, to_stderr: bool = False, may_lose_reader: bool = False) -> "Iterator[Console]":
    """The screen, as wide and as colourful as the environment says.

    Args:
        may_lose_reader: what is under way goes on when nobody reads the screen any more: it writes elsewhere, too.
    """
    from grader.report import terminal

    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    columns = os.environ.get("COLUMNS", "")
    stream = sys.stderr if to_stderr else sys.stdout
    width = int(columns) if columns.isdecimal() else None
    shown = cast(TextIO, _Screen(stream)) if may_lose_reader else stream
    yield terminal.make_console(shown, colour=False if plain else None, width=width)


class _Screen:
    """A stream whose reader may go, as `head` does: from then on what is written there goes nowhere."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with self._giving_up():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with self._giving_up():
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @contextlib.contextmanager
    def _giving_up(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())  # what is still in its buffer, too


@contextlib.contextmanager
def owning_what_runs_below() -> Iterator[None]:
    """Whatever is started in the block, and left behind by whoever started it, ends with the block.

    For commands, which own their process. A slot that ends in order leaves nothing; one that was killed may.
    """
    from grader.box import kernel

    kernel.adopt_orphans()
    try:
        yield
    finally:
        from grader.judge.descendants import end_descendants

        end_descendants()
