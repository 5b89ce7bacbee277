"""`kill -9` of each process of a grading, at several moments: never a lower score, and nothing stays behind.

A killed grading ends without a verdict, or the lost sample is taken again and the verdict is the right one. Processes
are found from outside, by what they run; what is left at the end is what a subreaper above the grading still has.
"""

import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from grader.report.model import Graded, Isolation, Report, Ungraded, from_json
from gradings import COURSE, GRADE, descendants, environment, wait_until

WORDS = ("ex03", "--course", str(COURSE), "--only", "basic", "--only", "budget")

# Starts the command that it is given, and at its end tells the exit code and what still runs of all that it started.
NANNY = """
import json, os, subprocess, sys, time
import psutil
from grader.box import kernel

def left():
    found = []
    for one in psutil.Process().children(recursive=True):
        try:
            if one.status() != psutil.STATUS_ZOMBIE:
                found.append(one.cmdline())
            elif one.ppid() == os.getpid():
                one.wait()
        except psutil.NoSuchProcess:
            pass
    return found

kernel.adopt_orphans()
with subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL) as command:
    print(command.pid, flush=True)
patience_s = time.monotonic() + 120
while left() and time.monotonic() < patience_s:
    time.sleep(0.01)
print(json.dumps({"code": command.returncode, "left": left()}), flush=True)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a grading ended."""

    code: int
    left: list[list[str]]  # command lines of what still runs
    report: Report | None
    err: str

    @property
    def words(self) -> str:
        """What a failed expectation should show."""
        checks = self.report.checks if isinstance(self.report, Graded) else ()
        return "\n".join([self.err, *(f"{check.name}: {check.outcome}: {check.message('en')}" for check in checks)])


