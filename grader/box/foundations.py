"""What a proof of the wall rests on: programs, this kit's own part, and settings of the kernel. When one of them has
changed, what was proven before says nothing any more.

Cheap enough to be asked before each grading: some calls of stat(2) and some short files. Imports the standard library
alone.
"""

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

_INSIDE: Final = Path(__file__).with_name("inside.py")  # each box starts it from the disk
_SETTINGS: Final = (
    "user/max_user_namespaces",
    "kernel/unprivileged_userns_clone",
    "kernel/apparmor_restrict_unprivileged_userns",
    "kernel/yama/ptrace_scope",
    "kernel/seccomp/actions_avail",
)


def foundations(*programs: str | None) -> tuple[object, ...]:
    """Values that are equal as long as nothing of it has changed. `programs`: absolute paths; None is one that is
    missing.
    """
    files = [_identity(Path(program)) for program in (*programs, sys.executable, _INSIDE) if program is not None]
    return (*programs, *files, *map(_setting, _SETTINGS))


def _identity(path: Path) -> tuple[int, ...] | None:
    """Which file stands there; None where there is none."""
    with suppress(OSError):
        found = os.stat(path)  # noqa: PTH116  # follows links, as exec does
        return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_mode
    return None


def _setting(name: str) -> bytes | None:
    with suppress(OSError):
        return Path("/proc/sys", name).read_bytes()
    return None
