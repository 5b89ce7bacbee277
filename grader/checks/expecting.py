"""What a check asserts: a condition with what was expected and what was seen; in whose words a failure is told; and
what noise alone may have spoilt, which is tried again.

Knows the kinds of failures; knows nothing of programs.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from grader.checks.budgets import TAKES
from grader.failures import CheckFailed, Evidence

_T = TypeVar("_T")


class Spoilt(CheckFailed):
    """As CheckFailed, of what noise alone may have spoilt: `unless_noise` tries it again."""


def require(
    condition: object,
    *,
    expected: str,
    seen: object,
    evidence: Iterable[str | Evidence] = (),
    kind: type[CheckFailed] = CheckFailed,
) -> None:
    """The check goes on only if the condition holds.

    Args:
        expected: what the exercise asks, for a student.
        seen: what there was instead: a text as it is, anything else as Python shows it; a function is asked for it.
        evidence: rows that prove it: lines of a trace, of the submission, of a program that a check drew.
        kind: what is raised, if another kind than CheckFailed.

    Raises:
        CheckFailed: it does not hold.
    """
    if not condition:
        found = seen() if callable(seen) else seen
        shown = found if isinstance(found, str) else repr(found)
        raise kind(expected=expected, seen=shown, evidence=evidence)


@contextlib.contextmanager
def expecting(
    expected: str,
    *,
    only: type[CheckFailed] | tuple[type[CheckFailed], ...] = CheckFailed,
    but: type[CheckFailed] | tuple[type[CheckFailed], ...] = (),
    seen: Callable[[CheckFailed], str] = lambda failure: failure.seen,
) -> Iterator[None]:
    """A failure of the block is told as that of this expectation; its kind and its evidence stay. Of blocks within one
    another, the innermost has the word.

    Args:
        only: kinds of failure that are told so.
        but: kinds among them that are told as they are.
        seen: what was seen, in other words.
    """
    try:
        yield
    except CheckFailed as failure:
        if failure.in_own_words or not isinstance(failure, only) or isinstance(failure, but):
            raise
        told = failure.retold(expected=expected, seen=seen(failure))
        told.in_own_words = True
        raise told from failure


def unless_noise(attempt: Callable[[], _T], *, tries: int = TAKES) -> _T:
    """What `attempt()` gives. While it raises Spoilt it is called again, `tries` times at most; all else holds at once.

    For what no count can tell, and a busy machine may spoil, but never bring about.
    """
    for _ in range(tries - 1):
        with contextlib.suppress(Spoilt):
            return attempt()
    return attempt()
