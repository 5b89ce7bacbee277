"""Gradings for tests, typed as a person would type them: a copy of the tiny course, the command, and what came of it.

Knows the command line, exit codes and where a course keeps its files; knows nothing of how a verdict is reached.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from grader.report.model import Graded, Report, Ungraded, from_json
from places import ROOT, TESTS

TINY = TESTS / "tiny_course"
COURSE = ROOT  # the kit's own course
REFUSING = TESTS / "support" / "refusing.py"
GRADE = (sys.executable, "-m", "grader")

SLUG = "ex90_tiny"
CHECKS = f"tests/{SLUG}/test_tiny.py"
HANDOUT = f"exercises/{SLUG}/tiny.py"
SOLUTION = f"solutions/{SLUG}/tiny.py"
EXERCISE = f"exercises/{SLUG}/exercise.yaml"

# What a person who runs the tests may have set, and what changes how things are shown or where they go.
_SETTINGS = ("NO_COLOR", "COLUMNS", "TERM", "TMPDIR", "FORCE_COLOR", "PYTHONUNBUFFERED")
_PATIENCE_S = 240.0  # nobody waits for so long but on a machine with ten times as much to do as it can


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A command that has ended: exit code, both outputs, and the report that it wrote."""

    code: int
    out: str
    err: str
    report: Report | None

    @property
    def graded(self) -> Graded:
        """The report, which has a score."""
        assert isinstance(self.report, Graded), f"exit {self.code}\n{self.out}{self.err}"
        return self.report

    @property
    def ungraded(self) -> Ungraded:
        """The report, which has none."""
        assert isinstance(self.report, Ungraded), f"exit {self.code}\n{self.out}{self.err}"
        return self.report

    @property
    def outcomes(self) -> dict[str, str]:
        return {check.name: str(check.outcome) for check in self.report.checks} if self.report else {}

    def message(self, check: str) -> str:
        return next(one.message("en") for one in self.graded.checks if one.name == check)


@dataclass(frozen=True, slots=True)
class Tiny:
    """A copy of the tiny course, to be changed and graded."""

    root: Path

    def write(self, name: str, text: str) -> Path:
        file = self.root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return file

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace what stands in a file exactly once."""
        text = (self.root / name).read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {name}"
        self.write(name, text.replace(old, new))

    def hand_in(self, *changes: tuple[str, str], source: str = SOLUTION) -> None:
        """What the student has written: the reference, or another file of the course, with these changes."""
        self.write(HANDOUT, (self.root / source).read_text(encoding="utf-8"))
        for old, new in changes:
            self.edit(HANDOUT, old, new)

    def grade(self, *words: str, prefix: Sequence[str] = (), env: Mapping[str, str] | None = None) -> Done:
        """`grade WORDS --course ROOT`; the report comes from a file."""
        file = self.root.parent / "report.json"
        file.unlink(missing_ok=True)
        done = run(*words, "--course", str(self.root), "--json", str(file), prefix=prefix, env=env)
        report = from_json(file.read_bytes()) if file.exists() else None
        return Done(code=done.returncode, out=done.stdout, err=done.stderr, report=report)

    def type(self, *words: str, prefix: Sequence[str] = (), env: Mapping[str, str] | None = None) -> Done:
        """`grade WORDS --course ROOT`, without a report."""
        done = run(*words, "--course", str(self.root), prefix=prefix, env=env)
        return Done(code=done.returncode, out=done.stdout, err=done.stderr, report=None)


def tiny_course(folder: Path) -> Tiny:
    """A fresh copy of the tiny course in this folder."""
    return Tiny(shutil.copytree(TINY, folder / "course", ignore=shutil.ignore_patterns("__pycache__", ".grade")))


def environment(**settings: str) -> dict[str, str]:
    """This process's environment without those, and with these settings."""
    return {name: value for name, value in os.environ.items() if name not in _SETTINGS} | settings


def run(
    *words: str, prefix: Sequence[str] = (), env: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    command = [*prefix, *GRADE, *words]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment(**(env or {})), cwd="/", timeout=240
    )


# --- what runs below a grading ------------------------------------------------------------------------------------


@contextmanager
def started(*words: str, env: Mapping[str, str] | None = None) -> Iterator["subprocess.Popen[str]"]:
    """A grading that is under way; killed at the end of the block if it is still there."""
    with subprocess.Popen(
        [*GRADE, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(**(env or {})),
        cwd="/",
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGKILL)


def descendants(pid: int) -> list[psutil.Process]:
    """All that runs below a process, the nearest first; none when it is gone."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def in_a_box(pid: int) -> bool:
    """Whether a program runs in a box below this process."""
    for one in descendants(pid):
        with suppress(psutil.NoSuchProcess):
            if any(word.endswith("/inside.py") for word in one.cmdline()):
                return True
    return False


def wait_until(condition: Callable[[], bool], what: str, *, patience_s: float = _PATIENCE_S) -> None:
    """Wait for what the kernel has no event for. The time is a way out, and never a measure."""
    give_up_s = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < give_up_s, f"waited in vain for {what}"
        time.sleep(0.004)
