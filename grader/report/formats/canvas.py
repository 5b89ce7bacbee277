"""A class's grades as the CSV that Canvas's gradebook imports, and Canvas's own export to find the students by.

Read in lib/gradebook_importer.rb of instructure/canvas-lms: the first columns are Student, ID, SIS User ID, SIS Login
ID, Section, in this order; a student is looked for by ID, then by the two others, then by name; an assignment by the
number in brackets behind its title, else by the title, else it is offered as a new one. A cell that is blank clears
what Canvas holds. So a student without any grade gets no row, and where a roster has a value and we have none, its
value stays.
"""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from grader.errors import UsageError
from grader.report.folder import composed
from grader.report.formats import Roster, Sheet
from grader.report.formats.grades import Grades, as_csv, cell, require_plain

_COLUMNS = ("Student", "ID", "SIS User ID", "SIS Login ID", "Section")
_KEYS = frozenset({"ID", "SIS User ID", "SIS Login ID", "Integration ID"})
_POINTS = "Points Possible"
_EXCUSED = "EX"  # a person's word: a score in its place would take it back
_NUMBERED = re.compile(r"(?P<title>.*?)\s*\([0-9]+\)")


def render(grades: Grades, roster: Roster | None) -> Sheet:
    """The file for Canvas; students are found in the roster by ID, SIS User ID or SIS Login ID."""
    return _without_roster(grades) if roster is None else _with_roster(grades, _read(roster))


def _without_roster(grades: Grades) -> Sheet:
    require_plain(grades.students)
    rows: list[list[str]] = [[*_COLUMNS, *map(cell, grades.exercises)]]
    rows.append([f"    {_POINTS}", "", "", "", "", *(str(grades.max_scores[slug]) for slug in grades.exercises)])
    rows += [
        [student, "", "", student, "", *(_score(grades, student, slug) for slug in grades.exercises)]
        for student in grades.students
    ]
    cleared = [
        f"{student}, {slug}: the cell is blank, and Canvas clears what it holds. Give --roster or --exercise."
        for student, slug in grades.holes()
    ]
    return Sheet(as_csv(rows), [*grades.left_out, *cleared])


def _score(grades: Grades, student: str, slug: str) -> str:
    report = grades.reports.get((student, slug))
    return "" if report is None else str(report.score)


# --- with Canvas's own export -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Table:
    """A roster, read: `identity` is how many columns say who a student is."""

    name: str
    header: Sequence[str]
    identity: int
    points: Sequence[str]
    students: Sequence[Sequence[str]]

    def found(self) -> Mapping[str, set[int]]:
        """Numbers of the rows that each key leads to; of several rows none is meant."""
        keys = [i for i, title in enumerate(self.header[: self.identity]) if title in _KEYS]
        index: dict[str, set[int]] = {}
        for number, row in enumerate(self.students):
            for key in {composed(row[i].strip()).casefold() for i in keys} - {""}:
                index.setdefault(key, set()).add(number)
        return index

    def column(self, slug: str, title: str) -> int | None:
        """The assignment's column, if there is one.

        Raises:
            UsageError: there are several.
        """
        wanted = {slug.casefold(), title.casefold()}
        found = []
        for number, header in enumerate(self.header[self.identity :], self.identity):
            numbered = _NUMBERED.fullmatch(header)
            if (numbered["title"] if numbered else header).casefold() in wanted:
                found.append(number)
        if len(found) > 1:
            raise UsageError(f"{self.name}: {len(found)} columns may be {slug}. Take all but one out of the file.")
        return found[0] if found else None


def _read(roster: Roster) -> _Table:
    separator = ";" if (first := roster.text.partition("\n")[0]).count(";") > first.count(",") else ","
    reader = csv.reader(io.StringIO(roster.text.removeprefix("\ufeff"), newline=""), delimiter=separator, strict=True)
    try:
        rows = list(reader)
    except csv.Error as error:
        raise UsageError(f"{roster.name}:{reader.line_num}: this is no CSV: {error}. Export it again.") from error
    header = [title.strip() for title in rows[0]] if rows else []
    if "Section" not in header or not any("Student" in title or "LastName" in title for title in header[:1]):
        raise UsageError(
            f"{roster.name}:1: this is no gradebook of Canvas: the columns Student, ID and Section are not there. "
            "Export it in Canvas: Grades, Export, Export Entire Gradebook."
        )
    identity = header.index("Section") + 1
    padded = [[*row, *[""] * (len(header) - len(row))] for row in rows[1:]]
    points = next((row for row in padded if _POINTS in row[0]), [""] * len(header))
    students = [row for row in padded if _POINTS not in row[0] and any(map(str.strip, row[:identity]))]
    return _Table(roster.name, header, identity, points, students)


def _with_roster(grades: Grades, table: _Table) -> Sheet:
    columns = {slug: table.column(slug, title) for slug, title in grades.exercises.items()}
    _require_points(grades, table, columns)
    header = [*table.header[: table.identity]]
    points = [f"    {_POINTS}", *[""] * (table.identity - 1)]
    left_out, notes = [*grades.left_out], []
    for slug, column in columns.items():
        header.append(cell(slug) if column is None else cell(table.header[column]))
        points.append(str(grades.max_scores[slug]))
        if column is None:
            notes.append(f"{slug}: {table.name} has no such column. Canvas will offer it as a new assignment.")

    rows = [header, points]
    index, taken = table.found(), dict[int, str]()
    for student in grades.students:
        numbers = index.get(composed(student).casefold(), set())
        if len(numbers) != 1:
            said = "is not in" if not numbers else f"is {len(numbers)} students in"
            left_out.append(f"{student}: {said} {table.name}, by ID, SIS User ID or SIS Login ID. Rename the folder.")
            continue
        (number,) = numbers
        if number in taken:
            raise UsageError(f"{taken[number]} and {student} are one student in {table.name}. Keep one of the folders.")
        taken[number] = student
        row = table.students[number]
        held = {slug: "" if column is None else row[column] for slug, column in columns.items()}
        excused = {slug for slug, value in held.items() if value.strip().upper() == _EXCUSED}
        notes += [f"{student}, {slug}: excused in {table.name}, and stays so." for slug in sorted(excused)]
        scores = ["" if slug in excused else _score(grades, student, slug) for slug in columns]
        scores = [score or cell(held[slug]) for score, slug in zip(scores, columns, strict=True)]
        rows.append([*map(cell, row[: table.identity]), *scores])
    missing = [cell(row[0]) for number, row in enumerate(table.students) if number not in taken]
    notes += [f"{name}: in {table.name}, but without a grade here." for name in missing]
    return Sheet(as_csv(rows), left_out, notes)


def _require_points(grades: Grades, table: _Table, columns: Mapping[str, int | None]) -> None:
    """Canvas would take 80 of 100 for 80 of 20."""
    for slug, column in columns.items():
        held = "" if column is None else table.points[column].strip().replace(",", ".")
        if re.fullmatch(r"[0-9]+(\.[0-9]+)?", held) and float(held) != grades.max_scores[slug]:
            raise UsageError(
                f"{table.name}: {slug} is worth {held} points in Canvas and {grades.max_scores[slug]} in the reports. "
                f"Set the assignment's points to {grades.max_scores[slug]}, and export again."
            )
