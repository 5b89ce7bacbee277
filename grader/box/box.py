"""One box: starting a program behind the wall, having the wall proven from the inside, and ending the program with all
that it has started. Knows processes, their ends and their output; knows nothing of checks, servers or traces.
"""

import contextlib
import os
import resource
import signal
import socket
import subprocess
import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from grader.box import inside, kernel
from grader.box.channel import BoxEnded, Channel, readable
from grader.box.levels import Filters, Level
from grader.box.limits import Limits
from grader.box.wall import NO_REMOTE_DEBUG_X, base_interpreter
from grader.errors import GraderError
from grader.words.say import say

_OUTPUT_BYTES = 64 * 1024
TRACE_BYTES = 16 << 20  # four times the longest of a reference: a host's disk and the judge's memory have room for it
_WHERE_S = 1.0  # for a thread that is broken off in what it does; one that computes without Python's loop never answers
_WHOLE_MESSAGE_S = 5.0
_ENDING_S = 20.0  # what stands around a program ends when that has; on a busy machine a little later


class Sigkilled(Enum):
    """Whether a box ended by SIGKILL, and which of its processes was hit."""

    NO = 0
    INSIDE = 1  # the program: out of memory, a person, or itself
    OUTSIDE = 2  # strace or bwrap, out of the program's reach


@dataclass(slots=True)
class _Output:
    """What the program printed: the first bytes of it. The rest is read and thrown away, so that it never blocks."""

    kept: bytearray = field(default_factory=bytearray)
    dropped_bytes: int = 0

    def drain(self, pipe: IO[bytes]) -> None:
        with contextlib.suppress(OSError, ValueError):
            while data := os.read(pipe.fileno(), 65536):
                room = max(0, _OUTPUT_BYTES - len(self.kept))
                self.kept += data[:room]
                self.dropped_bytes += max(0, len(data) - room)


