"""What a program may call while it reads through its ring: nothing else that brings it bytes of a file.

Knows the lines of a trace; knows nothing of boxes.
"""

import re
from collections.abc import Mapping

from grader.checks import Call

# What a program may call while it reads, besides io_uring_enter: nothing that brings it bytes of a file. It is a list
# of what is allowed, as there are many ways to read, and new ones.
ALLOWED = frozenset(
    [
        *("io_uring_enter", "io_uring_register"),  # the ring takes nothing but reads, and no registration
        *("brk", "munmap", "mremap", "madvise", "mprotect", "mlock", "munlock", "membarrier"),
        *("futex", "sched_yield", "sched_getaffinity", "getcpu", "set_robust_list", "rseq", "gettid", "exit"),
        *("clone", "clone3", "fork", "vfork", "wait4", "waitid", "exit_group"),  # whoever it makes is traced, too
        *("getpid", "getppid", "getpgrp", "getpgid", "getsid", "getuid", "geteuid", "getgid", "getegid", "uname"),
        *("clock_gettime", "clock_getres", "clock_nanosleep", "nanosleep", "gettimeofday", "time", "times"),
        *("getrusage", "getrlimit", "prlimit64", "sysinfo", "getrandom", "prctl", "arch_prctl"),
        *("rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigpending", "rt_sigtimedwait", "sigaltstack"),
        *("kill", "tkill", "tgkill", "pause", "alarm", "setitimer", "getitimer", "restart_syscall"),
        *("timer_create", "timer_settime", "timer_gettime", "timer_getoverrun", "timer_delete"),
        *("poll", "ppoll", "select", "pselect6", "epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait"),
        *("eventfd2", "timerfd_create", "timerfd_settime", "pipe2", "socketpair"),
        *("write", "writev", "pwrite64", "sendto", "ftruncate", "fsync", "fdatasync", "umask", "mkdir", "unlink"),
        *("open", "openat", "close", "lseek", "fcntl", "dup", "dup2", "dup3", "ioctl"),
        *("access", "faccessat", "faccessat2", "stat", "lstat", "fstat", "newfstatat", "statx", "statfs", "fstatfs"),
        *("readlink", "readlinkat", "getcwd", "getdents64"),
    ]
)


READS = frozenset({"read", "pread64", "readv", "preadv", "preadv2", "mmap"})  # with what it opened itself, of these:


LIBRARY = (
    "/usr/",
    "/lib",
    "/etc/",
    "/sys/",
    *('/dev/zero"', '/dev/null"', '/dev/random"', '/dev/urandom"'),
    *(f'/proc/self/{name}"' for name in ("stat", "statm", "status", "maps", "smaps", "smaps_rollup", "io", "limits")),
    *('/proc/stat"', '/proc/meminfo"', '/proc/cpuinfo"', '/proc/uptime"', '/proc/loadavg"', "/proc/sys/"),
)


RESULT = re.compile(r"\) += (-?\d+)")


BROKEN_OFF = re.compile(r"recvfrom\(\d+, 0x[0-9a-f]+, \d+, 0, NULL, NULL\) += \? ERESTARTSYS\b")
GO_BYTES, GO_CALLS = 64, 4  # of the scenario's own channel: "go", and the length before it


RESTRICTS = re.compile(r"io_uring_register\(\d+, (?:IORING_REGISTER_RESTRICTIONS|0xb|11)\b")


RING_AREA = re.compile(r"MAP_SHARED\|MAP_POPULATE, (\d+), (0|0x8000000|0x10000000)\)")


def a_ring_of_its_own(line: str) -> str:
    return f"a ring of its own{', polled by a kernel thread (SQPOLL)' if 'IORING_SETUP_SQPOLL' in line else ''}"


