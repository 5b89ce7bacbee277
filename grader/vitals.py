"""What psutil sees of a process: threads, descriptors, memory, children, and whether it sleeps. Knows psutil's races;
knows nothing of boxes, checks or servers. A process that is gone is `Gone`, whatever psutil called it.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import psutil

from grader.failures import Unmeasured

_T = TypeVar("_T")


class Gone(Exception):
    """The process ended before it could be looked at."""


def _look(pid: int, read: Callable[[psutil.Process], _T]) -> _T:
    try:
        return read(psutil.Process(pid))
    except (psutil.NoSuchProcess, ProcessLookupError, FileNotFoundError) as error:
        raise Gone(f"process {pid} has ended") from error
    except psutil.AccessDenied as error:
        raise Unmeasured(f"This machine does not let process {pid} be looked at: {error}.") from error


def threads(pid: int) -> int:
    return _look(pid, lambda process: process.num_threads())


def open_fds(pid: int) -> int:
    return _look(pid, lambda process: process.num_fds())


def rss_bytes(pid: int) -> int:
    """Resident memory. Does not contain the kernel's share: some 8 kB for both ends of a TCP connection."""
    return _look(pid, lambda process: int(process.memory_info().rss))


def children(pid: int) -> tuple[int, ...]:
    """Descendants that are no zombies."""

    def read(process: psutil.Process) -> tuple[int, ...]:
        found = []
        for child in process.children(recursive=True):
            try:
                if child.status() != psutil.STATUS_ZOMBIE:
                    found.append(child.pid)
            except psutil.NoSuchProcess:  # it ended between the listing and the look
                continue
        return tuple(found)

    return _look(pid, read)


def cpu_s(pid: int) -> float:
    """Processor time that it has used, exact to the nanosecond (clock_getcpuclockid(3), without its checks)."""
    try:
        return time.clock_gettime(~pid << 3 | 2)
    except OSError as error:
        raise Gone(f"process {pid} has ended") from error


def is_stopped(pid: int) -> bool:
    """Stopped by a signal, whether a tracer stands by or not."""
    return _look(pid, lambda process: process.status()) in (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulse:
    """Two equal pulses of a sleeping process: it has done nothing in between, however busy the machine is."""

    sleeping: bool
    cpu_s: float
    switches: int


def pulse(pid: int) -> Pulse:
    """A process that waits in a system call sleeps; one that waits for a processor is runnable, and does not."""

    def read(process: psutil.Process) -> Pulse:
        with process.oneshot():
            times, switches = process.cpu_times(), process.num_ctx_switches()
            sleeping = process.status() in (psutil.STATUS_SLEEPING, psutil.STATUS_IDLE)
        return Pulse(
            sleeping=sleeping,
            cpu_s=times.user + times.system,
            switches=switches.voluntary + switches.involuntary,
        )

    return _look(pid, read)


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
    "pipe_read": "a read from a pipe",
    "anon_pipe_read": "a read from a pipe",
    "pipe_write": "a write to a pipe",
    "anon_pipe_write": "a write to a pipe",
    "io_cqring_wait": "io_uring_enter()",
}


def waits_in(pid: int) -> str | None:
    """What a sleeping process waits in, when the kernel tells."""
    try:
        function = Path("/proc", str(pid), "wchan").read_text()
    except OSError:
        return None
    return _WAITS.get(function.partition(".")[0])  # a compiler's copy is called poll_schedule_timeout.constprop.0
