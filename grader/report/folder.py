"""A folder of reports, as whoever grades a class keeps it: RESULTS/<student>/<anything>.json, one report a file. Knows
where they lie and whose they are; knows nothing of what is done with them.
"""

import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from grader.errors import UsageError
from grader.report.model import OtherVersion, Report, from_json
from grader.safe_text import safe_text


@dataclass(frozen=True, slots=True)
class Result:
    """One student's report on one exercise."""

    student: str  # the folder's name, with accents composed
    report: Report
    file: Path


def read_results(folder: Path) -> Sequence[Result]:
    """Every report in the folder, by student and exercise. Names that begin with a dot are not looked at, nor is a file
    that does not end in .json.

    Raises:
        UsageError: there is no such folder or no report in it; a file is no report; a student has two of one exercise;
            a student's name cannot be printed; a report lies beside the folders; two folders may be one student's.
            Nothing is half read: the first mistake ends it.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder}: there is no such folder. Name the one with a folder of reports for each student.")
    seen: dict[tuple[str, str], Result] = {}
    students_in(folder)  # two folders that are one student's are told before anything is read
    for flat in sorted(folder.glob("[!.]*.json")):
        where = f"{folder}/<student>/<name>.json"
        raise UsageError(f"{flat}: it lies beside the students' folders. Put it into one of them, {where}.")
    for file in sorted(folder.glob("[!.]*/[!.]*.json")):
        student = composed(file.parent.name)
        if student != safe_text(student):
            raise UsageError(f"{folder}: a student's folder has a name that cannot be printed: {student!a}. Rename it.")
        result = Result(student, read_report(file), file)
        other = seen.setdefault((student, result.report.exercise), result)
        if other is not result:
            raise UsageError(
                f"{file}: {student} has a report on {result.report.exercise} already, {other.file}. Keep one of them."
            )
    if not seen:
        raise UsageError(f"{folder}: no reports here. They are looked for as {folder}/<student>/<name>.json.")
    return [seen[key] for key in sorted(seen)]


def students_in(folder: Path) -> Sequence[str]:
    """Everybody who has a folder there, with a report or without one. Names that begin with a dot are not looked at.

    Raises:
        UsageError: two folders may be one student's.
    """
    names = sorted(one.name for one in folder.iterdir() if one.is_dir() and not one.name.startswith("."))
    refuse_near_duplicates(str(folder), names)
    return [composed(name) for name in names]


def refuse_near_duplicates(where: str, names: Collection[str]) -> None:
    """Nothing, where each name is another student's to a person who reads them.

    Raises:
        UsageError: two of them differ in case, or in how an accent is written, alone.
    """
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(composed(name).casefold(), name)
        if other != name:
            raise UsageError(f"{where}: {other!a} and {name!a} may be one student. Keep one of them, or rename one.")


def composed(name: str) -> str:
    """A student's name as learning management systems write it: macOS hands folders on with accents apart (NFD)."""
    return unicodedata.normalize("NFC", name)


def absent_from(results: Sequence[Result], students: Collection[str]) -> Mapping[str, Sequence[str]]:
    """By exercise: who of these students, and of those with a report, has none on it."""
    everybody = {*students, *(result.student for result in results)}
    present: dict[str, set[str]] = {}
    for result in results:
        present.setdefault(result.report.exercise, set()).add(result.student)
    return {slug: missing for slug, who in sorted(present.items()) if (missing := sorted(everybody - who))}


def read_report(file: Path) -> Report:
    """The report in one file.

    Raises:
        UsageError: there is no such file, it cannot be read, or it is no report.
    """
    try:
        return from_json(file.read_bytes())
    except FileNotFoundError as error:
        raise UsageError(f"{file}: there is no such file. Name a report, as --json writes it.") from error
    except OSError as error:
        raise UsageError(f"{file}: cannot be read: {error.strerror}. Make it readable.") from error
    except OtherVersion as error:
        raise UsageError(f"{file}: {error}") from error
    except ValueError as error:  # pydantic's, which shows what stands in the file: no words of a stranger's here
        raise UsageError(
            f"{file}: this is no report of this kit. Grade the submission again, or take the file away."
        ) from error
