"""What somebody handed in, to a clean folder of allow-listed files.

Knows file systems, zip archives and Python source as bytes, and what can be wrong with each. Must not know courses,
checks or sandboxes, and runs nothing. How it keeps a hostile submission harmless:

* Only names that were asked for are read, each opened once, without following a link and without waiting for a writer;
  what is checked is the open descriptor, so nothing can be exchanged between the check and the read.
* Every read has a cap, so neither a growing file nor a zip bomb costs more than the cap.
* An archive is never extracted: members are read by name, and no name from an archive becomes a path.
* Source that a reader and Python would read differently is refused: see `plain_source`.
* Nothing is written before everything was accepted.
"""

import copy
import difflib
import errno
import hashlib
import io
import os
import re
import stat
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path, PurePosixPath

from grader.errors import GraderError, KitError, Place, SubmissionError
from grader.grading.names import joined, listed, printable, shown_name
from grader.grading.plain_source import require_plain_source

_MAX_ENTRIES = 1_000  # an exercise has tens of files; a virtual environment, handed in by mistake, has thousands
_MAX_ZIP_READ = 1 << 20  # bytes; the directory of 1,000 members with long names takes a third of it
_CHUNK = 1 << 16  # bytes

# O_NONBLOCK: a named pipe without a writer opens at once. O_NOCTTY: a terminal does not become ours.
_READ_ONCE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_KINDS = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
_CHECK_PATH = "Check the path."
_ALLOW = "Allow it with `chmod -R a+rX`."
_NOT_OPENED = {  # what is wrong, and the cure
    errno.ENOENT: (" is not there", _CHECK_PATH),
    errno.ENOTDIR: (" is not there", _CHECK_PATH),
    errno.ENAMETOOLONG: (" is not there: the name is too long", _CHECK_PATH),
    errno.ELOOP: (" is a symbolic link", "Hand in what it points to, not the link."),
    errno.EACCES: (" cannot be read by this user", _ALLOW),
    errno.EPERM: (" cannot be read by this user", _ALLOW),
    errno.ENXIO: (" is a socket or a device", "Hand in an ordinary file."),
}

_DRIVE = re.compile(r"[A-Za-z]:")
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # bzip2 and LZMA expand a chunk without a bound
_ENCRYPTED = 0x1  # bit 0 of the general purpose flags, APPNOTE.TXT 4.4.4
# What zipfile raises on damaged archives: its documentation names the first, the others were met by damaging archives.
_BROKEN_ZIP = (zipfile.BadZipFile, RuntimeError, ValueError, EOFError, zlib.error)

_MAC_METADATA = "__MACOSX"  # beside the real folder in every zip that the macOS Finder makes

_Path = tuple[str, ...]  # of a zip's member; its last part is "" for a folder


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A clean copy of what was handed in.

    Attributes:
        folder: holds the wanted files and nothing else. Files have mode 0444 and the folder 0755: anyone can read
            them, and their owner can remove them.
        ignored: what else was handed in, sorted, folders with a slash at their end; at most 20 names, then
            "and N more". Safe to print: one line each, control characters escaped as `repr` does.
        digest: SHA-256 over names and bytes of the accepted files, in hex; where they came from does not matter.
    """

    folder: Path
    ignored: tuple[str, ...]
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Text:
    """One accepted file's bytes, and the place they come from."""

    place: Place
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class _HandedIn:
    files: Mapping[str, _Text]  # by wanted name
    others: Sequence[str]  # what is ignored
    paths: Sequence[str]  # every path that was seen, to tell where a missing file may be


