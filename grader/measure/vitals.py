"""What psutil sees of a process: threads, descriptors, memory, children, and whether it sleeps. Knows psutil's races;
knows nothing of boxes, checks or servers. A process that is gone is `Gone`, whatever psutil called it.
"""

import contextlib
import errno
import os
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import psutil

from grader.failures import Crashed, Unmeasured

_T = TypeVar("_T")


class Gone(Crashed):
    """The process ended before it could be looked at. Nobody but the program ends it, so that is an outcome."""

    @classmethod
    def of(cls, pid: int) -> "Gone":
        return cls(expected="the program goes on", seen=f"process {pid} has ended")


class Hidden(Unmeasured):
    """The kernel does not let it be looked at, as `proc(5)` says of whoever is not dumpable, or of a strict machine."""

    @classmethod
    def by(cls, pid: int, error: Exception) -> "Hidden":
        return cls(f"This machine does not let process {pid} be looked at: {error}.")


def _look(pid: int, read: Callable[[psutil.Process], _T]) -> _T:
    try:
        return read(psutil.Process(pid))
    except (psutil.NoSuchProcess, ProcessLookupError, FileNotFoundError) as error:
        raise Gone.of(pid) from error
    except (psutil.AccessDenied, PermissionError) as error:
        raise Hidden.by(pid, error) from error


def threads(pid: int) -> int:
    """By the kernel's list of them: psutil looks for "Threads:" in a text that begins with the program's own name."""
    return _look(pid, lambda process: len(os.listdir(f"/proc/{process.pid}/task")))


def open_fds(pid: int) -> int:
    return _look(pid, lambda process: process.num_fds())


def descriptors(pid: int) -> tuple[str, ...]:
    """What each open descriptor is, as /proc names it: "socket:[4711]" for a socket, by its inode."""

    def names(process: psutil.Process) -> list[str]:
        found = []
        for entry in os.scandir(f"/proc/{process.pid}/fd"):
            try:
                found.append(os.readlink(entry.path))
            except FileNotFoundError:  # closed since the listing
                continue
            except OSError as error:
                if error.errno != errno.ENAMETOOLONG:
                    raise
                found.append("")  # a path of more than a page, which no socket or pipe has
        return found

    return tuple(_look(pid, names))


def rss_bytes(pid: int) -> int:
    """Resident memory. Does not contain the kernel's share: some 8 kB for both ends of a TCP connection."""
    return _look(pid, lambda process: int(process.memory_info().rss))


def mappings(pid: int, name: str) -> int:
    """How many of its mappings have this in their name: proc(5), maps. Names are bytes, as long as paths can be."""
    try:
        with Path("/proc", str(pid), "maps").open("rb") as file:
            return sum(name.encode() in line for line in file)
    except OSError as error:
        raise Gone.of(pid) from error


def unseen_bytes(pid: int, *, folders: Sequence[str] = ()) -> int:
    """Memory that no resident set shows: of files without a name that it holds open, memfd_create(2) and what was
    unlinked, each once; and of all that lies in these folders of its own, each of which is a tmpfs."""
    held: dict[tuple[int, int], int] = {}
    try:
        folder = f"/proc/{pid}/fd/"
        for entry in os.listdir(folder):  # ten thousand of them, so without a Path for each
            with contextlib.suppress(FileNotFoundError):
                found = os.stat(folder + entry)  # noqa: PTH116
                if stat.S_ISREG(found.st_mode) and found.st_nlink == 0:
                    held[found.st_dev, found.st_ino] = found.st_blocks * 512
        roots = [Path(f"/proc/{pid}/root{folder}") for folder in folders]
        rooms, devices = [os.statvfs(root) for root in roots], {root.stat().st_dev for root in roots}
    except (FileNotFoundError, ProcessLookupError) as error:
        raise Gone.of(pid) from error
    except PermissionError as error:
        raise Hidden.by(pid, error) from error
    unlinked = sum(size for (device, _), size in held.items() if device not in devices)
    return unlinked + sum((room.f_blocks - room.f_bfree) * room.f_frsize for room in rooms)


def children(pid: int) -> tuple[int, ...]:
    """Descendants that are no zombies."""
    return tuple(child for child, zombie in _descendants(pid) if not zombie)


def zombies(pid: int) -> tuple[int, ...]:
    """Descendants that have ended and that nobody has waited for."""
    return tuple(child for child, zombie in _descendants(pid) if zombie)


def _descendants(pid: int) -> Iterator[tuple[int, bool]]:
    """Children, children's children and so on, each with whether it is a zombie."""
    for child in _look(pid, _children_of):
        with contextlib.suppress(Gone):  # it may have ended since the listing
            yield child, _look(child, lambda process: process.status()) == psutil.STATUS_ZOMBIE
            yield from _descendants(child)


def _children_of(process: psutil.Process) -> list[int]:
    """The kernel's own list, where it keeps one (proc(5), CONFIG_PROC_CHILDREN); psutil walks through all of /proc."""
    try:
        tasks = list(Path("/proc", str(process.pid), "task").iterdir())
        return [int(child) for task in tasks for child in _text(task / "children").split()]
    except OSError:
        return [child.pid for child in process.children()]


