"""How each platform names what was handed in: from a file's path to whose it is. Knows names alone; opens nothing."""

import re
from dataclasses import dataclass

from grader.errors import UsageError

# Moodle: "Ada Lovelace_1234_assignsubmission_file_/a.py", without folders "..._file_a.py", new ones "..._file/a.py".
# Canvas: "lovelaceada_LATE_1234_56789_a-2.py", where -2 is Canvas's own, for a second file of that name.
# GitHub Classroom: "ex01-submissions/ex01-ada/a.py"; a login may have hyphens, so the exercise is read off the folder.
# nbgrader: "submitted/ada/ex01/a.py".
_PATTERNS = {
    "moodle": r"(?P<name>[^/]+)_(?P<number>\d+)_assignsubmission_file(?:_/?|/)(?P<file>.+)",
    "canvas": r"(?!(?:LATE_)?anon_)(?P<name>[^/]+?)(?P<late>_LATE)?_(?P<number>\d+)_(?P<order>\d+)_(?P<file>[^/]+)",
    "classroom": r"(?P<exercise>[^/]+)-submissions/(?P=exercise)-(?P<name>[^/]+)/(?P<file>.+)",
    "nbgrader": r"(?:submitted/)?(?P<name>[^/]+)/(?P<file>[^/]+/.+)",
    "folders": r"(?P<name>[^/]+)/(?P<file>.+)",
}
PLATFORMS = tuple(_PATTERNS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """What a path says.

    Attributes:
        name: of the student, as the platform writes it.
        number: the platform's own for the student; "" where there is none.
        order: grows with each hand-in.
        file: the path in the student's folder.
        late: True if the platform says so.
    """

    name: str
    number: str
    order: int
    file: str
    late: bool


class Layout:
    """A pattern of whole paths, with groups `name` and `file`, and where there are any `number`, `order`, `late`."""

    def __init__(self, pattern: str) -> None:
        try:
            self._pattern = re.compile(pattern)
        except re.error as error:
            raise UsageError(f"--map: {pattern!r} is no regular expression: {error}.") from error
        if missing := {"name", "file"} - set(self._pattern.groupindex):
            raise UsageError(f"--map: no group (?P<{min(missing)}>...). A path's name and file are needed.")
        self.counts_the_top = pattern == _PATTERNS["classroom"]  # True if the source's own name is part of a path
        self._is_canvas = pattern == _PATTERNS["canvas"]

    @classmethod
    def of(cls, platform: str) -> "Layout":
        return cls(_PATTERNS[platform])

    def read(self, path: str) -> Named | None:
        """What the path says; None where the layout has no such path."""
        match = self._pattern.fullmatch(path)
        if match is None or not match["name"] or not (match["file"] or "").strip("/"):
            return None
        found = match.groupdict()
        # No module can be imported whose name has a hyphen, so this one is never the student's.
        file = re.sub(r"-\d+(?=\.py$)", "", found["file"]) if self._is_canvas else found["file"]
        order = found.get("order") or "0"
        return Named(
            name=found["name"],
            number=found.get("number") or "",
            order=int(order) if order.isdecimal() else 0,
            file=file.lstrip("/"),  # else it would lead out of the student's folder
            late=bool(found.get("late")),
        )
