"""What ends a check early, as exceptions: each is one outcome. The floor that checks, clients and judge agree on.

They are written for the student: what was expected, what was seen, and what proves it. What to try stands in
`exercise.yaml`, as long as the failure does not know better. Who catches one asks for its class and its values. Nobody
looks into its sentences: they may be told otherwise tomorrow, or in another language.

CheckFailed           the program behaves otherwise than the exercise asks
 ├─ NoAnswer          what was waited for does not come, and waiting has become pointless
 ├─ Crashed           the program ended when it should have gone on, or says what nobody asked for
 │   └─ Raised        by an exception
 │       └─ NotImported  already at its import
 └─ ForbiddenUse      a policy of the exercise was broken
DeadlineReached       the check's own deadline passed
Unmeasured, Omitted   neither points nor a zero
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Literal, Self

Kind = Literal["failed", "no_answer", "crashed", "raised", "forbidden", "deadline"]


@dataclass(frozen=True, slots=True)
class Evidence:
    """A row of what proves a failure: a call of the trace, a line of a traceback, something that was printed.

    `file` and `line` say which line of the student's the row is about, where it is about one.
    """

    text: str
    file: str | None = None
    line: int | None = None

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}  # it stands in reports as it is


class CheckFailed(Exception):
    """The program behaves otherwise than the exercise asks: outcome `failed`.

    Attributes:
        kind: the name of the kind in a report.
        hint: what to try, where the failure itself tells; empty where its check's hint is about it.
        cause: which of the check's `hints` in `exercise.yaml` is about it; empty where it is the check's `hint`.
        in_own_words: a check has said already what it expected here.
    """

    kind: ClassVar[Kind] = "failed"

    hint: str = ""
    cause: str = ""
    in_own_words: bool = False

    expected: str
    seen: str
    evidence: tuple[Evidence, ...]

    def __init__(self, *, expected: str, seen: str, evidence: Iterable[str | Evidence] = ()) -> None:
        super().__init__(f"expected {expected}; seen {seen}")
        self.expected, self.seen = expected, seen
        self.evidence = tuple(row if isinstance(row, Evidence) else Evidence(row) for row in evidence)

    def retold(
        self,
        *,
        expected: str | None = None,
        seen: str | None = None,
        evidence: Iterable[str | Evidence] | None = None,
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
    """What was waited for does not come: the program sleeps, goes round in circles, or runs without a word.

    Attributes:
        got: what has come of it until then.
    """

    kind: ClassVar[Kind] = "no_answer"

    def __init__(self, *, expected: str, seen: str, evidence: Iterable[str | Evidence] = (), got: bytes = b"") -> None:
        super().__init__(expected=expected, seen=seen, evidence=evidence)
        self.got = got


class Crashed(CheckFailed):
    """The program ended when it should have gone on: outcome `crashed`."""

    kind: ClassVar[Kind] = "crashed"


class Raised(Crashed):
    """An exception left the submission's function.

    Attributes:
        exception: the name of its class.
        says: the first line of what it says.
        errno: the error's number, of one that came from the operating system.
        named: the name that was not found, of one that is about a name.
        meant: the name that is there and most like it; empty when there is none.
    """

    kind: ClassVar[Kind] = "raised"

    def __init__(
        self,
        *,
        expected: str,
        seen: str,
        evidence: Iterable[str | Evidence] = (),
        exception: str = "",
        says: str = "",
        errno: int | None = None,
        named: str = "",
        meant: str = "",
    ) -> None:
        super().__init__(expected=expected, seen=seen, evidence=evidence)
        self.exception, self.says, self.errno = exception, says, errno
        self.named, self.meant = named, meant


class NotImported(Raised):
    """An exception left the submission's import: no function of it was called."""


class ForbiddenUse(CheckFailed):
    """A policy of the exercise was broken: outcome `forbidden`."""

    kind: ClassVar[Kind] = "forbidden"


class Unmeasured(Exception):
    """This machine cannot measure what the check asks for: outcome `unmeasured`, neither points nor a zero."""


class Omitted(Exception):
    """An optional part is not handed in: outcome `omitted`, neither points nor a zero."""


class DeadlineReached(BaseException):
    """The check's own deadline passed: outcome `timed_out`. No `except Exception` in a check may eat it."""

    kind: ClassVar[Kind] = "deadline"

    def __init__(self, timeout_s: float) -> None:
        super().__init__(f"no end after {timeout_s:.0f} seconds")
        self.timeout_s = timeout_s
