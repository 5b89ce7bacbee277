"""A judge's process from outside: a slot that is started early, kept warm, and given one job after another.

Knows processes, the canaries that must live in the host's own network, and how long a slot may be silent; knows nothing
of courses or reports. It imports little: a command starts its slot before it imports what it needs itself.
"""

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from grader.box.canary import host_canary
from grader.box.foundations import foundations
from grader.box.scratch import held_folder
from grader.doctor.programs import find_program
from grader.errors import GraderError
from grader.judge.protocol import (
    BoxStarted,
    Broken,
    Ended,
    Event,
    Job,
    NotUnderstood,
    Ready,
    Refused,
    Started,
    Surroundings,
    event_of,
    line_of,
)
from grader.safe_text import safe_text

START_TIMEOUT_S = 180.0  # a slot that has not proven its wall by then hangs; strace alone may take 60
BOX_GRACE_S = 10.0  # behind a check's own deadline: then its box is killed from here
JUDGE_GRACE_S = 20.0  # behind that: then the judge hangs, and there is no verdict
_ENDING_TIMEOUT_S = 20.0  # for a slot to clean up behind itself; killed, it leaves that to whoever sweeps next
# Names of `box.levels`, for a command that starts its slot before it imports that.
BEST_LEVEL: Final = "boxed"
TRUSTED_LEVEL: Final = "bare"
_COMMAND: Final = (sys.executable, "-I", "-X", "disable-remote-debug", "-m", "grader.judge")
_HANGS: Final = "The judge hangs: nothing came for long after the check's deadline. Run it again."


class IsolationRefused(Exception):
    """The level that a slot was to have cannot be had here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """The programs that a box is made of: absolute paths, None where one is not installed."""

    bwrap: str | None
    strace: str | None

    @classmethod
    def found(cls, path: str) -> "Tools":
        """What is found on this search path; bubblewrap first where AppArmor's profiles have it."""
        bwrap = find_program("bwrap", path=f"/usr/bin{os.pathsep}{path}")
        return cls(bwrap=bwrap, strace=find_program("strace", path=path))

    def foundations(self) -> tuple[object, ...]:
        """What is proven with them rests on these values."""
        return foundations(self.bwrap, self.strace)


