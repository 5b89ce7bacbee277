"""The wall: how a submission is kept from the judge, the host and other submissions. Knows bubblewrap, and who may read
which path; knows nothing of checks, servers or traces.

A box is `bwrap` with everything that its defaults leave open closed again:

    default                                             here
    root keeps all capabilities                         --cap-drop ALL, and root starts it as an unused user
    pid 1 keeps the caller's environment                an empty environment; options on a descriptor, not in argv
    inherited descriptors pass through                  exactly the ones named
    a socket of the host's network leads out            sockets are made in the judge's private network
    / and /dev are writable, tmpfs takes half the RAM   remounted read-only; one tmpfs of a few MiB
    output to a file can be rewritten                   pipes only
    strace can be escaped                               a static filter: no CLONE_UNTRACED, no seccomp(), no clone3

Sources: bwrap(1) 0.8, seccomp(2), strace(1) BUGS, strace issues 75 and 303. Each row was
reproduced before it was closed.
"""

import contextlib
import errno
import json
import math
import os
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final

from grader.box import inside, kernel
from grader.box import seccomp as call_filter
from grader.errors import GraderError

# One user for each judge keeps parallel gradings apart. The range is unused on Debian and Ubuntu
# (adduser(8) ends at 59,999, systemd's dynamic users begin at 61,184) and exists in a container with 65,536 ids.
_BOX_UIDS = range(60_100, 61_100)
_OUTPUT_BYTES = 64 * 1024
TRACE_BYTES = 16 << 20  # four times the longest of a reference: a host's disk and the judge's memory have room for it
# Python 3.14 runs code that another process has written into its memory (PEP 768). The option is for an interpreter
# that reads no environment, the variable for those that it starts; older ones know neither and say nothing.
NO_REMOTE_DEBUG: Final = ("PYTHON_DISABLE_REMOTE_DEBUG", "1")
NO_REMOTE_DEBUG_X: Final = "disable-remote-debug"
_CHANNEL_BYTES = 1 << 20  # of what was said on the channel, where that is kept
_ENDING_S = 20.0  # what stands around a program ends when that has; on a busy machine a little later
_SEND_S = 30.0  # for a program that does not read; a busy machine is slow, but not as slow


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one box may use."""

    memory_mb: int
    processes: int
    tmp_mb: int
    open_files: int

    def as_rlimits(self) -> dict[str, int]:
        return {
            "AS": self.memory_mb << 20,
            "NPROC": self.processes,
            "NOFILE": self.open_files,
            "FSIZE": self.tmp_mb << 20,
            "CORE": 0,
        }


def raise_open_files() -> None:
    """Allow this process as many descriptors as its hard limit says."""
    hard = hard_open_files()
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def hard_open_files() -> int:
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]


# --- the wall -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Canary:
    """What must not be reachable from the inside: a file, a TCP port and an abstract socket of the host's, a secret in
    the judge's environment."""

    port: int
    abstract: str
    environ: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wall:
    """What all boxes of one judge have in common."""

    boxed: bool
    bwrap: str
    staging: Path  # a world-reachable folder: inside.py, submission/, given/, traces/, canary
    canary: Canary | None
    uid: int | None  # the user that boxes run as, when the judge is root
    python: tuple[tuple[Path, Path], ...] = ()  # prefixes of the base interpreter, and where the judge reaches them
    hidden: tuple[Path, ...] = ()  # folders below what a box shows that it shows empty

    @property
    def folder(self) -> str:
        """The submission's folder, as the program in the box sees it."""
        return "/box/submission" if self.boxed else str(self.staging / "submission")

    @property
    def given(self) -> str:
        return "/box/given" if self.boxed else str(self.staging / "given")

    @property
    def traces(self) -> Path:
        return self.staging / "traces"


def base_interpreter() -> Path:
    """The interpreter behind the virtual environment: the box sees no environment and no shim."""
    return Path(os.path.realpath(getattr(sys, "_base_executable", sys.executable)))


