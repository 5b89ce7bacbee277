"""Which system calls a process tree made, as strace tells it. Knows strace's flags and text, and what in a trace is
the interpreter's own noise; knows nothing of boxes, checks or servers.

A trace grows while it is read. A window of it counts only when the trace is seen to go on behind the window's end:
an empty trace must not look like a perfect score.

Sources: strace(1) 6.1; the recipe and its traps were measured on Linux 6.18 with Python 3.8 to 3.13.
"""

import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path

# The allocator's calls come and go with buffer sizes and say nothing about a server's design; clock_gettime is normally
# a vDSO call and shows up only where the vDSO is off.
ALLOCATOR_CALLS = frozenset({"mmap", "munmap", "mremap", "brk", "madvise", "clock_gettime", "gettimeofday"})
# select() is pselect6 on glibc, os.fork is clone, a thread is clone3, or clone where clone3 is refused.
READINESS_CALLS = frozenset({"select", "pselect6", "poll", "ppoll", "epoll_wait", "epoll_pwait", "epoll_pwait2"})
CLONE_CALLS = frozenset({"clone", "clone3", "fork", "vfork"})
SENDING_CALLS = frozenset({"write", "writev", "sendto", "sendmsg", "sendmmsg"})
TRANSFER_CALLS = SENDING_CALLS | {"read", "readv", "recvfrom", "recvmsg", "recvmmsg"}
# Calls that wait for a time or a signal, whatever becomes ready meanwhile.
_SLEEPING_CALLS = frozenset({"nanosleep", "clock_nanosleep", "pause", "rt_sigsuspend", "rt_sigtimedwait"})
# Many messages in one call: each of them counts, as it would if it had been sent or received alone.
_MANY_MESSAGES = frozenset({"sendmmsg", "recvmmsg"})
# Not in Linux since 3.1. strace installs its own filter only when something is left untraced, and all else may matter.
_NO_CALL = "nfsservctl"

