"""Whether reports are about what is handed in now: by digest, so the time of neither counts. Knows a folder of
submissions, with one entry a student; knows nothing of what is done with a report.
"""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from grader.course.model import Exercise
from grader.errors import SubmissionError, UsageError
from grader.grading.handed_in import collect
from grader.grading.on_platform import find
from grader.report.folder import Result


def submissions_in(folder: Path) -> Mapping[str, Path]:
    """What each student has handed in, by name: a folder, a file or a zip. Names that begin with a dot are left out.

    Raises:
        UsageError: there is no such folder, or it cannot be read.
    """
    try:
        entries = sorted(one for one in folder.iterdir() if not one.name.startswith("."))
    except OSError as error:
        raise UsageError(
            f"--submissions {folder}: {error.strerror}. Name the folder with what each student handed in."
        ) from error
    return {one.name if one.is_dir() else _without_ending(one.name): one for one in entries}


def digest_of(source: Path, exercise: Exercise) -> str | None:
    """The digest that a report on this would have; None when not all files can be read."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            found = find(source, exercise)
            return collect(found, exercise.submit, Path(folder, "clean"), file_kb=exercise.limits.file_kb).digest
        except SubmissionError as error:
            return error.digest


def outdated(
    results: Sequence[Result], submissions: Mapping[str, Path], exercises: Mapping[str, Exercise]
) -> Sequence[str]:
    """A line for each report that is about another submission than the one that is handed in now. A report that does
    not say what it is about (of version 1), and one of a student who has nothing there, are not looked at.

    Raises:
        UsageError: a report is on an exercise that is not among these.
    """
    lines = []
    for result in results:
        report, source = result.report, submissions.get(result.student)
        if source is None or report.graded_at is None:
            continue
        if report.exercise not in exercises:
            raise UsageError(f"{result.file}: the course has no exercise {report.exercise!a}. Name it with --course.")
        if digest_of(source, exercises[report.exercise]) != report.submission_digest:
            lines.append(f"{result.file}: of {report.graded_at}, and {source} is another submission")
    return lines


def _without_ending(name: str) -> str:
    ending = next((one for one in (".py", ".zip") if name.lower().endswith(one)), "")
    return name[: len(name) - len(ending)]