def collect(source: Path, wanted: Sequence[str], into: Path, *, file_kb: int) -> Submission:
    """Copies the wanted files of `source` to `into`.

    Args:
        source: a folder; a `.py` file, whatever its name, when one file is wanted; or a `.zip` with the files at the
            top, or all in one folder at the top.
        wanted: plain file names, at least one.
        into: a new or empty folder.
        file_kb: the largest size of one file, in KiB.

    Raises:
        SubmissionError: the files are not there, or something is wrong with one of them or with the archive. A syntax
            error in a file is nothing wrong here. It has the digest where each wanted file could be read.
        GraderError: reading broke for a reason that is not the submission's, `into` cannot be written or is not empty,
            or `wanted` is not what it should be.
    """
    if not wanted:
        raise GraderError(f"No file of {source} was asked for. Correct the exercise's list.")
    for name in wanted:
        if name in ("", ".", "..") or "/" in name or not name.isprintable():
            raise GraderError(f"{name!r} was asked for, and is not a plain file name. Correct the exercise's list.")
    place, limit = Place(printable(str(source))), file_kb * 1024
    with _opened(source, place) as fd:
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            found = _in_folder(fd, place, wanted, limit)
        elif source.suffix.lower() == ".zip":
            found = _in_zip(fd, place, wanted, limit)
        else:
            found = _alone(fd, place, wanted, limit)
    _demand_all(found, place, wanted)
    digest = _digest(found.files)
    for text in found.files.values():
        try:
            require_plain_source(text.place, text.data)
        except SubmissionError as error:
            error.digest = digest
            raise
    _write(found.files, into)
    return Submission(folder=into, ignored=listed(found.others), digest=digest)


# From a folder, or a file.


def _in_folder(fd: int, place: Place, wanted: Sequence[str], limit: int) -> _HandedIn:
    with os.scandir(fd) as entries:
        names = {entry.name: entry.is_dir(follow_symlinks=False) for entry in islice(entries, _MAX_ENTRIES + 1)}
    if len(names) > _MAX_ENTRIES:
        raise _too_many_entries(place)
    files = {}
    for name in wanted:
        if name in names and not names[name]:
            files[name] = _read_file(name, Place(f"{place}/{name}", name), limit, folder=fd)
    others = [f"{name}/" if is_folder else name for name, is_folder in names.items() if name not in files]
    return _HandedIn(files=files, others=others, paths=others)


def _alone(fd: int, place: Place, wanted: Sequence[str], limit: int) -> _HandedIn:
    _demand_regular(fd, place)
    name = PurePosixPath(place.path).name
    if name not in wanted and not name.endswith(".py"):
        raise SubmissionError(place, ": neither a folder, a .py file nor a .zip", "Hand in one of these.")
    if len(wanted) != 1:
        raise SubmissionError(
            place, f": one file, where {joined(wanted)} are wanted", "Hand in the folder that holds them."
        )
    return _HandedIn(files={wanted[0]: _read(fd, Place(place.path, name), limit)}, others=(), paths=())


def _read_file(name: str, place: Place, limit: int, *, folder: int) -> _Text:
    with _opened(name, place, folder=folder) as fd:
        _demand_regular(fd, place)
        return _read(fd, place, limit)


def _read(fd: int, place: Place, limit: int) -> _Text:
    data = _at_most(partial(os.read, fd), limit) if os.fstat(fd).st_size <= limit else None
    if data is None or len(data) > limit:
        raise _too_large(place, limit)
    return _Text(place=place, data=data)


@contextmanager
def _opened(path: Path | str, place: Place, *, folder: int | None = None) -> Iterator[int]:
    """A descriptor of `path`, in the open folder if one is given. What the block's reads raise is told like an open."""
    try:
        fd = os.open(path, _READ_ONCE, dir_fd=folder)
        try:
            yield fd
        finally:
            os.close(fd)
    except OSError as error:
        raise _unreadable(place, error) from error


def _unreadable(place: Place, error: OSError) -> KitError:
    if error.errno in _NOT_OPENED:
        return SubmissionError(place, *_NOT_OPENED[error.errno])
    return GraderError(f"{place}: reading it broke: {error.strerror}. Try again; if it stays, copy it elsewhere.")


def _demand_regular(fd: int, place: Place) -> None:
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "not a file")
        raise SubmissionError(place, f" is {kind}", "Hand in an ordinary file.")
    if status.st_nlink > 1:
        raise SubmissionError(
            place,
            " is a hard link: the same file has another name too, so it may be somebody else's",
            "Copy it (`cp`, not `ln`) and hand in the copy; a git checkout never makes hard links.",
        )