class Grading:
    """A grading under a nanny, with a temporary folder of its own, in which the traces grow."""

    def __init__(self, words: tuple[str, ...], folder: Path) -> None:
        self._folder = folder
        self._json = folder / "report.json"
        command = [*GRADE, *words, "--json", str(self._json)]
        self._nanny = subprocess.Popen(
            [sys.executable, "-c", NANNY, *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(TMPDIR=str(folder)),
            cwd="/",
        )
        assert self._nanny.stdout is not None
        self.pid = int(self._nanny.stdout.readline())

    def find(self, target: str) -> psutil.Process | None:
        if target == "grade":
            return psutil.Process(self.pid)
        for one in descendants(self.pid):
            with suppress(psutil.NoSuchProcess):
                parent = one.parent()
                # Between fork and exec a child still has its parent's command line.
                if parent is not None and _what(one) == target and _what(parent) != target:
                    return one
        return None

    def traced_bytes(self, check: str) -> int:
        return sum(trace.stat().st_size for trace in self._folder.glob(f"tracegrade-*/traces/{check}-*.strace"))

    def kill(self, target: str, moment: Callable[["Grading"], bool]) -> None:
        """Kill it when the moment has come and it is there."""

        def done() -> bool:
            if self._nanny.poll() is not None:
                pytest.fail(f"the grading ended before there was a {target} at that moment: {self.end()}")
            if not moment(self) or (found := self.find(target)) is None:
                return False
            with suppress(psutil.NoSuchProcess):
                found.send_signal(signal.SIGKILL)
            return True

        wait_until(done, f"{target} at its moment")

    def end(self) -> Ended:
        out, err = self._nanny.communicate(timeout=240)
        report = from_json(self._json.read_bytes()) if self._json.exists() else None
        return Ended(report=report, err=err, **json.loads(out))

    def close(self) -> None:
        self._nanny.kill()
        self._nanny.communicate()


def _what(process: psutil.Process) -> str:
    """Which link of the chain a process is, by its command line."""
    words = process.cmdline()
    name = Path(words[0]).name if words else ""
    if name == "strace":
        return "strace"
    if name == "bwrap":
        parent = process.parent()
        return "init" if parent is not None and Path([*parent.cmdline(), ""][0]).name == "bwrap" else "bwrap"
    if "grader.judge" in words:  # a slot forks its judges
        parent = process.parent()
        return "judge" if parent is not None and "grader.judge" in parent.cmdline() else "slot"
    return "program" if any(word.endswith("/inside.py") for word in words) else name


@pytest.fixture
def folder() -> Iterator[Path]:
    """A temporary folder that the boxes' user can reach."""
    with tempfile.TemporaryDirectory(prefix="kill-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def grade(folder: Path) -> Iterator[Callable[..., Grading]]:
    started: list[Grading] = []

    def start(*words: str) -> Grading:
        started.append(Grading((*WORDS, *words), folder))
        return started[-1]

    yield start
    for grading in started:
        grading.close()


@pytest.fixture
def boxed(private_network: None, bwrap: str, strace: str) -> None:
    """Only on a machine that can box and count."""


def at_once(_grading: Grading) -> bool:
    return True


def in_a_traced_check(grading: Grading) -> bool:
    return grading.traced_bytes("oneproc") > 0


def in_a_counted_window(grading: Grading) -> bool:
    # The first window of `budget` begins when its crowd has been asked once, some 60 kB into the trace.
    return grading.traced_bytes("budget") > 80_000


@pytest.mark.parametrize(
    ("target", "moment"),
    [
        ("grade", at_once),
        ("grade", in_a_counted_window),
        ("slot", at_once),
        ("slot", in_a_counted_window),
        ("judge", at_once),
        ("judge", in_a_counted_window),
        ("strace", in_a_traced_check),
        ("strace", in_a_counted_window),
        ("bwrap", at_once),
        ("bwrap", in_a_counted_window),
        ("init", at_once),
        ("init", in_a_counted_window),
        ("program", at_once),
        ("program", in_a_counted_window),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_a_kill_never_costs_a_point_and_leaves_no_process(
    boxed: None, grade: Callable[..., Grading], target: str, moment: Callable[[Grading], bool]
) -> None:
    grading = grade("--solution")

    grading.kill(target, moment)
    ended = grading.end()

    assert ended.left == []
    if target == "grade":
        assert ended.code == -signal.SIGKILL
        assert ended.report is None
    elif ended.code == 0:
        assert isinstance(ended.report, Graded)
        assert ended.report.score == ended.report.max_score > 0
    else:
        assert ended.code == 3, ended.words
        assert isinstance(ended.report, Ungraded)
        assert ended.report.reason


def test_a_box_that_is_killed_at_the_start_never_lets_a_stranger_run_bare(
    boxed: None, grade: Callable[..., Grading], folder: Path
) -> None:
    stranger = folder / "epoll_server.py"
    stranger.write_text((COURSE / "solutions/ex03_epoll/epoll_server.py").read_text())
    grading = grade("--submission", str(stranger))

    grading.kill("bwrap", at_once)
    ended = grading.end()

    assert ended.left == []
    assert ended.code in (0, 3), ended.err
    assert ended.report is not None
    assert ended.report.isolation is not Isolation.BARE


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_grading_that_is_told_to_end_takes_everything_along(
    boxed: None, grade: Callable[..., Grading], folder: Path, number: signal.Signals
) -> None:
    grading = grade("--solution")
    wait_until(lambda: grading.find("program") is not None, "a box")

    psutil.Process(grading.pid).send_signal(number)
    ended = grading.end()

    assert ended.left == []
    assert ended.code == 3
    assert "there is no verdict" in ended.err
    assert list(folder.iterdir()) == []


def test_what_a_killed_command_has_left_its_slot_takes_away(
    boxed: None, grade: Callable[..., Grading], folder: Path
) -> None:
    grading = grade("--solution")
    grading.kill("grade", lambda one: one.find("program") is not None)

    ended = grading.end()

    assert (ended.code, ended.left) == (-signal.SIGKILL, [])
    wait_until(lambda: not list(folder.glob("tracegrade-*")), "folders to be taken away")