class Conduct:
    """What a program did in one window, call by call."""

    def __init__(self, fd: int, reasons: Mapping[str, str], libraries: tuple[str, ...]) -> None:
        self._reasons, self._libraries = reasons, libraries
        self._past_the_ring = re.compile(
            rf"(?!fcntl)\w+\({fd}\b|fcntl\({fd}, F_DUPFD|(?:sendfile|copy_file_range)\(.*\b{fd}, |"
            rf"mmap\((?:[^,]+, ){{4}}{fd}\b"
        )
        self._own: set[tuple[int, int]] = set()  # thread and descriptor of what it opened itself
        self._rings: set[int] = set()  # descriptors that a ring was made as
        self._ring_areas: set[tuple[int, str]] = set()  # descriptor and offset
        self._received = [0, 0]  # calls and bytes

    def offence(self, call: Call) -> str:
        """What is wrong with it; nothing when it is allowed."""
        match call.name:
            case "io_uring_setup" if "{flags=IORING_SETUP_R_DISABLED, " in call.text:
                self._rings |= {int(result[1]) for result in RESULT.finditer(call.text)}
                return ""  # how many there were is looked at in the end
            case "io_uring_setup":
                return a_ring_of_its_own(call.text)
            case "open" | "openat":
                return self._opens(call)
            case "mmap" if "MAP_ANONYMOUS" in call.text:
                return ""
            case "mmap" if (area := RING_AREA.search(call.text)) and self._maps_a_ring(int(area[1]), area[2]):
                return ""
            case "recvfrom" if self._is_go(call.text):
                return ""
            case name if name in self._reasons and self._past_the_ring.match(call.text):
                return f"{name}: {self._reasons[name]}"
            case name if name in READS and (call.pid, descriptor_of(call.text)) in self._own:
                return ""
            case name if name not in ALLOWED:
                return f"{name}: a program that reads through its ring has no need of it"
        self._forget(call)
        return ""

    def _opens(self, call: Call) -> str:
        if re.search(r'"(?:/proc/.*/fd/|/dev/fd/)', call.text):
            return "it opens the file once more"
        self._forget(call)
        result = RESULT.search(call.text)
        path = call.text.partition('"')[2]
        if result and path.startswith(self._libraries) and "/../" not in path:
            self._own.add((call.pid, int(result[1])))
        return ""

    def _forget(self, call: Call) -> None:
        """A number that means another descriptor from now on. Who has it by an unfinished line is not known."""
        if call.name == "close":
            self._own = {(pid, fd) for pid, fd in self._own if fd != descriptor_of(call.text)}
            self._rings.discard(descriptor_of(call.text))
        elif call.name in {"open", "openat", "dup", "dup2", "dup3", "fcntl"}:
            result = RESULT.search(call.text)
            self._own = {(pid, fd) for pid, fd in self._own if result and fd != int(result[1])}
            self._rings = {fd for fd in self._rings if result and fd != int(result[1])}

    def _maps_a_ring(self, fd: int, offset: str) -> bool:
        """Whether it may be one of the three areas of the one ring."""
        new = (fd, offset) not in self._ring_areas and all(fd == other for other, _ in self._ring_areas)
        new = new and fd in self._rings
        self._ring_areas.add((fd, offset))
        return new

    def _is_go(self, text: str) -> bool:
        """Whether it may be the word that lets the scenario go on. When a ring is closed, the kernel breaks off the
        wait for it, some times, and begins it anew: such a line has brought nothing.
        """
        if BROKEN_OFF.match(text):
            return True
        size = re.search(r", (\d+), 0, NULL, NULL\) += ", text)
        self._received[0] += 1
        self._received[1] += int(size[1]) if size else 0
        return self._received[0] <= GO_CALLS and self._received[1] <= GO_BYTES


def descriptor_of(line: str) -> int:
    """The one that a call is about; -1 when its line does not tell."""
    found = re.match(r"mmap\((?:[^,]+, ){4}(\d+)\b|\w+\((\d+)\b", line)
    return int(found[1] or found[2]) if found else -1


def taken_by(line: str) -> int:
    """How many requests one line of the trace says that the kernel took; what it was asked to, if the line was cut."""
    asked = re.match(r"io_uring_enter\(\d+, (\d+)", line)
    result = re.search(r"\) += (-?\d+)", line)
    return max(0, int(result[1])) if result else int(asked[1]) if asked else 0