def _at_most(read: Callable[[int], bytes], limit: int) -> bytes:
    """What `read` gives up to its end, or somewhat more than `limit` bytes if there are more."""
    data = bytearray()
    while len(data) <= limit and (chunk := read(_CHUNK)):
        data += chunk
    return bytes(data)


# From a zip archive.


class _SparingReader(io.BufferedReader):
    """Refuses to read much at once: zipfile reads the list of members whole, at the size that the archive claims."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > _MAX_ZIP_READ:
            raise zipfile.BadZipFile(
                f"its list of files takes {size} bytes, where {_MAX_ZIP_READ} are more than enough"
            )
        return super().read(_MAX_ZIP_READ if size is None or size < 0 else size)

    def seek(self, target: int, whence: int = os.SEEK_SET, /) -> int:
        try:
            return super().seek(target, whence)
        except (OSError, OverflowError) as error:
            if whence != os.SEEK_SET:  # zipfile looks for the records at the end, and expects this of a short file
                raise
            raise zipfile.BadZipFile("it points to outside of itself") from error


def _in_zip(fd: int, place: Place, wanted: Sequence[str], limit: int) -> _HandedIn:
    _demand_regular(fd, place)
    try:
        with _SparingReader(io.FileIO(fd, closefd=False)) as stream, zipfile.ZipFile(stream) as archive:
            members = _members(archive, place)
            top = _top(members, place, wanted)
            files = {}
            for name in wanted:
                _demand_one_spelling(name, members, top, place)
                if (info := members.get((*top, name))) is not None:
                    files[name] = _read_member(archive, info, _member(place, "/".join((*top, name))), limit)
    except _BROKEN_ZIP as error:
        raise SubmissionError(
            place, f": this zip is broken: {shown_name(str(error))}", "Make it again, and hand in the new one."
        ) from error
    ignored = {_entry(path, top) for path in members if path not in {(*top, name) for name in files}} - {""}
    return _HandedIn(files=files, others=tuple(ignored), paths=(*("/".join(path) for path in members), *ignored))


def _member(place: Place, path: str) -> Place:
    """The place of a member, whose path may be as long and as strange as anything."""
    return Place(f"{place}:{shown_name(path)}", shown_name(path))


def _members(archive: zipfile.ZipFile, place: Place) -> dict[_Path, zipfile.ZipInfo]:
    """The members by path. Refuses what a good archive never holds, be the member wanted or not."""
    members: dict[_Path, zipfile.ZipInfo] = {}
    if len(archive.infolist()) > _MAX_ENTRIES:
        raise _too_many_entries(place)
    for info in archive.infolist():
        name = info.orig_filename  # `filename` ends at the first NUL
        member = _member(place, name)
        parts = re.split(r"[/\\]", name)
        if name.startswith(("/", "\\")) or _DRIVE.match(name) or ".." in parts:
            raise SubmissionError(member, " leads out of the zip", "Make it from inside the folder, without `..`.")
        if info.flag_bits & _ENCRYPTED:
            raise SubmissionError(member, " is encrypted", "Make the zip without a password.")
        kind = stat.S_IFMT(info.external_attr >> 16)  # the Unix mode; 0 from systems that have none
        if kind in _KINDS and kind != stat.S_IFDIR:
            raise SubmissionError(member, f" is {_KINDS[kind]}", "Put ordinary files into the zip.")
        path = tuple(part for part in parts if part not in ("", "."))
        if kind == stat.S_IFDIR or parts[-1] in ("", "."):
            path = (*path, "")
        if members.setdefault(path, info) is not info:
            raise SubmissionError(member, " is in the zip twice", "Make the zip again, into a new file.")
    return members


def _top(members: Iterable[_Path], place: Place, wanted: Sequence[str]) -> _Path:
    """The folder that holds the wanted members: the archive's root, or the one folder in it that has any of them."""
    holders = {path[:-1] for path in members if len(path) <= 2 and path[-1] in wanted and path[0] != _MAC_METADATA}
    if not holders or () in holders:
        return ()
    if len(holders) > 1:
        folders = joined([shown_name(holder[0]) for holder in sorted(holders)])
        raise SubmissionError(place, f": wanted files are in {folders}", "Hand in a zip of one of these folders.")
    return holders.pop()