@contextlib.contextmanager
def box_user() -> Iterator[int | None]:
    """The user that this judge's boxes run as while the block lasts, when the judge is root: no other judge's.

    The kernel counts a user's processes, pipes and descriptors in flight, wherever they run. The name of an abstract
    socket is one process's at a time, and free when that has ended, however. Names belong to a network, so ask in the
    host's, before the judge has its own.

    Raises:
        GraderError: all are taken.
    """
    if os.getuid() != 0:
        yield None
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as claim:
        first = os.getpid() % len(_BOX_UIDS)
        for uid in (*_BOX_UIDS[first:], *_BOX_UIDS[:first]):
            try:
                claim.bind(f"\0tracegrade-user-{uid}")
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
            else:
                yield uid
                return
    raise GraderError(
        f"All {len(_BOX_UIDS):,} users that boxes run as are taken, each by a grading that is under way. "
        "Grade fewer submissions at a time."
    )


def build_wall(
    staging: Path,
    *,
    boxed: bool,
    bwrap: str,
    canary: Canary | None,
    uid: int | None,
    hidden: Sequence[Path] = (),
) -> Wall:
    """Lay out the staging folder for the boxes. As root, in the judge's own mounts, make the interpreter reachable.

    Args:
        uid: the user that boxes run as, as `box_user` gave it.
        hidden: folders that a box must not show, wherever they lie: a course may lie below /usr.

    Raises:
        GraderError: the boxes' user cannot reach the folder or the interpreter; the message has the cure.
    """
    shutil.copyfile(Path(inside.__file__), staging / "inside.py")
    (staging / "canary").write_text("a file of the host\n")
    traces = staging / "traces"
    traces.mkdir(exist_ok=True)  # a judge that was refused the box has been here
    if uid is not None:
        os.chown(traces, uid, uid)
    for parent in staging.resolve().parents:
        if uid is not None and not parent.stat().st_mode & 0o001:
            raise GraderError(
                f"The temporary folder {staging.parent} cannot be reached by the user that submissions run as: "
                f"{parent} is closed to others. Set TMPDIR to a folder that everyone can reach, such as /tmp."
            )
    python = _python_prefixes(uid, staging / "python")
    shown = (Path("/usr"), *(prefix for prefix, _ in python))
    covered = tuple(p for p in map(Path.resolve, hidden) if any(p.is_relative_to(tree) for tree in shown))
    return Wall(boxed=boxed, bwrap=bwrap, staging=staging, canary=canary, uid=uid, python=python, hidden=covered)


def library_folders(modules: Iterable[str]) -> list[Path]:
    """Where the standard library keeps these packages; a module that is one file has none."""
    library = Path(os.__file__).parent
    folders = (library.joinpath(*module.split(".")) for module in modules)
    return [folder for folder in folders if folder.is_dir()]


def _python_prefixes(uid: int | None, below: Path) -> tuple[tuple[Path, Path], ...]:
    """Folders outside of /usr that the interpreter needs, each with the place where the boxes' user can reach it.

    Root shows them at second places: the boxes' user may not be allowed to walk through a home folder.
    """
    wanted = {Path(os.path.realpath(p)) for p in (sys.base_prefix, sys.base_exec_prefix, base_interpreter().parent)}
    outside = [p for p in wanted if not p.is_relative_to("/usr")]
    tops = sorted(p for p in outside if not any(p != other and p.is_relative_to(other) for other in outside))
    if uid is None or not tops:
        return tuple((top, top) for top in tops)
    below.mkdir(exist_ok=True)
    try:
        return tuple(zip(tops, kernel.show_read_only(tops, below), strict=True))
    except OSError as error:
        raise GraderError(
            f"The interpreter in {tops[0]} cannot be shown to submissions ({error.strerror}). "
            "Use one below /usr: `make clean && make PYTHON=/usr/bin/python3`."
        ) from error


