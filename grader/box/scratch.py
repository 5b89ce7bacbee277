"""Temporary folders that do not stay for ever, however their process ends. Knows how to tell a folder that nobody owns
any more from one in use; knows nothing of what lies in it.

An owner holds a lock on the folder itself, and the kernel lets go of it when the owner is dead: no number of a process
that somebody else has by now, and no moment at which a folder is there and not yet claimed. Each new folder sweeps away
those of the same user that nobody holds.

Sources: flock(2), mkdtemp(3), shutil.rmtree.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from grader.errors import GraderError
from grader.safe_text import is_utf8

PREFIX: Final = "tracegrade-held-"


@contextlib.contextmanager
def held_folder(below: Path | None = None) -> Iterator[Path]:
    """An empty folder of this process's own, gone behind the block; if this process is killed, at the next one's start.

    Args:
        below: where it is made; by default where temporary files are.

    Raises:
        OSError: none can be made.
        GraderError: its path would not be UTF-8, and no message between processes can name it.
    """
    below = (below or Path(tempfile.gettempdir())).absolute()  # TMPDIR may be `.`, and others stand elsewhere
    if not is_utf8(below):
        raise GraderError(
            f"The path of the temporary folder {below} is not UTF-8. Set TMPDIR to another, such as /tmp."
        )
    sweep(below)
    folder, lock = _made(below)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def sweep(below: Path) -> None:
    """Delete those folders in there that are this user's and that nobody holds. Links are not followed."""
    with contextlib.suppress(OSError), os.scandir(below) as entries:
        names = [entry.name for entry in entries if entry.name.startswith(PREFIX)]
        for name in names:
            with contextlib.suppress(OSError):  # another one sweeps too, or it is no folder, or another user's
                _delete_if_free(below / name)


def _made(below: Path) -> tuple[Path, int]:
    """A new folder, and the descriptor that holds it. One that is swept away before it is held is made anew."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=below))
        with contextlib.suppress(FileNotFoundError):
            lock = _opened(folder)
            if _hold(lock) and _is_at(lock, folder):
                return folder, lock
            os.close(lock)


def _delete_if_free(folder: Path) -> None:
    lock = _opened(folder)
    try:
        if os.fstat(lock).st_uid == os.geteuid() and _hold(lock) and _is_at(lock, folder):
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(lock)


def _opened(folder: Path) -> int:
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)


def _hold(lock: int) -> bool:
    """Whether it is ours now: until it is closed, here and in what was forked from here."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(lock: int, folder: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(lock), folder.lstat())
    except FileNotFoundError:
        return False
