"""A judge's process from outside: a slot that is started early, kept warm, and given one job after another.

Knows processes, the canaries that must live in the host's own network, and how long a slot may be silent; knows nothing
of courses or reports. It imports little: a command starts its slot before it imports what it needs itself.
"""

import contextlib
import os
import select
import shutil
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

from grader.box.scratch import held_folder
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
_CANARY_HOST: Final = "127.77.0.1"  # as in `box.inside`
_COMMAND: Final = (sys.executable, "-I", "-X", "disable-remote-debug", "-m", "grader.judge")


_HANGS: Final = "The judge hangs: nothing came for long after the check's deadline. Run it again."


class IsolationRefused(Exception):
    """The slot could not prove the wall."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """The programs that a box is made of: absolute paths, None where one is not installed."""

    bwrap: str | None
    strace: str | None

    @classmethod
    def found(cls, path: str) -> "Tools":
        """What is found on this search path; bubblewrap first where AppArmor's profiles have it."""
        bwrap = _find_program("bwrap", f"/usr/bin{os.pathsep}{path}")
        return cls(bwrap=bwrap, strace=_find_program("strace", path))


def _find_program(name: str, path: str) -> str | None:
    """An absolute path: a box has an empty environment."""
    found = shutil.which(name, path=path)
    return None if found is None else str(Path(found).absolute())


class Slot:
    """A process that judges one submission after another. Close it: it is a child, and a folder on the disk.

    Args:
        boxed: behind the wall, or bare.

    Raises:
        GraderError: it cannot be started.
        IsolationRefused: it is to be boxed, and bubblewrap is not installed.
    """

    def __init__(self, tools: Tools, *, boxed: bool) -> None:
        if boxed and tools.bwrap is None:
            raise IsolationRefused("bubblewrap is not installed")
        self.boxed = boxed
        self._ready: Ready | None = None
        self._deadline_at_s = time.monotonic() + START_TIMEOUT_S
        self._box_pid = 0
        self._box_killed = True  # there is none yet
        self._rest = b""
        self._log_begins_at = 0  # of the job, in bytes
        with contextlib.ExitStack() as stack:
            folder = stack.enter_context(held_folder())
            self.log = folder / "judge.log"
            surroundings = _surroundings(tools, boxed=boxed, stack=stack)
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
            IsolationRefused: the wall was refused.
            GraderError: it broke, ended or hangs.
        """
        if self._ready is None:
            match self._next():
                case Ready() as ready:
                    self._ready = ready
                case Refused(reason):
                    raise IsolationRefused(reason)
                case Broken(reason):
                    raise GraderError(reason)
                case _:
                    raise GraderError("The judge said something that was not to come.")
        return self._ready

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
    """The slots of one thread of gradings: one behind the wall and one without, each started when it is first wanted.

    For a `with` block, in the thread that grades: a slot ends with the thread that has started it.
    """

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._slots: dict[bool, Slot] = {}
        self._lock = threading.Lock()
        self._closed = False

    def __enter__(self) -> "Slots":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def closed(self) -> bool:
        return self._closed

    def get(self, *, boxed: bool) -> Slot:
        """
        Raises:
            GraderError: it cannot be started, or all were closed.
            IsolationRefused: bubblewrap is not installed.
        """
        with self._lock:
            if self._closed:
                raise GraderError("The grading was ended.")
            if boxed not in self._slots:
                self._slots[boxed] = Slot(self._tools, boxed=boxed)
            return self._slots[boxed]

    def drop(self, slot: Slot) -> None:
        """End a slot that was not heard to the end; the next grading gets another."""
        with self._lock:
            if self._slots.get(slot.boxed) is slot:
                del self._slots[slot.boxed]
        slot.close()

    def close(self) -> None:
        """End them all, and start no more. Another thread may do so: whoever grades then has no verdict."""
        with self._lock:
            self._closed = True
            slots, self._slots = self._slots, {}
        for slot in slots.values():
            slot.close()


def _surroundings(tools: Tools, *, boxed: bool, stack: contextlib.ExitStack) -> Surroundings:
    """With canaries that live in this process's own network for as long as the slot does."""
    listener = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
    listener.bind((_CANARY_HOST, 0))
    listener.listen()
    abstract = f"tracegrade-{os.urandom(8).hex()}"
    local = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
    local.bind(f"\0{abstract}")
    local.listen()
    return Surroundings(
        boxed=boxed,
        bwrap=tools.bwrap or "",
        strace=tools.strace,
        canary_port=listener.getsockname()[1],
        canary_abstract=abstract,
        canary_environ=os.urandom(16).hex(),
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
