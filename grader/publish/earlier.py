"""What an earlier publication wrote into a folder, and how a later one takes its place. Knows `published.json` and
digests; knows no target.

A folder that people pull from holds more than was published: a repository, a gradebook, what was handed in. So only
what the record names is replaced or removed, and only where it is still as it was written.
"""

import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Literal

from grader.errors import UsageError
from grader.publish.tree import File, Tree, is_vacant, locked, scratch_beside, staged

_Fate = Literal["added", "replaced", "removed", "kept", "edited", "same"]

ABOUT = "published.json"
SCHEMA = "tracegrade/published/1"
_NAMED = 20  # files that one message names
_CURE = (
    "Move these files away, publish again, and put what you changed into the new ones. A change that is meant for "
    "everybody belongs into the course."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """An earlier publication: its target, its kit, and the SHA-256 of each file that it wrote, in hex, by path."""

    target: str
    kit_version: str
    digests: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What a publication changes in a folder, as paths in it, sorted. `kept` are those that a person edited and that
    it leaves as they are."""

    added: Sequence[str]
    replaced: Sequence[str]
    removed: Sequence[str]
    kept: Sequence[str]

    @property
    def changes(self) -> bool:
        """True if anything is written or removed."""
        return bool(self.added or self.replaced or self.removed)


def digests_of(tree: Tree) -> dict[str, str]:
    """What `published.json` records of these files."""
    return {name: _digest(tree[name].data) for name in sorted(tree)}


def read_earlier(folder: Path, target: str) -> Earlier:
    """What `published.json` says of the folder; an empty folder, or one with a repository alone, has a record of
    nothing.

    Raises:
        UsageError: the folder holds something, and no record of this target's says what.
    """
    if is_vacant(folder):
        return Earlier(target=target, kit_version="", digests={})
    file = folder / ABOUT
    try:
        record = json.loads(file.read_bytes())
        schema, kit_version = record["schema"], str(record["kit_version"])
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UsageError(
            f"{folder}: there is something already, and no {ABOUT} says that it was published. Name a new folder, an "
            "empty one, or a repository without files."
        ) from error
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise UsageError(
            f"{file}: this is no record of a publication. Bring back the file that was written."
        ) from error
    if schema != SCHEMA:
        raise UsageError(f"{file}: another kit wrote it ({schema!a}). Publish with that kit, or into a new folder.")
    if record.get("target") != target:
        raise UsageError(f"{folder}: this is a publication for {record.get('target')!a}, not for {target}.")
    return Earlier(target=target, kit_version=kit_version, digests=_recorded(file, record.get("files")))


def _recorded(file: Path, names: object) -> dict[str, str]:
    match names:
        case dict() if all(isinstance(word, str) for pair in names.items() for word in pair):
            pass
        case _:
            raise UsageError(
                f"{file}: it does not say which files were written, so an older kit wrote it. Publish into a new "
                "folder, and copy that over this one."
            )
    for name in names:
        path = PurePosixPath(name)
        inside = str(path) == name and not path.is_absolute() and ".." not in path.parts and path.parts[:1] != (".git",)
        if not (inside and path.parts and name.isprintable()):
            raise UsageError(f"{file}: {name!a} is no path of a publication. Bring back the file that was written.")
    return dict(names)


def difference(folder: Path, earlier: Earlier, tree: Tree, *, yours: Sequence[str] = ()) -> Difference:
    """What changes when `tree` takes the place of what was published.

    Args:
        yours: patterns of the files that an instructor may edit. What they changed stays, as long as the publication
            itself has nothing new for that file.

    Raises:
        UsageError: a person edited, or put there, what would be replaced or removed. All of it is named.
    """
    new = digests_of(tree)
    fates = {
        name: _fate(folder, name, tree.get(name), earlier.digests.get(name), yours)
        for name in sorted({*new, *earlier.digests})
    }

    def of(fate: _Fate) -> list[str]:
        return [name for name, its in fates.items() if its == fate]

    edited = {*of("edited"), *(name for name in of("added") if _is_blocked(folder, name, of("removed")))}
    if edited:
        raise UsageError(
            f"{folder}: a person edited or added these files since they were published, so nothing was written:\n"
            f"{listed(sorted(edited))}\n{_CURE}"
        )
    return Difference(added=of("added"), replaced=of("replaced"), removed=of("removed"), kept=of("kept"))


def _fate(folder: Path, name: str, file: File | None, recorded: str | None, yours: Sequence[str]) -> _Fate:
    """What becomes of one file, of which `recorded` was published and `file` is to be."""
    there = _digests_there(folder, name)
    wanted = None if file is None else _digest(file.data)
    if not there:
        return "same" if wanted is None else "added"
    if file is not None and wanted in there:
        return "replaced" if _mode_differs(folder / name, file) else "same"
    if recorded in there or name == ABOUT:
        return "removed" if wanted is None else "replaced"
    if wanted == recorded and any(fnmatchcase(name, pattern) for pattern in yours):
        return "kept"
    return "edited"


def put_in_place(folder: Path, tree: Tree, change: Difference) -> None:
    """Write and remove what the difference says. All new files lie beside the folder, whole, before the first one is
    moved; the record is moved last, so what a killed run left half done is done by the next one.

    Raises:
        UsageError: the folder cannot be written.
    """
    names = sorted({*change.added, *change.replaced}, key=lambda name: (name == ABOUT, name))
    try:
        with locked(folder), scratch_beside(folder) as scratch:
            staged({name: tree[name] for name in names}, scratch)
            for name in change.removed:
                (folder / name).unlink(missing_ok=True)
                _remove_empty(folder, PurePosixPath(name).parent)
            for name in names:
                target = folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                _move(scratch / name, target)
    except OSError as error:
        raise UsageError(f"{folder}: cannot be written: {error.strerror}. Publish again when it can be.") from error


def listed(names: Sequence[str]) -> str:
    """Names in lines, the first ones of many."""
    more = [f"  and {len(names) - _NAMED} more"] if len(names) > _NAMED else []
    return "\n".join([*(f"  {name}" for name in names[:_NAMED]), *more])


def _digests_there(folder: Path, name: str) -> tuple[str, ...]:
    """The digest of what stands there, and of it with the line ends that git may have changed; empty when nothing
    does. A link, a folder, or what cannot be read is somebody's own."""
    path = folder / name
    if any(parent.is_symlink() for parent in _parents(folder, name)) or path.is_symlink():
        return ("a link",)
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except IsADirectoryError:
        return ()  # whether it is in the way is asked when all is known
    except OSError as error:
        return (f"unreadable: {error.strerror}",)
    return _digest(data), _digest(data.replace(b"\r\n", b"\n"))


def _is_blocked(folder: Path, name: str, removed: Iterable[str]) -> bool:
    """True if a folder stands where the file is to be, or a file where its folder is, and they are not removed."""
    path = folder / name
    if path.is_dir():
        inside = {str(one.relative_to(folder)) for one in path.rglob("*") if not one.is_dir() or one.is_symlink()}
        return not inside <= set(removed)
    return any(
        parent.exists() and not parent.is_dir() and str(parent.relative_to(folder)) not in set(removed)
        for parent in _parents(folder, name)
    )


def _parents(folder: Path, name: str) -> Iterator[Path]:
    """The folders between `folder` and the file."""
    return (folder / parent for parent in PurePosixPath(name).parents if parent.parts)


def _mode_differs(path: Path, file: File) -> bool:
    return bool(path.stat().st_mode & 0o100) != file.executable


def _move(source: Path, target: Path) -> None:
    if target.is_dir():  # only empty folders are left of what was removed there
        shutil.rmtree(target)
    source.replace(target)


def _remove_empty(folder: Path, parent: PurePosixPath) -> None:
    for below in (parent, *parent.parents):
        path = folder / below
        if not below.parts or not path.is_dir() or any(path.iterdir()):
            return
        path.rmdir()


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