def session(pid: int) -> int:
    """The session that a process belongs to: those of one bare box share one."""
    try:
        return os.getsid(pid)
    except ProcessLookupError as error:
        raise Gone.of(pid) from error


def inner_pid(pid: int) -> int:
    """The number that a process has in its own pid namespace, as its os.getpid() says."""
    (numbers,) = _first(_status(Path("/proc", str(pid)), "NSpid"), pid)
    return int(numbers.split()[-1])


def is_pending(pid: int, number: int) -> bool:
    """Whether a signal has been sent to a process that blocks it: proc(5), ShdPnd."""
    (pending,) = _first(_status(Path("/proc", str(pid)), "ShdPnd"), pid)
    return bool(int(pending, 16) >> (number - 1) & 1)


def switches(pid: int) -> int:
    """How often the threads that it has now have gone to sleep so far (voluntary context switches)."""
    return sum(int(count) for (count,) in _tasks(pid, "voluntary_ctxt_switches"))


def cpu_s(pid: int) -> float:
    """Processor time that it has used, exact to the nanosecond (clock_getcpuclockid(3), without its checks)."""
    try:
        return time.clock_gettime(~pid << 3 | 2)
    except OSError as error:
        raise Gone.of(pid) from error


def is_stopped(pid: int) -> bool:
    """Stopped by a signal, whether a tracer stands by or not."""
    return _look(pid, lambda process: process.status()) in (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulse:
    """Two equal pulses of a sleeping process: it has done nothing in between, however busy the machine is."""

    sleeping: bool
    stopped: bool  # by a signal
    cpu_s: float
    switches: int


def pulse(pid: int) -> Pulse:
    """A task that waits in a system call sleeps; one that waits for a processor is runnable, and does not."""
    wanted = ("State", "voluntary_ctxt_switches", "nonvoluntary_ctxt_switches")
    looks = _tasks(pid, *wanted)
    return Pulse(
        sleeping=all(state[0] in "SI" for state, _, _ in looks),
        stopped=all(state[0] in "Tt" for state, _, _ in looks),
        cpu_s=cpu_s(pid),
        switches=sum(int(voluntary) + int(other) for _, voluntary, other in looks),
    )


def turns(pid: int) -> dict[int, int]:
    """How often each of its threads has given up its processor: one that sleeps, and has not, slept all the time."""
    looks = _tasks(pid, "Pid", "voluntary_ctxt_switches", "nonvoluntary_ctxt_switches")
    return {int(task): int(voluntary) + int(other) for task, voluntary, other in looks}


def _tasks(pid: int, *names: str) -> list[tuple[str, ...]]:
    """These fields of each thread's status; psutil has the first thread's switches and state only."""
    try:
        folders = list(Path("/proc", str(pid), "task").iterdir())
    except OSError as error:
        raise Gone.of(pid) from error
    found = [fields for folder in folders for fields in _status(folder, *names)]
    _first(found, pid)
    return found


def _status(folder: Path, *names: str) -> list[tuple[str, ...]]:
    """Fields of one status file, as a list of one; empty when the task has ended meanwhile."""
    try:
        lines = _text(folder / "status").split("\n")
    except OSError:
        return []
    fields = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    return [tuple(fields[name] for name in names)]


def _text(file: Path) -> str:
    """A file of /proc. A program chooses its own name and those of its threads, of any bytes but the newline: they need
    be no text, and may hold what Python takes for the end of a line.
    """
    return file.read_bytes().decode("utf-8", "replace")


def _first(found: list[tuple[str, ...]], pid: int) -> tuple[str, ...]:
    if not found:
        raise Gone.of(pid)
    return found[0]


# Where a sleeping task waits, by the kernel's function (proc(5), wchan), in words of the system call interface.
_WAITS = {
    "ep_poll": "epoll_wait()",
    "do_epoll_wait": "epoll_wait()",
    "poll_schedule_timeout": "select() or poll()",
    "sk_wait_data": "a blocking recv()",
    "wait_woken": "a blocking recv() or send()",
    "unix_stream_read_generic": "a blocking recv()",
    "sk_stream_wait_memory": "a blocking send()",
    "sock_alloc_send_pskb": "a blocking send()",
    "inet_csk_accept": "a blocking accept()",
    "futex_wait_queue_me": "a lock",
    "futex_wait_queue": "a lock",
    "futex_do_wait": "a lock",
    "hrtimer_nanosleep": "sleep()",
    "do_nanosleep": "sleep()",
    "do_wait": "wait()",
    "do_sigtimedwait": "sigwait()",
    "pipe_read": "a read from a pipe",
    "anon_pipe_read": "a read from a pipe",
    "pipe_write": "a write to a pipe",
    "anon_pipe_write": "a write to a pipe",
    "io_cqring_wait": "io_uring_enter()",
}


def waits_in(pid: int) -> str | None:
    """What a sleeping process waits in, when the kernel tells."""
    try:
        function = _text(Path("/proc", str(pid), "wchan"))
    except OSError:
        return None
    return _WAITS.get(function.partition(".")[0])  # a compiler's copy is called poll_schedule_timeout.constprop.0
