"""Whose mistake is it? A student's mistake is never an exception here: it is an outcome, a value in a report.

`grade` ends with one of four codes; an error has one of the last two.

KitError
 ├─ UsageError     wrong words on the command line                      exit 2
 ├─ CourseError    the course's own files are wrong: the author's       exit 2
 ├─ SubmissionError  what was handed in cannot be graded                exit 2
 └─ GraderError    the machine's or ours: no verdict                    exit 3
"""

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


class SubmissionError(KitError):
    """What was handed in cannot be graded. The message names the file and the cure."""

    exit_code = MISUSED


class GraderError(KitError):
    """The machine or the kit broke: there is no verdict, and nobody gets a zero."""

    exit_code = NO_VERDICT
