"""A platform's export to a folder for each student. Knows zips and folders; what is in the files it never looks at.

No file is lost: what belongs to nobody in the roster is kept in `_unknown`, as it was named. The whole folder appears
at once, or not at all.
"""

import hashlib
import json
import os
import shutil
import stat
import tempfile
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from grader.batch.layouts import Layout, Named
from grader.batch.roster import Roster, folded
from grader.errors import GraderError, UsageError
from grader.grading.names import joined, shown_name

_MAX_FILES = 100_000
_MAX_FILE = 16 << 20  # bytes of one file: source is far below, and what a student hands in by mistake is not kept
_MAX_ALL = 4 << 30  # bytes
_SKIPPED = {"__MACOSX", ".DS_Store", ".git"}
_UNKNOWN = "_unknown"
_BROKEN_ZIP = (zipfile.BadZipFile, RuntimeError, ValueError, EOFError, zlib.error, NotImplementedError)

_Read = Callable[[], bytes]


@dataclass(slots=True)
class Intake:
    """What became of an export.

    Attributes:
        taken: the ids of those whose work is there.
        missing: the ids of those who have none.
        unknown: paths that are kept in `_unknown`, with the reason.
        older: paths that were not taken, since the student handed in a newer file of that name.
        left_out: paths that could not be read, with the reason.
    """

    taken: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    older: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Claim:
    path: str
    named: Named
    read: _Read


def collect_class(source: Path, layout: Layout, roster: Roster, to: Path) -> Intake:
    """Writes `to`/<id>/<file> and `to`/collected.json.

    Raises:
        UsageError: `source` is no folder and no zip, `to` is not empty, or one student is there by two names.
        GraderError: the machine refuses to read or to write.
    """
    intake = Intake()
    try:
        if to.exists() and (not to.is_dir() or any(to.iterdir())):
            raise UsageError(f"{to} is not empty. Collect into a new folder, and compare.")
        to.parent.mkdir(parents=True, exist_ok=True)
        half = Path(tempfile.mkdtemp(prefix=f".{to.name}-", dir=to.parent))
        try:
            if source.is_dir():
                found = list(_in_folder(source, intake))
                if layout.counts_the_top:
                    top = source.resolve().name
                    found = [(f"{top}/{path}", read) for path, read in found]
                _sort(found, layout, roster, half, intake)
            else:
                with _opened_zip(source) as archive:
                    _sort(list(_in_zip(archive, intake)), layout, roster, half, intake)
            half.chmod(0o755)
            half.rename(to)
        finally:
            shutil.rmtree(half, ignore_errors=True)
    except OSError as error:
        raise GraderError(
            f"Collecting {source} to {to} broke: {error}. Check the paths and the disk's space."
        ) from error
    return intake


def _opened_zip(source: Path) -> zipfile.ZipFile:
    if not source.exists():
        raise UsageError(f"{source} is not there. Name the export: a zip or a folder.")
    try:
        return zipfile.ZipFile(source)
    except _BROKEN_ZIP as error:
        raise UsageError(f"{source}: this is no folder, and no zip that can be read. Download it again.") from error


def _in_folder(source: Path, intake: Intake) -> Iterator[tuple[str, _Read]]:
    for folder, folders, files in os.walk(source, onerror=_raise):
        folders[:] = sorted(set(folders) - _SKIPPED)
        for name in sorted(files + [one for one in folders if Path(folder, one).is_symlink()]):
            place = Path(folder, name)
            path = place.relative_to(source).as_posix()
            status = place.lstat()
            if name in _SKIPPED:
                continue
            if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
                intake.left_out.append(f"{shown_name(path)}: a link, or no ordinary file")
            elif status.st_size > _MAX_FILE:
                intake.left_out.append(f"{shown_name(path)}: larger than {_MAX_FILE >> 20} MiB")
            else:
                yield path, place.read_bytes


def _raise(error: OSError) -> None:
    raise error


