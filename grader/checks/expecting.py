"""What a check asserts: a condition with what was expected and what was seen; and whose words a failure is told in.

Knows the kinds of failures; knows nothing of programs.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator

from grader.failures import CheckFailed


def require(condition: object, *, expected: str, seen: object, evidence: Iterable[str] = ()) -> None:
    """The check goes on only if the condition holds.

    Args:
        expected: what the exercise asks, for a student.
        seen: what there was instead: a text as it is, anything else as Python shows it.
        evidence: rows that prove it: lines of a trace, of the submission, of a program that a check drew.

    Raises:
        CheckFailed: it does not hold.
    """
    if not condition:
        shown = seen if isinstance(seen, str) else repr(seen)
        raise CheckFailed(expected=expected, seen=shown, evidence=tuple(evidence))


@contextlib.contextmanager
def expecting(
    expected: str,
    *,
    only: type[CheckFailed] | tuple[type[CheckFailed], ...] = CheckFailed,
    but: type[CheckFailed] | tuple[type[CheckFailed], ...] = (),
    seen: Callable[[CheckFailed], str] = lambda failure: failure.seen,
) -> Iterator[None]:
    """A failure of the block is told as that of this expectation; of which kind it is, and its evidence, stay.

    Args:
        only: kinds of failure that are told so.
        but: kinds among them that are told as they are.
        seen: what was seen, in other words.
    """
    try:
        yield
    except CheckFailed as failure:
        if not isinstance(failure, only) or isinstance(failure, but):
            raise
        raise type(failure)(expected=expected, seen=seen(failure), evidence=failure.evidence) from failure
