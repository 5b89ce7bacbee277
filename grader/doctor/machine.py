"""This machine, read and asked: its programs and their versions, its files below /proc and /sys. Knows how, and what a
report says of a machine; knows nothing of what any of it is needed for.
"""

import ctypes
import errno
import os
import platform
import re
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from grader.box.limits import hard_open_files
from grader.doctor.programs import SYSTEM_PATH, find_program
from grader.report.model import Machine

DEADLINE_S: Final = 60.0  # a way out of what hangs; every probe takes milliseconds
NOBODY: Final = 65_534  # root starts boxes as a user without rights; any such user is refused alike


def machine(*, path: str = SYSTEM_PATH) -> Machine:
    """What a report says of the machine. Takes a few milliseconds: strace and bwrap are asked for their versions."""
    return Machine(
        kernel=os.uname().release,
        python=platform.python_version(),
        strace=version(find_program("strace", path=path)),
        bwrap=version(find_program("bwrap", path=path)),
        nofile=hard_open_files(),
    )


def version(program: str | None) -> str | None:
    status, text = (1, "") if program is None else run([program, "--version"])
    numbers = re.search(r"\d+(?:\.\d+)+", text)
    return numbers[0] if numbers and status == 0 else None


def run(command: Sequence[str], *, uid: int | None = None) -> tuple[int, str]:
    """Exit status and output of a command, run as another user if one is given; -1 when it could not be run."""
    try:
        done = subprocess.run(
            command,
            env={},
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=DEADLINE_S / 2,
            errors="backslashreplace",
            user=uid,
            group=uid,
            extra_groups=None if uid is None else [],
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as error:
        return -1, str(error)
    return done.returncode, done.stdout.strip()


def system_call(number: int, *arguments: object) -> int:
    """The result of a system call, or the negative error number."""
    libc = ctypes.CDLL(None, use_errno=True)
    result = int(libc.syscall(ctypes.c_long(number), *arguments))
    return result if result >= 0 else -ctypes.get_errno()


def linux_version(release: str) -> tuple[int, int] | None:
    found = re.match(r"(\d+)\.(\d+)", release)
    return (int(found[1]), int(found[2])) if found else None


def temporary_folder() -> Path:
    return Path(tempfile.gettempdir())


def read(root: Path, name: str) -> str:
    """A file below /proc or /sys, stripped; empty when it cannot be read."""
    try:
        return (root / name).read_text(errors="replace").strip()
    except OSError:
        return ""


def status_of(root: Path, key: str) -> str:
    """A line of /proc/self/status; empty when there is none."""
    found = re.search(rf"^{key}:\s*(\S+)", read(root, "proc/self/status"), re.MULTILINE)
    return found[1] if found else ""


def in_container(root: Path) -> bool:
    """Docker and Podman each leave a file that says so."""
    return (root / ".dockerenv").exists() or (root / "run/.containerenv").exists()


def setting_text(root: Path, name: str, value: str) -> str:
    """A container has these settings from its host, and must not write them."""
    return f"{name} is {value}" + (", which is set on the container's host" if in_container(root) else "")


def joined(word: str, reason: str) -> str:
    return f"{word} ({reason})" if reason else word


def error_word(answer: int) -> str:
    return f"{os.strerror(-answer)} ({errno.errorcode.get(-answer, -answer)})"