def _options(wall: Wall, limits: Limits) -> list[str]:
    """bwrap's options. The order matters: a later mount covers an earlier one."""
    words = ["--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
    words += ["--disable-userns", "--uid", "1000", "--gid", "1000", "--hostname", "box"]
    words += ["--cap-drop", "ALL", "--die-with-parent", "--new-session", "--clearenv"]
    words += ["--setenv", "PATH", "/usr/bin:/bin", "--setenv", "LANG", "C.UTF-8", "--setenv", "HOME", "/tmp"]
    words += ["--setenv", "MALLOC_ARENA_MAX", "2"]  # malloc maps 64 MiB for the arena of each thread
    words += ["--setenv", *NO_REMOTE_DEBUG]
    words += ["--ro-bind", "/usr", "/usr"]
    for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32"):
        top = Path("/", name)
        if top.is_symlink():
            words += ["--symlink", os.readlink(top), str(top)]
        elif top.is_dir():
            words += ["--ro-bind", str(top), str(top)]
    words += ["--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache"]
    for prefix, reached_at in wall.python:
        words += ["--ro-bind", str(reached_at), str(prefix)]
    for unseen in wall.hidden:
        words += ["--size", "4096", "--tmpfs", str(unseen), "--remount-ro", str(unseen)]
    words += ["--proc", "/proc", "--dev", "/dev"]
    for name in ("inside.py", "submission", "given"):
        words += ["--ro-bind", str(wall.staging / name), f"/box/{name}"]
    for folder in ("/dev/shm", "/tmp"):
        words += ["--size", str(limits.tmp_mb << 20), "--perms", "0700", "--tmpfs", folder]
    return [*words, "--chdir", "/tmp", "--remount-ro", "/dev", "--remount-ro", "/"]


# --- one box ------------------------------------------------------------------------------------------------------


class Lost(Enum):
    """Whether a box ended by SIGKILL, and which of its processes was hit."""

    NO = 0
    INSIDE = 1  # the program: out of memory, a person, or itself
    OUTSIDE = 2  # strace or bwrap, out of the program's reach


class BoxEnded(Exception):
    """The box's program has ended, or says what is not a message."""


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
        pid: the program's process, as the host numbers it.
        first_pid: process 1 of the box, which adopts its orphans; 0 when bare.
        outermost_pid: strace's or bwrap's: killing it kills the whole box.
        traced: whether strace stands before it.
        channel: what judge and box have said, a line each, the first MiB of it; None when that is not taken down.

    Raises:
        GraderError: it could not be started.
    """

    def __init__(
        self,
        wall: Wall,
        limits: Limits,
        *,
        tracer: Sequence[str],
        pass_fds: Sequence[int],
        allows: Collection[str] = (),
        one_more_filter: bool = False,
        takes_down: bool = False,
    ) -> None:
        self._wall, self._limits, self.traced = wall, limits, bool(tracer)
        self._one_more_filter = one_more_filter
        self.channel = bytearray() if takes_down else None
        self._near, far = socket.socketpair()
        self._near.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._output = _Output()
        self._files = contextlib.ExitStack()
        self.pid = self.uid = self.first_pid = 0
        self._pidfd = self._first_pidfd = self._outermost_pidfd = -1
        try:
            with far:
                command, fds = self._command(far.fileno(), tracer, frozenset(allows))
                self._process = self._start(command, [*fds, *pass_fds, far.fileno()])
            self.outermost_pid = self._process.pid
            self._outermost_pidfd = os.pidfd_open(self.outermost_pid)
        except BaseException as error:
            self._near.close()
            self._files.close()
            if isinstance(error, (OSError, subprocess.SubprocessError)):
                raise GraderError(f"A box could not be started: {error}.") from error
            raise
        assert self._process.stdout is not None  # a pipe was asked for
        self._drain = threading.Thread(target=self._output.drain, args=(self._process.stdout,), daemon=True)
        self._drain.start()

    def _command(self, channel: int, tracer: Sequence[str], allows: frozenset[str]) -> tuple[list[str], list[int]]:
        python = [str(base_interpreter()), "-I", "-X", NO_REMOTE_DEBUG_X, "-B", "-u"]
        if not self._wall.boxed:
            return [*tracer, *python, str(self._wall.staging / "inside.py"), str(channel)], []
        library = call_filter.libseccomp()
        if library is None:
            raise GraderError("libseccomp.so.2 is missing: `sudo apt-get install -y libseccomp2`.")
        bpf = self._scratch_file()
        bpf.write(call_filter.program(library, allows=allows))
        bpf.seek(0)
        filters = [bpf]
        if self._one_more_filter:  # first: behind the other one, no filter can be installed
            filters.insert(0, self._scratch_file())
            filters[0].write(call_filter.ALLOWS_ALL)
            filters[0].seek(0)
        options = self._scratch_file()
        words = _options(self._wall, self._limits)
        words += [word for file in filters for word in ("--add-seccomp-fd", str(file.fileno()))]
        options.write(b"".join(os.fsencode(word) + b"\0" for word in words))
        options.seek(0)
        bwrap = [self._wall.bwrap, "--args", str(options.fileno()), "--"]
        return [*tracer, *bwrap, *python, "/box/inside.py", str(channel)], [
            file.fileno() for file in (*filters, options)
        ]

    def _scratch_file(self) -> IO[bytes]:
        """An open file without a name, for bwrap to read; closed when the box has started."""
        return self._files.enter_context(tempfile.TemporaryFile())

    def _start(self, command: list[str], fds: list[int]) -> "subprocess.Popen[bytes]":
        parent = os.getpid()
        # A tracer and its tracee on one core take 16 microseconds a call, on two cores 123. A box without a tracer has
        # one core too: a program must not see which run is counted.
        cores = sorted(os.sched_getaffinity(0))
        core = {cores[parent % len(cores)]}  # judges that run side by side do not all take one
        uid = self._wall.uid

        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        longest = TRACE_BYTES if hard == resource.RLIM_INFINITY else min(TRACE_BYTES, hard)

        def between_fork_and_exec() -> None:
            kernel.die_with_parent(parent)
            os.sched_setaffinity(0, core)
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
        """Lower the program's rights, before any line of a submission runs, and let it try the wall.

        Returns:
            What is missing: protection and complaint. Empty when bare, where nothing is claimed.
        """
        canary = self._wall.canary
        probes = [name for name in inside.PROBES if thorough or name != "limits"]
        start: dict[str, Any] = {"op": "start", "limits": self._limits.as_rlimits(), "boxed": self._wall.boxed}
        if not self._wall.boxed:
            del start["limits"]["NPROC"]  # it would count all the processes of the person who runs this
        elif canary is not None:
            start["probes"] = probes
            start["canary"] = {
                "file": str(self._wall.staging / "canary"),
                "folder": self._wall.folder,
                "port": canary.port,
                "abstract": canary.abstract,
                "environ": canary.environ,
            }
        self.send(start)
        answer = self.receive(timeout_s)
        self._files.close()
        complaints = answer.get("probes")
        if self.pid == 0 or not isinstance(complaints, dict):
            raise BoxEnded("the box did not introduce itself")
        if self._wall.boxed and self.uid == 0:
            complaints["user"] = "the program's user is root outside of its namespace"
        try:
            self._pidfd = os.pidfd_open(self.pid)
            if self._wall.boxed:
                self.first_pid = _parent_pid(self.pid)
                self._first_pidfd = os.pidfd_open(self.first_pid)
        except OSError as error:
            raise BoxEnded("the program has ended") from error
        return {str(name): str(complaint) for name, complaint in complaints.items() if complaint}

    def send(self, message: Mapping[str, Any]) -> None:
        data = json.dumps(message).encode()
        self._take_down(b"judge", data)
        self._near.settimeout(_SEND_S)
        try:
            self._near.sendall(struct.pack(">I", len(data)) + data)
        except TimeoutError as error:
            raise BoxEnded("the program does not read its channel") from error
        except OSError as error:
            raise BoxEnded("the program has closed its channel") from error

    def receive(self, timeout_s: float) -> dict[str, Any]:
        """The next message. It comes from a stranger: its size, depth, numbers and type are checked.

        Raises:
            BoxEnded: the channel is closed, or what came is no message.
            TimeoutError: it did not come, or not to its end: bytes that trickle in buy no time.
        """
        deadline_s = time.monotonic() + timeout_s
        try:
            (size,) = struct.unpack(">I", self._exactly(4, deadline_s))
            if size > inside.MAX_FRAME_BYTES:
                raise BoxEnded(f"a message of {size:,} bytes came out of the box")
            data = self._exactly(size, deadline_s)
            self._take_down(b"box", data)
            message = json.loads(data, parse_constant=_no_constants, parse_float=_finite)
        except TimeoutError:
            raise
        except OSError as error:  # ECONNRESET: it ended before it had read everything
            raise BoxEnded("the program has ended") from error
        except (ValueError, RecursionError) as error:
            raise BoxEnded("what came out of the box is not a message") from error
        if not isinstance(message, dict):
            raise BoxEnded("what came out of the box is not a message")
        return message

    def _take_down(self, who: bytes, data: bytes) -> None:
        if self.channel is not None and len(self.channel) + len(data) < _CHANNEL_BYTES:
            self.channel += who + b" " + data.replace(b"\n", b" ") + b"\n"

    def _exactly(self, wanted: int, deadline_s: float) -> bytes:
        got = bytearray()
        while len(got) < wanted:
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                raise TimeoutError
            if not _readable(self._near.fileno(), self._outermost_pidfd, timeout_s=left_s):
                raise TimeoutError
            if not _readable(self._near.fileno()):  # what is inside of a dead tracer or wall may hang for ever
                raise BoxEnded("the program has ended")
            self._near.settimeout(0)
            data, ancillary, _flags, _address = self._near.recvmsg(wanted - len(got), socket.CMSG_SPACE(12))
            if not data:
                raise BoxEnded("the program has ended")
            if self.pid == 0:  # struct ucred: pid, uid, gid, translated by the kernel to the judge's namespaces
                for _level, kind, payload in ancillary:
                    if kind == socket.SCM_CREDENTIALS:
                        self.pid, self.uid, _ = struct.unpack("3i", payload)
            got += data
        return bytes(got)

    def has_message(self) -> bool:
        """Whether a message, or the channel's end, is there to be received."""
        self._near.settimeout(0)
        try:
            self._near.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return True

    def wait_for_message(self, timeout_s: float) -> bool:
        """As `has_message`, when there is one, the box has ended or the time is over."""
        _readable(self._near.fileno(), self._outermost_pidfd, timeout_s=timeout_s)
        return self.has_message()

    # --- ending

    @property
    def alive(self) -> bool:
        """Whether the program in the box still runs, and what it runs in."""
        return self._pidfd >= 0 and not _readable(self._pidfd, self._outermost_pidfd)

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
            self._drain.join(timeout=_ENDING_S if self._wall.boxed else 1.0)  # a bare one may have left a writer
        rest = self._output.dropped_bytes
        return bytes(self._output.kept) + (b"\n... and %d bytes more" % rest if rest else b"")

    def lost_to_kill(self) -> Lost:
        """Whether somebody killed it with SIGKILL: the kernel out of memory, a person, or the program itself.

        Nothing in a box can kill strace or bwrap, so those are never the student's fault; of the program itself it
        cannot be told. Either way the sample says nothing and is taken again. A bare program can kill its tracer, which
        ends by the signal that it has ended by.
        """
        if self._process.poll() is None and not self.alive:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_ENDING_S)
        match self._process.poll():
            case -9 if self._wall.boxed or not self.pid:
                return Lost.OUTSIDE
            case -9 | 137:
                return Lost.INSIDE
            case _:
                return Lost.NO

    def ended_by(self) -> str:
        """How the program ended, for a person."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(2.0 if self.alive else _ENDING_S)
        code = self._process.poll()
        if code is None:
            return "it still runs, but closed its channel"
        if code > 128 or code < 0:
            number = code - 128 if code > 0 else -code
            if self.traced and number == signal.SIGXFSZ:
                return f"signal SIGXFSZ: a trace of its system calls has more than {TRACE_BYTES >> 20} MiB"
            with contextlib.suppress(ValueError):
                return f"signal {signal.Signals(number).name}"
        return f"exit status {code}"

    def close(self) -> None:
        """Kill what is left, and wait until nothing is."""
        self._near.close()
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        # Process 1 of the box takes all others along, and ends as the last of them: pid_namespaces(7). A bare program
        # has none, and is killed itself.
        for pidfd in (self._first_pidfd, self._pidfd):
            if pidfd >= 0:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                _readable(pidfd, timeout_s=10.0)
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


def _no_constants(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _finite(number: str) -> float:
    """JSON has no infinity, but a number so large that it becomes one."""
    value = float(number)
    if math.isinf(value):
        raise ValueError(f"{number} is too large")
    return value


def _readable(*fds: int, timeout_s: float = 0.0) -> bool:
    """Whether one of them is; a pidfd is when the process has ended."""
    import select

    poller = select.poll()
    for fd in fds:
        poller.register(fd, select.POLLIN)
    return bool(poller.poll(timeout_s * 1000))
