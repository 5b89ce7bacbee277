"""What is to be graded of a class, and how far that has come. Knows where a student's work and reports lie; knows no
process.

The folder of reports is the only state: RESULTS/<student>/<exercise's number>.json. A report that is there is done, so
whoever was killed types the same command again.
"""

import hashlib
import hmac
import os
import secrets
import tempfile
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from grader.course.model import Exercise
from grader.errors import GraderError, SubmissionError, UsageError
from grader.grading.finding import find
from grader.grading.handed_in import collect
from grader.report.folder import composed, read_report, refuse_near_duplicates
from grader.report.model import Graded, Refused, Report
from grader.safe_text import safe_text
from grader.versions import kit_version

_SECRET_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One student's work on one exercise.

    Attributes:
        source: what was handed in; None when nothing was.
        file: where its report goes.
    """

    student: str
    exercise: Exercise
    source: Path | None
    file: Path


class Standing(StrEnum):
    """How far an item has come."""

    NEW = "new"  # no report
    CHANGED = "changed"  # a report on other files, or by other checks, sizes or another kit
    UNGRADED = "ungraded"
    REFUSED = "refused"
    ABSENT = "absent"  # a report that says that nothing was handed in
    GRADED = "graded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """An item, how far it has come, and its report where there is one."""

    item: Item
    standing: Standing
    report: Report | None


def items_of(
    submissions: Path, results: Path, exercises: Sequence[Exercise], students: Collection[str] = ()
) -> Sequence[Item]:
    """Everybody's work, by student and exercise.

    Where a student's folder has one with the exercise's name or number, that is the work; else the whole folder is.

    Args:
        submissions: holds a folder, a file or a zip for each student, with the student's name. Names that begin with a
            dot or an underscore are not looked at.
        students: who is in the class besides those who handed in.

    Raises:
        UsageError: there is no such folder, nobody in it, or a name that cannot be printed or is there twice.
    """
    if not submissions.is_dir():
        raise UsageError(f"{submissions}: there is no such folder. Name the one with a folder for each student.")
    work: dict[str, Path] = {}
    for place in sorted(submissions.iterdir()):
        if place.name.startswith((".", "_")) or place.suffix == ".json":
            continue
        name = composed(place.name if place.is_dir() else place.stem)
        if name != safe_text(name):
            raise UsageError(f"{submissions}: a name that cannot be printed: {name!a}. Rename it.")
        if name in work:
            raise UsageError(f"{submissions}: {name} is there twice, {work[name].name} and {place.name}. Keep one.")
        work[name] = place
    refuse_near_duplicates(str(submissions), list(work))
    everybody = sorted({*work, *students})
    if not everybody:
        raise UsageError(f"{submissions}: nobody's work is here. A folder for each student is looked for.")
    return [
        Item(
            student=student,
            exercise=exercise,
            source=_work_on(exercise, work.get(student), alone=len(exercises) == 1),
            file=results / student / f"{exercise.number}.json",
        )
        for student in everybody
        for exercise in exercises
    ]


def _work_on(exercise: Exercise, place: Path | None, *, alone: bool) -> Path | None:
    """What a student has handed in for an exercise. With several exercises, a folder without any of its files is no
    work on it; with one, it is what the student took for it."""
    if place is None or not place.is_dir():
        return place
    for name in (exercise.slug, exercise.number, f"exercises/{exercise.slug}"):
        if (place / name).exists():
            return place / name
    if alone or any((place / name).exists() for name in exercise.submit):
        return place
    return None


def look(item: Item) -> Found:
    """How far an item has come.

    Raises:
        UsageError: what stands where its report goes is none.
        GraderError: what was handed in could not be read, for a reason that is not the student's.
    """
    if not item.file.exists():
        return Found(item=item, standing=Standing.NEW, report=None)
    report = read_report(item.file)
    return Found(item=item, standing=_standing(item, report), report=report)


def _standing(item: Item, report: Report) -> Standing:
    hidden = item.exercise.hidden_sizes is not None
    by = (item.exercise.digest, kit_version(), "hidden" if hidden else "public")
    if by != (report.checks_digest, report.kit_version, report.sizes):
        return Standing.CHANGED
    if item.source is None:
        return Standing.ABSENT if isinstance(report, Refused) else Standing.CHANGED
    if digest_of(item.source, item.exercise) != report.submission_digest:
        return Standing.CHANGED
    if isinstance(report, Graded):
        return Standing.CHANGED if report.partial else Standing.GRADED
    return Standing.REFUSED if isinstance(report, Refused) else Standing.UNGRADED


def digest_of(source: Path, exercise: Exercise) -> str | None:
    """The digest of what was handed in, as a report has it; None where it cannot all be read.

    Raises:
        GraderError: reading broke for a reason that is not the student's.
    """
    with tempfile.TemporaryDirectory(prefix="tracegrade-") as folder:
        try:
            source = find(source, exercise.submit, exercise.slug)
            return collect(source, exercise.submit, Path(folder, "it"), file_kb=exercise.limits.file_kb).digest
        except SubmissionError as error:
            return error.digest


def remove_halves(results: Path) -> None:
    """Take away reports that somebody was killed in the middle of writing. Nobody else may write there meanwhile."""
    for half in results.glob("*/.*.json.*"):
        if half.suffix[1:].isdecimal() and not Path("/proc", half.suffix[1:]).exists():
            with suppress(FileNotFoundError):
                half.unlink()


class Seeds:
    """A seed for each student and exercise: the same at each regrading, and two students have not the same.

    Args:
        file: holds the class's secret; made where it is not there. Whoever knows it can foresee a hidden run's inputs.

    Raises:
        GraderError: it cannot be read or made.
    """

    def __init__(self, file: Path) -> None:
        try:
            file.parent.mkdir(exist_ok=True)
            with suppress(FileExistsError):
                _make_secret(file)
            text = file.read_text(encoding="ascii").strip()
            self._secret = bytes.fromhex(text)
        except OSError as error:
            raise GraderError(f"The class's secret cannot be kept in {file}: {error.strerror}.") from error
        except ValueError as error:
            raise GraderError(
                f"{file}: this is no class's secret. Take it away; regraded students get new seeds."
            ) from error
        if len(self._secret) != _SECRET_BYTES:
            raise GraderError(f"{file}: this is no class's secret. Take it away; regraded students get new seeds.")

    def seed_of(self, item: Item) -> int:
        """32 bits."""
        whose = f"{item.student}\0{item.exercise.slug}".encode()
        return int.from_bytes(hmac.digest(self._secret, whose, hashlib.sha256)[:4])


def _make_secret(file: Path) -> None:
    """Whole or not at all, and for its owner alone.

    Raises:
        FileExistsError: another one was quicker.
    """
    half = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        fd = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "w") as opened:
            opened.write(secrets.token_hex(_SECRET_BYTES) + "\n")
        os.link(half, file)
    finally:
        half.unlink(missing_ok=True)


def wanted(found: Iterable[Found], again: Collection[Standing]) -> Sequence[Item]:
    """What is still to be graded: what has no report, and what is to be graded again."""
    return [one.item for one in found if one.standing is Standing.NEW or one.standing in again]