class Box:
    """A started box. Use it in a `with` block: leaving it kills whatever is left inside.

    Attributes:
        first_pid: process 1 of the box, which adopts its orphans; 0 where it has no process numbers of its own.
        outermost_pid: strace's or bwrap's: killing it kills the whole box.
        traced: whether strace stands before it.
        channel: what judge and box say to one another.

    Raises:
        GraderError: it could not be started.
    """

    def __init__(
        self,
        level: Level,
        limits: Limits,
        *,
        tracer: Sequence[str],
        allows: Collection[str] = (),
        one_more_filter: bool = False,
        takes_down: bool = False,
    ) -> None:
        self._level, self._limits, self.traced = level, limits, bool(tracer)
        filters = Filters(allows=frozenset(allows), one_more=one_more_filter)
        near, far = socket.socketpair()
        self.channel = Channel(near, takes_down=takes_down)
        self._output = _Output()
        self._files = contextlib.ExitStack()
        self.first_pid = 0
        self._pidfd = self._first_pidfd = self._outermost_pidfd = -1
        self._answers_owed = 0  # to the question where it is: one may come late, or never
        self._came_first: list[dict[str, Any]] = []
        try:
            with far:
                command, fds = self._command(far.fileno(), tracer, filters)
                self._process = self._start(command, [*fds, far.fileno()])
            self.outermost_pid = self._process.pid
            self._outermost_pidfd = os.pidfd_open(self.outermost_pid)
            self.channel.ends_with(self._outermost_pidfd)
        except BaseException as error:
            self.channel.close()
            self._files.close()
            if isinstance(error, (OSError, subprocess.SubprocessError)):
                raise GraderError(f"A box could not be started: {error}.") from error
            raise
        assert self._process.stdout is not None  # a pipe was asked for
        self._drain = threading.Thread(target=self._output.drain, args=(self._process.stdout,), daemon=True)
        self._drain.start()

    @property
    def pid(self) -> int:
        """The program's process, as the host numbers it; 0 until it has introduced itself."""
        return self.channel.pid

    def _command(self, channel: int, tracer: Sequence[str], filters: Filters) -> tuple[list[str], list[int]]:
        before, fds = self._level.command(self._limits, filters, self._files)
        python = [str(base_interpreter()), "-I", "-X", NO_REMOTE_DEBUG_X, "-B", "-u"]
        return [*tracer, *before, *python, self._level.seen("inside.py"), str(channel)], fds

    def _start(self, command: list[str], fds: list[int]) -> "subprocess.Popen[bytes]":
        parent = os.getpid()
        uid = self._level.uid

        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        longest = TRACE_BYTES if hard == resource.RLIM_INFINITY else min(TRACE_BYTES, hard)

        def between_fork_and_exec() -> None:
            kernel.die_with_parent(parent)
            # Of what a tracer writes, which dies of more and takes the box along. The program gets a limit of its own.
            resource.setrlimit(resource.RLIMIT_FSIZE, (longest, hard))

        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={},
            cwd="/",
            close_fds=True,
            pass_fds=fds,
            start_new_session=True,
            user=uid,
            group=uid,
            extra_groups=None if uid is None else [],
            preexec_fn=between_fork_and_exec,  # no lock is taken in it, so another thread cannot hold it
        )

    # --- talking

    def prove(self, timeout_s: float, *, thorough: bool) -> dict[str, str]:
        """`begin_proof` and `end_proof`."""
        self.begin_proof(thorough=thorough)
        return self.end_proof(timeout_s)

    def begin_proof(self, *, thorough: bool) -> None:
        """Lower the program's rights, before any line of a submission runs, and let it try the wall."""
        self.send(self._level.start_order(self._limits, thorough=thorough))

    def end_proof(self, timeout_s: float) -> dict[str, str]:
        """What it has found.

        Returns:
            What is missing: protection and complaint. Empty when all is as the level promises.

        Raises:
            BoxEnded, TimeoutError: it has not tried.
        """
        answer = self.receive(timeout_s)
        self._files.close()
        told = answer.get("probes")
        if self.pid == 0 or not isinstance(told, dict):
            raise BoxEnded(say("the box did not introduce itself"))
        try:
            self._pidfd = os.pidfd_open(self.pid)
            if self._level.own_pids:
                self.first_pid = _parent_pid(self.pid)
                self._first_pidfd = os.pidfd_open(self.first_pid)
        except OSError as error:
            raise BoxEnded(say("the program has ended")) from error
        return self._level.missing(told, self.channel.uid)

    def lend(self, fds: Sequence[int], open_files: int | None) -> None:
        """Give the program, which has proven its wall, these descriptors under the same numbers, and let it have no
        more than so many open.

        Raises:
            BoxEnded: it has ended.
        """
        if fds or open_files is not None:
            limits = {} if open_files is None else {"NOFILE": open_files}
            self.send({"op": "lend", "fds": list(fds), "limits": limits})
        if fds:
            self.channel.lend(fds)

    def take_one_core(self) -> None:
        """Keep the program and its tracer on one core from now on.

        A tracer and its tracee on one core take 16 microseconds a call, on two cores 123. A box without a tracer has
        one core too: a program must not see which run is counted.

        Raises:
            OSError: it has ended.
        """
        cores = sorted(os.sched_getaffinity(0))
        core = {cores[os.getpid() % len(cores)]}  # judges that run side by side do not all take one
        for pid in {self.outermost_pid, self.first_pid, self.pid} - {0}:
            os.sched_setaffinity(pid, core)

    def send(self, message: Mapping[str, Any]) -> None:
        """As `Channel.send`."""
        self.channel.send(message)

    def receive(self, timeout_s: float) -> dict[str, Any]:
        """As `Channel.receive`."""
        if self._came_first:
            return self._came_first.pop(0)
        while self._answers_owed and "where" in (message := self.channel.receive(timeout_s)):
            self._answers_owed -= 1
        return message if self._answers_owed else self.channel.receive(timeout_s)

    def has_message(self) -> bool:
        """As `Channel.has_message`."""
        while self._answers_owed and not self._came_first and self.channel.has_message():
            try:
                message = self.channel.receive(_WHOLE_MESSAGE_S)
            except (BoxEnded, TimeoutError):  # and so it does again, for who receives it
                return True
            if "where" in message:
                self._answers_owed -= 1
            else:
                self._came_first.append(message)
        return bool(self._came_first) or self.channel.has_message()

    def wait_for_message(self, timeout_s: float) -> bool:
        """As `Channel.wait_for_message`."""
        return bool(self._came_first) or (self.channel.wait_for_message(timeout_s) and self.has_message())

    def ask_where(self) -> dict[str, Any] | None:
        """Where the main thread of the program is, as it says itself; None when it does not answer. It is broken off in
        what it does: for who has given up waiting for it.
        """
        try:
            self.send_signal(inside.WHERE_SIGNAL)
            self._answers_owed += 1
            while "where" not in (message := self.channel.receive(_WHERE_S)):
                self._came_first.append(message)
        except (BoxEnded, TimeoutError, ProcessLookupError):
            return None
        self._answers_owed -= 1
        return message

    # --- ending

    @property
    def has_ended(self) -> bool:
        """Whether what it runs in is gone."""
        return readable(self._outermost_pidfd)

    @property
    def alive(self) -> bool:
        """Whether the program in the box still runs, and what it runs in."""
        return self._pidfd >= 0 and not readable(self._pidfd, self._outermost_pidfd)

    def send_signal(self, number: int) -> None:
        """Signal the program, and never a process that has its number since.

        Raises:
            ProcessLookupError: it has ended.
        """
        if self._pidfd < 0:
            raise ProcessLookupError
        signal.pidfd_send_signal(self._pidfd, number)

    def output(self) -> bytes:
        """What the program printed, the first 64 KiB; when it has ended, its last words too."""
        if not self.alive:  # its last words may still stand in the pipe
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_ENDING_S)
            # Without process numbers of its own it may have left a writer.
            self._drain.join(timeout=_ENDING_S if self._level.own_pids else 1.0)
        rest = self._output.dropped_bytes
        return bytes(self._output.kept) + (b"\n... and %d bytes more" % rest if rest else b"")

    def sigkilled(self) -> Sigkilled:
        """Whether somebody killed it with SIGKILL: the kernel out of memory, a person, or the program itself.

        A program with process numbers of its own cannot kill strace or bwrap, so those are never the student's fault;
        of the program itself it cannot be told. Either way the sample says nothing and is taken again. Any other
        program can kill its tracer, which ends by the signal that the program has ended by.
        """
        if self._process.poll() is None and not self.alive:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_ENDING_S)
        match self._process.poll():
            case -9 if self._level.own_pids or not self.pid:
                return Sigkilled.OUTSIDE
            case -9 | 137:
                return Sigkilled.INSIDE
            case _:
                return Sigkilled.NO

    def ended_by(self) -> str:
        """How the program ended, for a person."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(2.0 if self.alive else _ENDING_S)
        code = self._process.poll()
        if code is None:
            return say("it still runs, but closed its channel")
        if code > 128 or code < 0:
            number = code - 128 if code > 0 else -code
            if self.traced and number == signal.SIGXFSZ:
                return say(
                    "signal SIGXFSZ: a trace of its system calls has more than {most} MiB", most=TRACE_BYTES >> 20
                )
            with contextlib.suppress(ValueError):
                return say("signal {name}", name=signal.Signals(number).name)
        return say("exit status {code}", code=code)

    def close(self) -> None:
        """Kill what is left, and wait until nothing is."""
        self.channel.close()
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        # Process 1 of the box takes all others along, and ends as the last of them: pid_namespaces(7). A bare program
        # has none, and is killed itself.
        for pidfd in (self._first_pidfd, self._pidfd):
            if pidfd >= 0:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                readable(pidfd, timeout_s=10.0)
                os.close(pidfd)
        self._pidfd = self._first_pidfd = -1
        self._process.wait()
        if self._outermost_pidfd >= 0:
            os.close(self._outermost_pidfd)
        self._outermost_pidfd = -1
        self._drain.join(timeout=2.0)
        assert self._process.stdout is not None  # a pipe was asked for
        if not self._drain.is_alive():  # else a survivor holds the pipe: bare only, and the pipe goes with the judge
            self._process.stdout.close()
        self._files.close()

    def __enter__(self) -> "Box":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _parent_pid(pid: int) -> int:
    status = Path("/proc", str(pid), "status").read_bytes()  # the name in it need be no text
    return next(int(line.split()[1]) for line in status.split(b"\n") if line.startswith(b"PPid:"))
