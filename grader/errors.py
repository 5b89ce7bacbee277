"""Whose mistake is it? A student's mistake is never an exception here: it is an outcome, a value in a report.

KitError
 ├─ UsageError     wrong words on the command line                      exit 2
 ├─ CourseError    the course's own files are wrong: the author's       exit 2
 ├─ SubmissionError  what was handed in cannot be graded                exit 2
 └─ GraderError    the machine's or ours: no verdict                    exit 3
"""


class KitError(Exception):
    """Said to a person as it stands: whole sentences, what is wrong and the cure."""

    exit_code = 3


class UsageError(KitError):
    """Wrong words on the command line."""

    exit_code = 2


class CourseError(KitError):
    """The course's files are wrong. The message names the file, the line and the cure."""

    exit_code = 2


class SubmissionError(KitError):
    """What was handed in cannot be graded. The message names the file and the cure."""

    exit_code = 2


class GraderError(KitError):
    """The machine or the kit broke: there is no verdict, and nobody gets a zero."""

    exit_code = 3
