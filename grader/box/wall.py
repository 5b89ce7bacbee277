"""The wall: how a submission is kept from the judge, the host and other submissions. Knows bubblewrap, who may read
which path, and as whom a box runs; knows nothing of a started box, checks, servers or traces.

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
import os
import shutil
import socket
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from grader.box import inside, kernel
from grader.box.limits import Limits
from grader.errors import GraderError

# One user for each judge keeps parallel gradings apart. The range is unused on Debian and Ubuntu
# (adduser(8) ends at 59,999, systemd's dynamic users begin at 61,184) and exists in a container with 65,536 ids.
_BOX_UIDS = range(60_100, 61_100)
# Python 3.14 runs code that another process has written into its memory (PEP 768). The option is for an interpreter
# that reads no environment, the variable for those that it starts; older ones know neither and say nothing.
NO_REMOTE_DEBUG: Final = ("PYTHON_DISABLE_REMOTE_DEBUG", "1")
NO_REMOTE_DEBUG_X: Final = "disable-remote-debug"


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


def bwrap_options(wall: Wall, limits: Limits) -> list[str]:
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
