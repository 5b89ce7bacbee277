"""Which system calls a process tree made, as strace tells it. Knows strace's flags and text, and what in a trace is
the interpreter's own noise; knows nothing of boxes, checks or servers.

A trace grows while it is read. A window of it counts only when the trace is seen to go on behind the window's end:
an empty trace must not look like a perfect score.

Sources: strace(1) 6.1; the recipe and its traps were measured on Linux 6.18 with Python 3.8 to 3.13.
"""

import re
import subprocess
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

# The allocator's calls come and go with buffer sizes and say nothing about a server's design; clock_gettime is normally
# a vDSO call and shows up only where the vDSO is off.
ALLOCATOR_CALLS = frozenset({"mmap", "munmap", "mremap", "brk", "madvise", "clock_gettime", "gettimeofday"})
# select() is pselect6 on glibc, os.fork is clone, a thread is clone3, or clone where clone3 is refused.
READINESS_CALLS = frozenset({"select", "pselect6", "poll", "ppoll", "epoll_wait", "epoll_pwait", "epoll_pwait2"})
CLONE_CALLS = frozenset({"clone", "clone3", "fork", "vfork"})

_LINE = re.compile(r"^(?P<pid>[0-9]{1,10}) +(?P<time>[0-9]+\.[0-9]+) (?P<text>(?P<name>[a-z_0-9]+)\(.*)$")
_STAMP = re.compile(r"^[0-9]{1,10} +(?P<time>[0-9]+\.[0-9]+) ")
_PRINTING = re.compile(r"^writev?\((?:1|2)[,<]")
# After one of these, descriptor 1 or 2 may be anything, a connection too.
_OUTPUT_REPLACED = re.compile(r"^(?:dup[23]\([0-9]+, [12]\b|close\([12]\b|close_range\([0-2],)")
_FD_SETS = re.compile(r"\[([0-9 ]*)\]")
_LONG_SET = re.compile(r"(\[[0-9]+(?: [0-9]+){3})(?: [0-9]+){4,}((?: [0-9]+){2}\])")  # what follows it tells more
_POLL_COUNT = re.compile(r"^p?poll\((?:\[[^]]*\]|0x[0-9a-f]+|NULL), ([0-9]{1,10})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One system call that was begun. `at_s` is strace's clock: seconds since the epoch, as time.time() gives."""

    pid: int
    at_s: float
    name: str
    text: str

    @property
    def fds_handed_over(self) -> int:
        """How many descriptors this call hands to the kernel to be watched."""
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


def command(strace: str, trace: Path, *, inject: Sequence[str] = ()) -> list[str]:
    """The words to put before a command line so that all its system calls are written to `trace`.

    Args:
        strace: absolute path; the environment of the traced program is empty.
        trace: a file in a folder where strace, under the box's own user, may write.
        inject: strace's injection expressions, such as "accept4:error=ECONNABORTED:when=2".
    """
    # The complement set makes "nothing else was called" a claim that a trace can support. --seccomp-bpf keeps the
    # tracer out of the way of what is not traced, and with it a tracer that dies makes traced calls fail (ENOSYS).
    words = [strace, "-f", "-ttt", "-s", "24", "--seccomp-bpf", "-o", str(trace), "-e", "signal=SIGSTOP"]
    words += ["-e", "trace=!restart_syscall"]
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
            timeout=20,
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
    """The calls in a trace, in the order they were begun. Lines that only end a call, and signals, are left out."""
    return [call for line in text.splitlines() if (call := _call(line))]


def _call(line: str) -> Call | None:
    found = _LINE.match(line)
    if not found:
        return None
    return Call(pid=int(found["pid"]), at_s=float(found["time"]), name=found["name"], text=found["text"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The calls of one window, without the allocator's and without printing to the program's own output."""

    calls: tuple[Call, ...]
    everything: tuple[Call, ...] = ()  # the allocator's and the printing ones too: a file can be mapped

    @classmethod
    def of(cls, calls: Iterable[Call], *, prints: bool = True) -> "Window":
        """Those that count. `prints`: what is written to the descriptors 1 and 2 is printed, and does not."""
        everything = tuple(calls)
        kept = (c for c in everything if c.name not in ALLOCATOR_CALLS and not (prints and _PRINTING.match(c.text)))
        return cls(calls=tuple(kept), everything=everything)

    @property
    def total(self) -> int:
        return len(self.calls)

    def count(self, *names: str) -> int:
        """How many calls have one of these names."""
        return sum(call.name in names for call in self.calls)

    def histogram(self) -> list[tuple[str, int]]:
        """Names and counts, the most frequent first."""
        return Counter(call.name for call in self.calls).most_common()

    def fds_handed_over(self) -> int:
        return sum(call.fds_handed_over for call in self.calls)

    def evidence(self, names: Iterable[str] = (), *, lines: int = 5) -> list[str]:
        """A few neighbouring lines that prove a count: from the middle of the window, where it is steady."""
        wanted = frozenset(names)
        shown = [call for call in self.calls if not wanted or call.name in wanted]
        start = max(0, len(shown) // 2 - lines // 2)
        summary = ", ".join(f"{count:,} x {name}" for name, count in self.histogram()[:5])
        texts = (_LONG_SET.sub(r"\1 ...\2", call.text) for call in shown[start : start + lines])
        return [summary, *texts] if self.calls else []


class Trace:
    """A trace file that is still being written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read_bytes = 0
        self._rest = ""
        self._calls: list[Call] = []
        self._last_s = 0.0
        self._prints = True

    @property
    def size_bytes(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def _refresh(self) -> None:
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            file.seek(self._read_bytes)
            data = file.read()
        self._read_bytes += len(data)
        *lines, self._rest = (self._rest + data.decode("utf-8", "replace")).split("\n")
        more = [call for line in lines if (call := _call(line))]
        self._calls += more
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
        calls = (call for call in self._calls if since_s <= call.at_s < until_s)
        return Window.of(calls, prints=self._prints)

    def between_marks(self, first: str, last: str) -> Window | None:
        """The calls between two that name these paths, which no other call does. None until both are written."""
        self._refresh()
        places = [[n for n, call in enumerate(self._calls) if f'"{path}"' in call.text] for path in (first, last)]
        if not all(places):
            return None
        return Window.of(self._calls[places[0][0] + 1 : places[1][-1]], prints=self._prints)


def now_s() -> float:
    """The clock that strace stamps calls with."""
    return time.time()
