"""The wall: how a submission is kept from the judge, the host and other submissions. Knows bubblewrap, which paths a
box shows, and as whom it runs; knows nothing of a started box, checks, servers or traces.

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
import socket
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from grader.box import kernel
from grader.box.limits import Limits
from grader.errors import GraderError

# One user for each judge keeps parallel gradings apart. The range is unused on Debian and Ubuntu
# (adduser(8) ends at 59,999, systemd's dynamic users begin at 61,184) and exists in a container with 65,536 ids.
_BOX_UIDS = range(60_100, 61_100)
# Python 3.14 runs code that another process has written into its memory (PEP 768). The option is for an interpreter
# that reads no environment, the variable for those that it starts; older ones know neither and say nothing.
NO_REMOTE_DEBUG: Final = ("PYTHON_DISABLE_REMOTE_DEBUG", "1")
NO_REMOTE_DEBUG_X: Final = "disable-remote-debug"


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


def library_folders(modules: Iterable[str]) -> list[Path]:
    """Where the standard library keeps these packages; a module that is one file has none."""
    library = Path(os.__file__).parent
    folders = (library.joinpath(*module.split(".")) for module in modules)
    return [folder for folder in folders if folder.is_dir()]


def covered(hidden: Iterable[Path], python: Iterable[tuple[Path, Path]]) -> tuple[Path, ...]:
    """Those of the folders that a box would show, as it shows /usr and the interpreter."""
    shown = (Path("/usr"), *(prefix for prefix, _ in python))
    return tuple(path for path in map(Path.resolve, hidden) if any(path.is_relative_to(tree) for tree in shown))


def python_prefixes(uid: int | None, below: Path) -> tuple[tuple[Path, Path], ...]:
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


def bwrap_options(
    limits: Limits, *, staging: Path, python: Iterable[tuple[Path, Path]], hidden: Iterable[Path]
) -> list[str]:
    """bwrap's options. The order matters: a later mount covers an earlier one.

    Args:
        python: folders that the interpreter needs, each with the place where the boxes' user can reach it.
        hidden: folders below what a box shows, which it shows empty.
    """
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
    for prefix, reached_at in python:
        words += ["--ro-bind", str(reached_at), str(prefix)]
    for unseen in hidden:
        words += ["--size", "4096", "--tmpfs", str(unseen), "--remount-ro", str(unseen)]
    words += ["--proc", "/proc", "--dev", "/dev"]
    for name in ("inside.py", "submission", "given"):
        words += ["--ro-bind", str(staging / name), f"/box/{name}"]
    for folder in ("/dev/shm", "/tmp"):
        words += ["--size", str(limits.tmp_mb << 20), "--perms", "0700", "--tmpfs", folder]
    return [*words, "--chdir", "/tmp", "--remount-ro", "/dev", "--remount-ro", "/"]
