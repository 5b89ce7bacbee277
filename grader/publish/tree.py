"""Files in memory, and how they come onto a disk: all of them or none, the same bytes each time. Knows no target.

A publication is built whole before anything is written, so that a mistake in it, or a solution in it, writes nothing.
"""

import contextlib
import fcntl
import io
import os
import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from grader.errors import UsageError

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date that a zip can hold
_EPOCH_S = 315_619_200  # a day later, in seconds: it is 1980 in every time zone


@dataclass(frozen=True, slots=True)
class File:
    """What stands in one file."""

    data: bytes
    executable: bool = False

    @property
    def mode(self) -> int:
        return 0o755 if self.executable else 0o644


Tree = Mapping[str, File]  # by path, relative, with `/`


def text_file(text: str, *, executable: bool = False) -> File:
    return File(text.encode(), executable)


def below(top: str, tree: Tree) -> Tree:
    """The same files in a folder."""
    return {f"{top}/{name}": file for name, file in tree.items()}


def zipped(tree: Tree) -> bytes:
    """The files as a zip whose bytes depend on nothing but them: sorted, dated 1980, stored without a machine's traces.

    Files are stored, not compressed: another version of zlib may compress into other bytes.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(tree):
            info = zipfile.ZipInfo(name, _EPOCH)
            info.create_system = 3  # Unix: only then is the mode below read
            info.external_attr = (0o100000 | tree[name].mode) << 16
            archive.writestr(info, tree[name].data)
    return buffer.getvalue()


def tarred(tree: Tree) -> bytes:
    """The files as a tar whose bytes depend on nothing but them: sorted, dated 1980, root's, in the form of
    POSIX.1-1988, which everything reads."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name in sorted(tree):
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(tree[name].data), tree[name].mode
            info.mtime = _EPOCH_S
            archive.addfile(info, io.BytesIO(tree[name].data))
    return buffer.getvalue()


def is_vacant(folder: Path) -> bool:
    """True if nothing stands there: no folder, an empty one, or a repository's without files. What cannot be read is
    told by whoever writes."""
    try:
        return not any(entry.name != ".git" for entry in folder.iterdir())
    except NotADirectoryError:
        return False
    except OSError:
        return True


def write(tree: Tree, folder: Path) -> None:
    """Put the files into `folder`, which is new or empty; it is there whole, or not at all.

    They are written beside it, into a folder that nobody takes for a publication, and moved there in one step. What a
    killed run has left beside it is taken away by the next one.

    Raises:
        UsageError: `folder` holds something, is a file, or cannot be written.
    """
    folder = folder.absolute()
    try:
        if folder.is_symlink() or (folder.exists() and (not folder.is_dir() or any(folder.iterdir()))):
            raise UsageError(f"{folder}: there is something already. Name a new folder, or empty this one.")
        folder.parent.mkdir(parents=True, exist_ok=True)
        with scratch_beside(folder) as scratch:
            staged(tree, scratch)
            scratch.rename(folder)  # onto an empty folder or none; else it raises, and nothing is lost
    except OSError as error:
        raise UsageError(f"{folder}: cannot be written: {error.strerror}. Name another folder.") from error


def staged(tree: Tree, scratch: Path) -> None:
    """Write the files, whole and with their modes, below a folder that nobody reads yet."""
    for name in sorted(tree):
        _write_file(scratch / name, tree[name])
    for below, _, _ in os.walk(scratch):
        Path(below).chmod(0o755)  # whatever the umask is, and mkdtemp's own 0700


def _write_file(path: Path, file: File) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as writing:
        writing.write(file.data)
        writing.flush()
        os.fsync(writing.fileno())  # a full disk says so now, not behind our back
    path.chmod(file.mode)


@contextlib.contextmanager
def scratch_beside(folder: Path) -> Iterator[Path]:
    """A folder of our own on the same file system. A lock on it tells the next run that we still live."""
    prefix = f".{folder.name}.publishing-"
    for left in folder.parent.glob(f"{prefix}*"):
        with contextlib.suppress(OSError), locked(left):
            shutil.rmtree(left)
    scratch = Path(tempfile.mkdtemp(prefix=prefix, dir=folder.parent))
    try:
        with locked(scratch):
            (scratch / "tree").mkdir()
            yield scratch / "tree"
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock; the kernel lets go of it when this process ends, however it ends.

    Raises:
        BlockingIOError: somebody who lives holds it.
    """
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(fd)
