"""Who is in the class, as a table tells it. Knows the headers that people and platforms write; knows no folder of work.

Names are compared without case, spaces and punctuation, and in one form of Unicode: what a platform drops from a name
when it makes a file's name of it must not matter. Two people of one name are never guessed apart.
"""

import csv
import io
import unicodedata
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from grader.errors import UsageError

# By what they say, in the order in which they are looked for.
_IDS = ("id", "studentid", "sisuserid", "idnumber", "sid", "identifier", "login", "username", "sisloginid")
_NAMES = ("name", "fullname", "student")
_OTHERS = ("email", "emailaddress", "login", "username", "sisloginid", "githubusername")
_PARTICIPANT = "participant"  # Moodle's grading worksheet: "Participant 1234" in its column "Identifier"


def folded(text: str) -> str:
    """Equal for names that differ by case, by spaces and punctuation, or by the form of Unicode."""
    text = unicodedata.normalize("NFKC", text).casefold()
    return "".join(c for c in unicodedata.normalize("NFC", text) if unicodedata.category(c)[0] in "LMN")


@dataclass(frozen=True, slots=True)
class Roster:
    """
    Attributes:
        students: the ids, in the table's order.
        by_name: the ids that a folded id, name, login or e-mail address may mean; several where people share it.
        by_number: the id by the platform's own number.
    """

    students: tuple[str, ...]
    by_name: Mapping[str, frozenset[str]]
    by_number: Mapping[str, str]


def read_roster(file: Path) -> Roster:
    """
    Raises:
        UsageError: the table cannot be read, has no column of ids, or an id is empty, no name of a folder or there
            twice.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} cannot be read: {error}. Save the roster as CSV in UTF-8.") from error
    first = text.partition("\n")[0]
    reader = csv.reader(io.StringIO(text), delimiter=max(",;\t", key=first.count), strict=True)
    try:
        rows = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise UsageError(f"{file}:{reader.line_num}: {error}. Save the roster as CSV again.") from error
    headers = [folded(cell) for cell in rows[0][1]] if rows else []
    columns = _id_columns(headers, file)
    students: dict[str, str] = {}  # by folded id
    by_name: defaultdict[str, set[str]] = defaultdict(set)
    by_number: dict[str, str] = {}
    for line, row in rows[1:]:
        cells = {header: cell.strip() for header, cell in zip(headers, row, strict=False)}
        if _is_no_student(cells):
            continue
        student = next((cells[column] for column in columns if cells.get(column)), "")
        student = unicodedata.normalize("NFC", student)
        _require_folder_name(student, f"{file}:{line}")
        if other := students.get(folded(student)):
            raise UsageError(f"{file}:{line}: {student} and {other} are one id to some systems. Keep or rename one.")
        students[folded(student)] = student
        for name in _names(student, cells):
            if name:
                by_name[name].add(student)
        if number := _number(cells):
            by_number[number] = student
    return Roster(tuple(students.values()), {name: frozenset(ids) for name, ids in by_name.items()}, by_number)


def _id_columns(headers: list[str], file: Path) -> list[str]:
    ids = [name for name in _IDS if name in headers]
    if "sisuserid" in ids or "sisloginid" in ids:  # Canvas's gradebook, whose "ID" is a number of Canvas's own
        ids = [name for name in ids if name != "id"]
    if "idnumber" in ids or "emailaddress" in headers:  # Moodle's worksheet, whose "Identifier" is Moodle's own
        ids = [name for name in ids if name != "identifier"]
    ids += [name for name in ("email", "emailaddress") if name in headers]
    if not ids:
        raise UsageError(f"{file}:1: no column of ids. Name one `id`, beside `name`, `email` or `login`.")
    return ids


def _is_no_student(cells: Mapping[str, str]) -> bool:
    """Canvas's gradebook has a row of points, and one of an invented student."""
    return "sisloginid" in cells and cells.get("student") in ("Points Possible", "Student, Test")


def _names(student: str, cells: Mapping[str, str]) -> list[str]:
    given, family = (folded(cells.get(header, "")) for header in ("firstname", "lastname"))
    names = [folded(student), *(folded(cells.get(header, "")) for header in _OTHERS), given + family, family + given]
    for header in _NAMES:
        name = cells.get(header, "")
        last, comma, rest = name.partition(",")
        words = name.split()
        names += [folded(name), folded(rest + last) if comma else folded("".join([*words[-1:], *words[:-1]]))]
    return names


def _number(cells: Mapping[str, str]) -> str:
    identifier = folded(cells.get("identifier", ""))
    if identifier.startswith(_PARTICIPANT):
        return identifier.removeprefix(_PARTICIPANT)
    return cells.get("id", "") if "sisuserid" in cells or "sisloginid" in cells else ""


def _require_folder_name(student: str, place: str) -> None:
    if not student:
        raise UsageError(f"{place}: no id. Fill it in.")
    if student[0] in "._" or not student.isprintable() or set(student) & set("/\\"):
        raise UsageError(f"{place}: the id {student!a} cannot name a folder. Use letters, digits, `-` and `.`.")
