"""What ends a check early, as exceptions: each is one outcome. The floor that checks, clients and judge agree on.

They are written for the student: what was expected, what was seen; what to try stands in `exercise.yaml`.
"""

from collections.abc import Sequence


class CheckFailed(Exception):
    """The program behaves otherwise than the exercise asks: outcome `failed`."""

    def __init__(self, *, expected: str, seen: str, evidence: Sequence[str] = ()) -> None:
        super().__init__(f"expected {expected}; seen {seen}")
        self.expected, self.seen, self.evidence = expected, seen, tuple(evidence)


def demand(true: bool, expected: str, seen: object, evidence: Sequence[str] = ()) -> None:
    """Nothing, if so; else the check has failed. What was seen is told as it is if it is text, else as Python shows it.

    Raises:
        CheckFailed: it is not true.
    """
    if not true:
        raise CheckFailed(expected=expected, seen=seen if isinstance(seen, str) else repr(seen), evidence=evidence)


class Crashed(CheckFailed):
    """The program ended when it should have gone on: outcome `crashed`."""


class ForbiddenUse(CheckFailed):
    """A policy of the exercise was broken: outcome `forbidden`."""


class Unmeasured(Exception):
    """This machine cannot measure what the check asks for: outcome `unmeasured`, neither points nor a zero."""


class Omitted(Exception):
    """An optional part is not handed in: outcome `omitted`, neither points nor a zero."""


class DeadlineReached(BaseException):
    """The check's own deadline passed: outcome `timed_out`. No `except Exception` in a check may eat it."""