def _demand_one_spelling(name: str, members: Iterable[_Path], top: _Path, place: Place) -> None:
    alike = [path[-1] for path in members if path[:-1] == top and _folded(path[-1]) == _folded(name)]
    if len(alike) > 1:
        names = joined([shown_name(other) for other in sorted(alike)])
        raise SubmissionError(place, f": {names} are one name to some systems", f"Keep the one that is called {name}.")


def _read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, place: Place, limit: int) -> _Text:
    if info.compress_type not in _COMPRESSIONS:
        raise SubmissionError(
            place, " is compressed in an unusual way", "Make the zip with `zip -r`, or plain deflate."
        )
    # zipfile stops at the size that the archive claims, however much is there. Asking for more shows a claim that lies.
    asked = copy.copy(info)
    asked.file_size = limit + 2 * _CHUNK
    data = b""
    if info.file_size <= limit:
        with archive.open(asked) as stream:
            data = _at_most(stream.read, limit)
    if max(info.file_size, len(data)) > limit:
        raise _too_large(place, limit)
    if len(data) != info.file_size:
        raise zipfile.BadZipFile(f"{info.filename} has {len(data)} bytes and claims to have {info.file_size}")
    return _Text(place=place, data=data)


def _entry(path: _Path, top: _Path) -> str:
    """What a person sees of `path` on opening `top`: a file or a folder in it; "" for `top` itself."""
    depth = len(top) + 1 if path[: len(top)] == top else 1
    if path == (*top, ""):
        return ""
    return "/".join(path[:depth]) + ("/" if len(path) > depth else "")


def _folded(name: str) -> str:
    """Equal for names that differ by case, by look-alike letters, by control characters or by what follows a NUL."""
    visible = "".join(character for character in name.partition("\0")[0] if character.isprintable())
    return unicodedata.normalize("NFKC", visible).casefold()


# What every way of handing in has to satisfy.


def _demand_all(found: _HandedIn, place: Place, wanted: Sequence[str]) -> None:
    missing = [name for name in wanted if name not in found.files]
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        others = ", ".join(listed(found.others)) or "nothing"
        hints = " ".join(_hint(name, found.paths) for name in missing)
        raise SubmissionError(place, f": {joined(missing)} {verb} missing; found instead: {others}", hints)


def _hint(name: str, paths: Sequence[str]) -> str:
    ends = {PurePosixPath(path).name: path for path in sorted(paths, reverse=True)}
    alike = {_folded(end): path for end, path in ends.items()}
    if (path := ends.get(name)) is not None:
        if path.endswith("/"):
            return f"{shown_name(path)} is a folder: hand in a file of that name."
        return f"{shown_name(path)} is at another depth: hand in the one folder that holds all that is wanted."
    for close in difflib.get_close_matches(_folded(name), alike, n=1):
        return f"Did you mean {shown_name(alike[close])}? Its name must be exactly {name}."
    return f"The name must be exactly {name}."


def _write(files: Mapping[str, _Text], into: Path) -> None:
    try:
        into.mkdir(exist_ok=True)
        if any(into.iterdir()):
            raise GraderError(f"{into} is not empty. Collect into a new folder.")
        for name, text in files.items():
            with (into / name).open("xb") as file:
                file.write(text.data)
                os.fchmod(file.fileno(), 0o444)
        into.chmod(0o755)
    except OSError as error:
        raise GraderError(
            f"{into} cannot be written: {error.strerror}. Check the path and the disk's space."
        ) from error


def _digest(files: Mapping[str, _Text]) -> str:
    digest = hashlib.sha256()
    for name, text in sorted(files.items()):
        digest.update(name.encode() + b"\0" + len(text.data).to_bytes(8) + text.data)
    return digest.hexdigest()


# Words for people.


def _too_large(place: Place, limit: int) -> SubmissionError:
    return SubmissionError(place, f" is larger than {limit // 1024} KiB", "Hand in source only; cut data out of it.")


def _too_many_entries(place: Place) -> SubmissionError:
    return SubmissionError(
        place, f": more than {_MAX_ENTRIES:,} entries", "Hand in a folder with the wanted files only."
    )