_LINE = re.compile(r"^(?P<pid>[0-9]{1,10}) +(?P<time>[0-9]+\.[0-9]+) (?P<text>(?P<name>[a-z_0-9]+)\(.*)$")
_RESUMED = re.compile(r"^(?P<pid>[0-9]{1,10}) +[0-9]+\.[0-9]+ <\.\.\. [a-z_0-9]+ resumed>(?P<text>.*)$")
_ENDED = re.compile(r"^[0-9]{1,10} +(?P<time>[0-9]+\.[0-9]+) \+\+\+ (?:exited|killed) ")
_UNFINISHED = " <unfinished ...>"
_INTERRUPTED = "= ? ERESTART_RESTARTBLOCK (Interrupted by signal)"
_RESULT = re.compile(r"\) += ([0-9]{1,9})$")
_PIECE_BYTES = 1 << 20  # of a trace, read at a time
_STAMP = re.compile(r"^[0-9]{1,10} +(?P<time>[0-9]+\.[0-9]+) ")
_PRINTING = re.compile(r"^writev?\((?:1|2)[,<]")
# After one of these, descriptor 1 or 2 may be anything, a connection too; or after an execve() behind it.
_OUTPUT_REPLACED = re.compile(
    r"^(?:dup[23]\([0-9]+, [12]\b|close\([12]\b|close_range\([0-2],|"
    r"fcntl\([12], F_SETFD, (?!0)|ioctl\([12], FIOCLEX)"
)
_FD_SETS = re.compile(r"\[([0-9 ]*)\]")
_LONG_SET = re.compile(r"(\[[0-9]+(?: [0-9]+){3})(?: [0-9]+){4,}((?: [0-9]+){2}\])")  # what follows it tells more
_TIMED_OUT = re.compile(r"\) += 0(?: \(Timeout\))?$")
_NOT_WAITING = re.compile(r"\{tv_sec=0, tv_nsec=0\}|, 0(?:, NULL, [0-9]+)?\) += 0")
_POLL_COUNT = re.compile(r"^p?poll\((?:\[[^]]*\]|0x[0-9a-f]+|NULL), ([0-9]{1,10})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One system call that was begun. `at_s` is strace's clock: seconds since the epoch, as time.time() gives."""

    pid: int
    at_s: float
    name: str
    text: str
    replays: "Call | None" = None  # what restart_syscall() does once more, on the same memory

    @property
    def kinds(self) -> tuple[str, ...]:
        """Its name; behind it, that of the call that it replays."""
        return (self.name,) if self.replays is None else (self.name, self.replays.name)

    def is_one_of(self, names: Iterable[str]) -> bool:
        return any(kind in names for kind in self.kinds)

    @property
    def worth(self) -> int:
        """As how many calls it counts: one, or as many as the messages that it has moved."""
        done = _RESULT.search(self.text) if self.name in _MANY_MESSAGES else None
        return max(1, int(done.group(1))) if done else 1

    @property
    def fds_handed_over(self) -> int:
        """How many descriptors this call hands to the kernel to be watched."""
        if self.replays is not None:
            return self.replays.fds_handed_over
        match self.name:
            case "select" | "pselect6":
                return sum(len(group.split()) for group in _FD_SETS.findall(self.text.split("=> ")[0].split(") =")[0]))
            case "poll" | "ppoll":
                found = _POLL_COUNT.match(self.text)
                return int(found.group(1)) if found else 0
            case "epoll_ctl":
                return 1
            case _:
                return 0

    @property
    def times_out(self) -> bool:
        """Whether it waited until its timeout had passed, and nothing of what it asked for was ready."""
        if self.name == "futex":
            return "= -1 ETIMEDOUT" in self.text
        waited = _TIMED_OUT.search(self.text) and not _NOT_WAITING.search(self.text)
        return bool(waited) and self.is_one_of(READINESS_CALLS)


def command(strace: str, trace: Path, *, only: Iterable[str] = (), inject: Sequence[str] = ()) -> list[str]:
    """The words to put before a command line so that its system calls are written to `trace`.

    Args:
        strace: absolute path; the environment of the traced program is empty.
        trace: a file in a folder where strace, under the box's own user, may write.
        only: the names of those that are written; all, if there is none. What is not written costs next to nothing.
        inject: strace's injection expressions, such as "accept4:error=ECONNABORTED:when=2".
    """
    # The complement set makes "nothing else was called" a claim that a trace can support. --seccomp-bpf keeps the
    # tracer out of the way of what is not traced, and with it a tracer that dies makes traced calls fail (ENOSYS).
    words = [strace, "-f", "-ttt", "-s", "24", "--seccomp-bpf", "-o", str(trace), "-e", "signal=SIGSTOP"]
    names = [f"?{name}" for name in sorted(only)]  # with a question mark: not every architecture has each of them
    words += ["-e", "trace=" + (",".join(names) or f"!{_NO_CALL}")]
    for expression in inject:
        words += ["-e", f"inject={expression}"]
    return [*words, "--"]


def refusal(strace: str, scratch: Path, uid: int | None = None) -> str | None:
    """Why strace cannot trace a child here, as this user, or None when it can. Takes some 10 ms: it tries."""
    trace = scratch / "trial.strace"
    try:
        done = subprocess.run(
            [*command(strace, trace), "/bin/true"],
            env={},
            capture_output=True,
            timeout=60,
            text=True,
            errors="replace",
            check=False,
            user=uid,
            group=uid,
            extra_groups=None if uid is None else [],
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"strace cannot be run: {error}"
    if done.returncode != 0:
        return (
            f"strace cannot trace a child: {done.stderr.strip().splitlines()[0] if done.stderr.strip() else 'no word'}"
        )
    written = trace.read_text(errors="replace") if trace.exists() else ""
    return None if any(call.name == "execve" for call in parse(written)) else "strace wrote an empty trace"


def parse(text: str) -> list[Call]:
    """The calls in a trace, in the order they were begun. A line that only ends a call completes it; signals are left
    out, and so are calls that the kernel itself restarts."""
    reader = _Reader()
    for line in text.splitlines():
        reader.read(line)
    return reader.calls


class _Reader:
    """Makes calls of lines, one after another.

    A wait that a signal interrupts ends in ERESTART_RESTARTBLOCK, and when the signal has no handler (SIGSTOP and
    SIGCONT have none) the kernel lets the thread call restart_syscall(2): that is the same wait, and has been counted.
    What is armed then stays armed, so a program can call restart_syscall() itself at any time, and wait once more as it
    did. Each of those is a call.
    """

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.ends_s: list[float] = []
        self._open: dict[int, int | None] = {}  # by thread: the place of a call that goes on; None: not in `calls`
        self._interrupted: set[int] = set()  # threads whose last call ended so
        self._armed: dict[int, Call] = {}  # by thread: what restart_syscall() would do
        self._threads: dict[int, int] = {}
        self._armed_last: Call | None = None  # by any: a child may have its parent's

    def read(self, line: str) -> None:
        if found := _LINE.match(line):
            pid = int(found["pid"])
            pid = self._threads.setdefault(pid, pid)  # a number, or a name, once for all the calls that have it
            name, text = sys.intern(found["name"]), found["text"]
            call = Call(pid=pid, at_s=float(found["time"]), name=name, text=text)
            if call.name == "restart_syscall":
                if pid in self._interrupted:
                    self._end(line, pid, None)
                    return
                call = replace(call, replays=self._armed.get(pid, self._armed_last))
            self.calls.append(call)
            self._end(line, pid, len(self.calls) - 1)
        elif (found := _RESUMED.match(line)) and (pid := int(found["pid"])) in self._open:
            place = self._open.pop(pid)
            if place is not None:
                call = self.calls[place]
                self.calls[place] = replace(call, text=call.text.removesuffix(_UNFINISHED) + found["text"])
            self._end(line, pid, place)
        elif found := _ENDED.match(line):
            self.ends_s.append(float(found["time"]))

    def _end(self, line: str, pid: int, place: int | None) -> None:
        """Note how a call ended with this line, or that it goes on. `place` is None: the kernel has restarted it."""
        if line.endswith(_UNFINISHED):
            self._open[pid] = place
        elif line.endswith(_INTERRUPTED):
            self._interrupted.add(pid)
            if place is not None:
                self._armed[pid] = self._armed_last = self.calls[place].replays or self.calls[place]
        elif self._interrupted:
            self._interrupted.discard(pid)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The calls of one window, without the allocator's and without printing to the program's own output."""

    calls: tuple[Call, ...]
    everything: tuple[Call, ...] = ()  # the allocator's and the printing ones too: a file can be mapped
    ends_s: tuple[float, ...] = ()  # when threads and processes have ended

    @classmethod
    def of(cls, calls: Iterable[Call], *, prints: bool = True, ends_s: Iterable[float] = ()) -> "Window":
        """Those that count. `prints`: what is written to the descriptors 1 and 2 is printed, and does not."""
        everything = tuple(calls)
        kept = (c for c in everything if c.name not in ALLOCATOR_CALLS and not (prints and _PRINTING.match(c.text)))
        return cls(calls=tuple(kept), everything=everything, ends_s=tuple(ends_s))

    @property
    def total(self) -> int:
        return sum(call.worth for call in self.calls)

    def count(self, *names: str) -> int:
        """How many calls have one of these names, or replay one that has."""
        return sum(call.worth for call in self.calls if call.is_one_of(names))

    def sleeps_before(self, names: Collection[str]) -> tuple[Call, ...]:
        """Those in which it waited for the clock; a timeout only if it passed before a call with one of these names."""
        before = takewhile(lambda call: not call.is_one_of(names), self.calls)
        timeouts = tuple(call for call in before if call.times_out)
        return timeouts + tuple(call for call in self.calls if call.is_one_of(_SLEEPING_CALLS))

    def histogram(self) -> list[tuple[str, int]]:
        """Names and counts, the most frequent first."""
        counts = Counter[str]()
        for call in self.calls:
            counts[call.name] += call.worth
        return counts.most_common()

    def fds_handed_over(self) -> int:
        return sum(call.fds_handed_over for call in self.calls)

    def evidence(self, names: Iterable[str] = (), *, lines: int = 5) -> list[str]:
        """A few neighbouring lines that prove a count: from the middle of the window, where it is steady."""
        wanted = frozenset(names)
        shown = [call for call in self.calls if not wanted or call.is_one_of(wanted)]
        start = max(0, len(shown) // 2 - lines // 2)
        summary = ", ".join(f"{count:,} x {name}" for name, count in self.histogram()[:5])
        texts = (_LONG_SET.sub(r"\1 ...\2", _told(call)) for call in shown[start : start + lines])
        return [summary, *texts] if self.calls else []


def _told(call: Call) -> str:
    return call.text if call.replays is None else f"{call.text}, which replays {call.replays.text}"


class Trace:
    """A trace file that is still being written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read_bytes = 0
        self._rest = ""
        self._reader = _Reader()
        self._last_s = 0.0
        self._prints = True

    @property
    def size_bytes(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def rename(self, stem: str) -> None:
        """Give the file, which strace has open, another name in its folder."""
        self.path = self.path.rename(self.path.with_stem(stem))

    def close(self) -> None:
        """Read what is left, and remove the file."""
        self._refresh()
        self.path.unlink(missing_ok=True)

    def _refresh(self) -> None:
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            file.seek(self._read_bytes)
            while piece := file.read(_PIECE_BYTES):
                self._take(piece)

    def _take(self, piece: bytes) -> None:
        self._read_bytes += len(piece)
        *lines, self._rest = (self._rest + piece.decode("ascii", "replace")).split("\n")
        known = len(self._reader.calls)
        for line in lines:
            self._reader.read(line)
        more = self._reader.calls[known:]
        self._prints = self._prints and not any(_OUTPUT_REPLACED.match(call.text) for call in more)
        if lines and (stamp := _STAMP.match(lines[-1])):
            self._last_s = float(stamp["time"])

    def reaches(self, at_s: float) -> bool:
        """Whether something that happened at or after this time has been written: a call, or a SIGSTOP."""
        self._refresh()
        return self._last_s >= at_s

    def between(self, since_s: float, until_s: float) -> Window:
        """The calls begun in [since_s, until_s)."""
        self._refresh()
        calls = (call for call in self._reader.calls if since_s <= call.at_s < until_s)
        ends_s = (end_s for end_s in self._reader.ends_s if since_s <= end_s < until_s)
        return Window.of(calls, prints=self._prints, ends_s=ends_s)


def now_s() -> float:
    """The clock that strace stamps calls with."""
    return time.time()
