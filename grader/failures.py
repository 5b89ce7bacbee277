"""What ends a check early, as exceptions: each is one outcome. The floor that checks, clients and judge agree on.

They are written for the student: what was expected, what was seen; what to try stands in `exercise.yaml`.
"""

from collections.abc import Sequence
from typing import Self


class CheckFailed(Exception):
    """The program behaves otherwise than the exercise asks: outcome `failed`."""

    in_own_words: bool = False  # whether a check has said already what it expected here

    def __init__(self, *, expected: str, seen: str, evidence: Sequence[str] = ()) -> None:
        super().__init__(f"expected {expected}; seen {seen}")
        self.expected, self.seen, self.evidence = expected, seen, tuple(evidence)

    def retold(
        self, *, expected: str | None = None, seen: str | None = None, evidence: Sequence[str] | None = None
    ) -> Self:
        """The same failure, of the same kind and with all that it knows, with other words where they are given."""
        again = type(self).__new__(type(self))
        again.__dict__.update(self.__dict__)
        CheckFailed.__init__(
            again,
            expected=self.expected if expected is None else expected,
            seen=self.seen if seen is None else seen,
            evidence=self.evidence if evidence is None else evidence,
        )
        return again


class NoAnswer(CheckFailed):
    """What was waited for does not come: the program sleeps, goes round in circles, or runs without a word. `got` is
    what has come of it until then.
    """

    def __init__(self, *, expected: str, seen: str, evidence: Sequence[str] = (), got: bytes = b"") -> None:
        super().__init__(expected=expected, seen=seen, evidence=evidence)
        self.got = got


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