class Slot:
    """A process that judges one submission after another. Close it: it is a child, and a folder on the disk.

    Args:
        level: how programs are kept in, by its name in `box.levels`.

    Raises:
        GraderError: it cannot be started.
    """

    def __init__(self, tools: Tools, level: str) -> None:
        self.level = level
        self.rests_on = tools.foundations()
        self._answer: Ready | Refused | Broken | None = None
        self._deadline_at_s = time.monotonic() + START_TIMEOUT_S
        self._box_pid = 0
        self._box_killed = True  # there is none yet
        self._rest = b""
        self._log_begins_at = 0  # of the job, in bytes
        with contextlib.ExitStack() as stack:
            folder = stack.enter_context(held_folder())
            self.log = folder / "judge.log"
            surroundings = _surroundings(tools, level, stack)
            self._control, far = socket.socketpair()
            stack.enter_context(self._control)
            with far:
                self._process = _started(surroundings, far, self.log)
            stack.callback(self._end)
            with contextlib.suppress(OSError):  # it died: its missing events will tell
                self._control.sendall(line_of(surroundings))
            self._stack = stack.pop_all()

    def __enter__(self) -> "Slot":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    def close(self) -> None:
        """End it, and all that runs below it."""
        self._stack.close()

    def wait_until_ready(self) -> Ready:
        """What it has found of its surroundings.

        Raises:
            IsolationRefused: the level was refused.
            GraderError: it broke, ended or hangs.
        """
        if self._answer is None:
            match self._next():
                case Ready() | Refused() | Broken() as answer:
                    self._answer = answer
                case _:
                    raise GraderError("The judge said something that was not to come.")
        match self._answer:
            case Refused(reason):
                raise IsolationRefused(reason)
            case Broken(reason):
                raise GraderError(reason)
        return self._answer

    def judge(self, job: Job) -> Iterator[Event]:
        """What its judge says of the job, until that has ended. A slot that was not heard to the end must be closed.

        Raises:
            GraderError: the judge hangs, ended early or said what is no event.
        """
        self.wait_until_ready()
        self._deadline_at_s = time.monotonic() + START_TIMEOUT_S
        self._box_pid, self._box_killed = 0, True
        self._log_begins_at = self.log.stat().st_size
        try:
            self._control.sendall(line_of(job))
        except OSError as error:
            raise GraderError(f"The judge ended before its verdict ({self._how_it_ended()}). Run it again.") from error
        while True:
            event = self._next()
            match event:
                case Started(deadline_s=deadline_s):
                    self._deadline_at_s = time.monotonic() + deadline_s + BOX_GRACE_S
                    self._box_pid, self._box_killed = 0, False
                case BoxStarted(pid):
                    self._box_pid = pid
            yield event
            if isinstance(event, Ended):
                return

    def last_words(self) -> str:
        """The last line that it has written to its log about its last job; empty when there is none."""
        words: list[str] = []
        with contextlib.suppress(OSError):  # it is closed
            words = safe_text(self.log.read_bytes()[self._log_begins_at :][-2000:]).strip().splitlines()
        return words[-1] if words else ""

    # --- listening

    def _next(self) -> Event:
        while b"\n" not in self._rest:
            data = self._read()
            if not data:
                raise GraderError(f"The judge ended before its verdict ({self._how_it_ended()}). Run it again.")
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        try:
            return event_of(line)
        except NotUnderstood as error:
            raise GraderError(f"The judge said something that {error}.") from error

    def _read(self) -> bytes:
        """More of what it says. Behind the deadline the box is killed first; only a judge that still hangs is given
        up.
        """
        try:
            while not select.select([self._control], [], [], max(0.0, self._deadline_at_s - time.monotonic()))[0]:
                if self._box_killed:
                    raise GraderError(_HANGS)
                self._box_killed = True
                self._deadline_at_s = time.monotonic() + JUDGE_GRACE_S
                if self._box_pid:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(self._box_pid, signal.SIGKILL)
            return self._control.recv(1 << 16)
        except (OSError, ValueError):  # it died with something unread; or another thread has closed it
            return b""

    # --- its end

    def _how_it_ended(self) -> str:
        try:
            code = self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            return "it still runs"
        return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"

    def _end(self) -> None:
        with contextlib.suppress(OSError):  # whoever listens in another thread hears the end
            self._control.shutdown(socket.SHUT_RDWR)
        self._process.terminate()
        try:
            self._process.wait(_ENDING_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Slots:
    """The slots of one thread of gradings: one of each level, started when it is first wanted.

    For a `with` block, in the thread that grades: a slot ends with the thread that has started it.
    """

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._slots: dict[str, Slot] = {}
        self._lock = threading.Lock()
        self._closed = False

    def __enter__(self) -> "Slots":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def closed(self) -> bool:
        return self._closed

    def get(self, level: str) -> Slot:
        """The slot of the level with this name; a new one, when what the proof of its wall rests on has changed.

        Raises:
            GraderError: it cannot be started, or all were closed.
        """
        with self._lock:
            if self._closed:
                raise GraderError("The grading was ended.")
            if level in self._slots and self._slots[level].rests_on != self._tools.foundations():
                self._slots.pop(level).close()
            if level not in self._slots:
                self._slots[level] = Slot(self._tools, level)
            return self._slots[level]

    def drop(self, slot: Slot) -> None:
        """End a slot that was not heard to the end; the next grading gets another."""
        with self._lock:
            if self._slots.get(slot.level) is slot:
                del self._slots[slot.level]
        slot.close()

    def close(self) -> None:
        """End them all, and start no more. Another thread may do so: whoever grades then has no verdict."""
        with self._lock:
            self._closed = True
            slots, self._slots = self._slots, {}
        for slot in slots.values():
            slot.close()


def _surroundings(tools: Tools, level: str, stack: contextlib.ExitStack) -> Surroundings:
    """With canaries that live in this process's own network for as long as the slot does."""
    canary = stack.enter_context(host_canary())
    return Surroundings(
        level=level,
        bwrap=tools.bwrap,
        strace=tools.strace,
        canary_port=canary.port,
        canary_abstract=canary.abstract,
        canary_environ=canary.environ,
    )


def _started(surroundings: Surroundings, control: socket.socket, log: Path) -> "subprocess.Popen[bytes]":
    """A slot with an environment made from nothing but a canary and the place of temporary files."""
    environment = {
        "LANG": "C.UTF-8",
        "PATH": "/usr/bin:/bin",
        "TMPDIR": str(log.parent.parent),
        "PYTHON_DISABLE_REMOTE_DEBUG": "1",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYDANTIC_DISABLE_PLUGINS": "1",  # none is used, and looking for them takes a tenth of a start
        "TRACEGRADE_CANARY": surroundings.canary_environ,
    }
    fd = control.fileno()
    command = [*_COMMAND, str(fd), str(os.getpid())]
    try:
        with log.open("wb") as output:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environment,
                cwd="/",
                pass_fds=[fd],
                start_new_session=True,  # Ctrl-C is for this process, which then ends its slot in order
            )
    except OSError as error:
        raise GraderError(f"The judge could not be started: {error}.") from error
