"""Whose mistake is it? A student's mistake is never an exception here: it is an outcome, a value in a report.

`grade` ends with one of four codes; an error has one of the last two.

KitError
 ├─ UsageError     wrong words on the command line                      exit 2
 ├─ CourseError    the course's own files are wrong: the author's       exit 2
 ├─ SubmissionError  what was handed in cannot be graded                exit 2
 └─ GraderError    the machine's or ours: no verdict                    exit 3
"""

from dataclasses import dataclass, replace
from typing import Final

PASSED: Final = 0
SOMETHING_FAILED: Final = 1  # a check; of other commands, whatever they look for
MISUSED: Final = 2
NO_VERDICT: Final = 3


class KitError(Exception):
    """Said to a person as it stands: whole sentences, what is wrong and the cure."""

    exit_code: int = NO_VERDICT


class UsageError(KitError):
    """Wrong words on the command line."""

    exit_code = MISUSED


class CourseError(KitError):
    """The course's files are wrong. The message names the file, the line and the cure."""

    exit_code = MISUSED


@dataclass(frozen=True, slots=True)
class Place:
    """Where in what was handed in.

    Attributes:
        path: as a message names it, safe to print: of the whole, or of a file in it.
        file: the file's name within the whole; None where the whole is meant.
        line, column: from 1, the column in characters; None where no line is meant.
    """

    path: str
    file: str | None = None
    line: int | None = None
    column: int | None = None

    def at(self, line: int, column: int | None = None) -> "Place":
        """That line of the file."""
        return replace(self, line=line, column=column)

    def named(self, name: str) -> str:
        """The place by another name than its path."""
        return ":".join(str(part) for part in (name, self.line, self.column) if part is not None)

    def __str__(self) -> str:
        return self.named(self.path)


class SubmissionError(KitError):
    """What was handed in cannot be graded. The message names the place and the cure; a report keeps them apart.

    Attributes:
        digest: as `Submission.digest`, where all that is wanted could be read; else None.
    """

    exit_code = MISUSED

    def __init__(self, place: Place, said: str, cure: str) -> None:
        """
        Args:
            said: what is wrong, as it stands behind the place's name: " is a folder", or ": 3 bytes are missing". No
                full stop.
            cure: whole sentences.
        """
        super().__init__(f"{place}{said}. {cure}")
        self.place, self.said, self.cure = place, said, cure
        self.digest: str | None = None


class GraderError(KitError):
    """The machine or the kit broke: there is no verdict, and nobody gets a zero."""

    exit_code = NO_VERDICT
