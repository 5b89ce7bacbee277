"""A student's best results and attempts, in `.grade/results.json` beside `course.yaml`. Knows that file, its lock and
how it breaks; knows nothing of how a score came about. What is kept here is for the student's eyes: no grade hangs on
it, so whatever goes wrong with it is a warning and never an error.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from grader.report.model import Graded, Isolation

# Years of daily work; the oldest go first, and the best result is kept apart from them.
_ATTEMPTS_KEPT: Final = 1_000

_Moment = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$", description="ISO 8601, UTC.")]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Attempt(_Value):
    """One whole grading of an exercise."""

    when: _Moment
    score: int = Field(ge=0)
    max_score: int = Field(ge=0)


class Best(Attempt):
    """The best of them: the highest score, and among equals the newest."""

    measurable_score: int = Field(ge=0)
    official: bool
    isolation: Isolation | None


class _Exercise(_Value):
    best: Best
    attempts: tuple[Attempt, ...]


class _Results(_Value):
    format: Literal[1] = 1
    exercises: dict[str, _Exercise] = {}


def best(root: Path) -> dict[str, Best]:
    """The best result of each exercise that was graded whole, by slug. A file that cannot be read has none:
    `remember` is who says so."""
    return {slug: exercise.best for slug, exercise in _results_or_none(root).exercises.items()}


def attempts(root: Path, slug: str) -> tuple[Attempt, ...]:
    """The attempts at one exercise, oldest first, the last thousand at most."""
    exercise = _results_or_none(root).exercises.get(slug)
    return exercise.attempts if exercise else ()


def remember(root: Path, report: Graded, when: datetime, *, patience_s: float = 10.0) -> str | None:
    """Add one grading. One of only some checks (`partial`) says nothing about the exercise and is left out.

    The file is replaced as a whole, so that a reader or a power cut finds the old one or the new one. Writers wait for
    each other, `patience_s` seconds at most.

    Args:
        root: The folder of `course.yaml`.
        when: Aware of its time zone.

    Returns:
        None, or a warning in whole sentences: the result was not kept, or an unreadable file was moved aside.

    Raises:
        ValueError: `when` has no time zone.
    """
    if when.tzinfo is None:
        raise ValueError(f"{when} has no time zone: a result is dated in UTC")
    if report.partial:
        return None
    file = _file(root)
    try:
        file.parent.mkdir(exist_ok=True)
        with _locked(file.with_name("results.lock"), patience_s):
            try:
                results, warning = _read(file), None
            except ValidationError as error:
                results, warning = _Results(), _moved_aside(file, error)
            _replace(file, _with(results, report, when))
            return warning
    except OSError as error:
        return (
            f"This result was not remembered: {file}: {error.strerror or error}. "
            "The grading itself is not affected. Make the folder .grade writable to keep results."
        )


def _with(results: _Results, report: Graded, when: datetime) -> _Results:
    moment = when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    new = Best(
        when=moment,
        score=report.score,
        max_score=report.max_score,
        measurable_score=report.measurable_score,
        official=report.official,
        isolation=report.isolation,
    )
    attempt = Attempt(when=moment, score=report.score, max_score=report.max_score)
    past = results.exercises.get(report.exercise)
    # Moments of one form, all in UTC, sort as text; writers may arrive in another order than their gradings ended.
    top = max([past.best, new] if past else [new], key=lambda result: (result.score, result.when))
    known = sorted((*(past.attempts if past else ()), attempt), key=lambda attempt: attempt.when)
    exercise = _Exercise(best=top, attempts=tuple(known[-_ATTEMPTS_KEPT:]))
    return _Results(exercises={**results.exercises, report.exercise: exercise})


def _file(root: Path) -> Path:
    return root / ".grade" / "results.json"


def _read(file: Path) -> _Results:
    """Raises ValidationError when it holds something else, OSError when it cannot be read."""
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        return _Results()
    return _Results.model_validate_json(content)


def _results_or_none(root: Path) -> _Results:
    try:
        return _read(_file(root))
    except (OSError, ValidationError):
        return _Results()


def _replace(file: Path, results: _Results) -> None:
    # One name is enough under the lock, and what a killed writer left there is overwritten.
    temporary = file.with_name("results.json.tmp")
    with temporary.open("w", encoding="utf-8") as stream:
        stream.write(results.model_dump_json(indent=2) + "\n")
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(temporary, file)
    folder = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)  # the new name is in the folder, and the folder has a cache of its own
    finally:
        os.close(folder)


def _moved_aside(file: Path, error: ValidationError) -> str:
    number = 1
    while (kept := file.with_name(f"{file.name}.broken-{number}")).exists():
        number += 1
    file.rename(kept)
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = ".".join(map(str, first["loc"])) or "the file"
    return (
        f"{file} could not be read ({place}: {first['msg']}), so results are collected anew. "
        f"The old file is kept as {kept.name}: to have its results back, repair it and rename it to {file.name}."
    )


@contextmanager
def _locked(path: Path, patience_s: float) -> Iterator[None]:
    """An exclusive lock on a file beside the results: the results themselves are replaced, and a lock goes with a file.

    Raises:
        TimeoutError: another process holds it for longer than `patience_s` seconds.
    """
    give_up = time.monotonic() + patience_s
    with path.open("ab") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= give_up:
                    raise TimeoutError(f"another process has held {path.name} for {patience_s:g} s") from None
                time.sleep(0.01)  # flock cannot wait with a deadline
        yield  # closing the file unlocks it