def _in_zip(archive: zipfile.ZipFile, intake: Intake) -> Iterator[tuple[str, _Read]]:
    for info in archive.infolist():
        parts = PurePosixPath(info.filename).parts
        kind = stat.S_IFMT(info.external_attr >> 16)
        if info.is_dir() or set(parts) & _SKIPPED:
            continue
        shown = shown_name(info.filename)
        if info.filename.startswith("/") or ".." in parts or "\\" in info.filename:
            intake.left_out.append(f"{shown}: leads out of the zip")
        elif kind not in (0, stat.S_IFREG):
            intake.left_out.append(f"{shown}: a link, or no ordinary file")
        elif info.file_size > _MAX_FILE:
            intake.left_out.append(f"{shown}: larger than {_MAX_FILE >> 20} MiB")
        else:
            yield str(PurePosixPath(info.filename)), lambda info=info: archive.read(info)  # type: ignore[misc]


def _sort(found: Sequence[tuple[str, _Read]], layout: Layout, roster: Roster, half: Path, intake: Intake) -> None:
    if len(found) > _MAX_FILES:
        raise UsageError(f"More than {_MAX_FILES:,} files are there. Name the export's own folder.")
    claims: defaultdict[str, list[_Claim]] = defaultdict(list)
    strangers: list[tuple[str, _Read]] = []
    for path, read in found:
        named = layout.read(path)
        ids = _owners(named, roster) if named else frozenset()
        if named and len(ids) == 1:
            claims[min(ids)].append(_Claim(path, named, read))
        else:
            why = f"may be {joined(sorted(ids))}" if ids else "nobody in the roster" if named else "not in this layout"
            intake.unknown.append(f"{shown_name(path)}: {why}")
            strangers.append((path, read))
    budget = [_MAX_ALL]
    collected: dict[str, object] = {}
    for student in sorted(claims):
        _require_one_name(student, claims[student])
        files = {}
        for claim in _newest(claims[student], intake):
            digest = _write(claim.path, claim.read, half / student / claim.named.file, budget, intake)
            if digest:
                files[claim.named.file] = {"from": claim.path, "late": claim.named.late, "sha256": digest}
        if files:
            collected[student] = files
    for path, read in strangers:
        _write(path, read, half / _UNKNOWN / path, budget, intake)
    intake.taken = list(collected)
    intake.missing = [student for student in roster.students if student not in collected]
    text = json.dumps(collected, ensure_ascii=False, indent=2, sort_keys=True) + "\n"
    (half / "collected.json").write_text(text, encoding="utf-8")


def _owners(named: Named, roster: Roster) -> frozenset[str]:
    """Whom the path may mean, by the platform's number and by the name, which Moodle may have put behind a group's.
    Where the two disagree, as with the worksheet of another assignment, it may be both."""
    number = roster.by_number.get(named.number)
    by_number = frozenset({number} if number else ())
    behind_group = named.name.partition("-")[2] if named.number else ""
    for name in (named.name, behind_group):
        if ids := roster.by_name.get(folded(name), frozenset()):
            return by_number if by_number & ids else by_number | ids
    return by_number


def _require_one_name(student: str, claims: Sequence[_Claim]) -> None:
    names = sorted({(claim.named.name, claim.named.number) for claim in claims})
    if len(names) > 1:
        shown = joined([shown_name(" ".join(filter(None, name))) for name in names])
        raise UsageError(f"{student} has handed in by several names: {shown}. Keep one, or correct the roster.")


def _newest(claims: Sequence[_Claim], intake: Intake) -> Sequence[_Claim]:
    newest: dict[str, _Claim] = {}
    for claim in sorted(claims, key=lambda one: one.named.order):
        older = newest.get(claim.named.file)
        if older and older.named.order == claim.named.order:
            raise UsageError(f"{shown_name(older.path)} and {shown_name(claim.path)} are one file. Keep one.")
        if older:
            intake.older.append(shown_name(older.path))
        newest[claim.named.file] = claim
    return list(newest.values())


def _write(path: str, read: _Read, place: Path, budget: list[int], intake: Intake) -> str:
    """The file's digest; "" where it could not be read, which is noted and costs nobody else."""
    try:
        data = read()
    except _BROKEN_ZIP as error:
        intake.left_out.append(f"{shown_name(path)}: broken in the zip: {shown_name(str(error))}")
        return ""
    budget[0] -= len(data)
    if budget[0] < 0:
        raise UsageError(f"More than {_MAX_ALL >> 30} GiB were handed in. Collect it in parts.")
    if ".." in place.parts:
        intake.left_out.append(f"{shown_name(path)}: leads out of the student's folder")
        return ""
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("xb") as file:
        file.write(data)
    return hashlib.sha256(data).hexdigest()
