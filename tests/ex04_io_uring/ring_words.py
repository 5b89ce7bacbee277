"""How a failure of ex04 is told: in the words of what was asked, and the simulated kernel's in its own; and where the
course's own copy of that kernel is found.
"""

import contextlib
import errno
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from grader.checks import CheckFailed, NotImported, Raised, Stuck

sys.path.append(str(Path(__file__).parents[2] / "exercises" / Path(__file__).parent.name))

CPU_S = 4.0  # of one file, or of all rounds of a queue: then a loop does not end


@contextlib.contextmanager
def told_as(expected: str | Callable[[], str], *, simulated: bool = True) -> Iterator[None]:
    """A failure in the block is told as that of this expectation; what the simulated kernel says, in its own words."""
    try:
        yield
    except NotImported:
        raise
    except (Raised, Stuck) as failure:
        what = expected if isinstance(expected, str) else expected()
        if isinstance(failure, Stuck):
            raise failure.retold(expected=what) from failure
        if failure.exception == "Misuse":
            seen = f"the simulated kernel: {failure.says}"
            raise CheckFailed(expected=what, seen=seen, evidence=failure.evidence) from failure
        seen = failure.seen
        if failure.errno == errno.EBADF and simulated:
            seen += "; only the simulated kernel knows this descriptor, so nothing but the ring can read from it"
        raise failure.retold(expected=what, seen=seen) from failure
