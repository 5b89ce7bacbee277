"""How a failure of ex04 is told: in the words of what was asked, and the simulated kernel's in its own; and where the
course's own copy of that kernel is found.
"""

import contextlib
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from grader.checks import CheckFailed, ForbiddenUse, Stuck

sys.path.append(str(Path(__file__).parents[2] / "exercises" / Path(__file__).parent.name))

CPU_S = 4.0  # of one file, or of all rounds of a queue: then a loop does not end


@contextlib.contextmanager
def told_as(expected: str | Callable[[], str], *, simulated: bool = True) -> Iterator[None]:
    """A failure in the block is told as that of this expectation; what the simulated kernel says, in its own words."""
    try:
        yield
    except ForbiddenUse:
        raise
    except CheckFailed as failure:
        what = expected if isinstance(expected, str) else expected()
        if isinstance(failure, Stuck):
            raise failure.retold(expected=what) from failure
        words = re.fullmatch(r"it raised (?:uring_sim\.)?Misuse: (.*)", failure.seen, re.DOTALL)
        if words is not None:
            raise CheckFailed(
                expected=what, seen=f"the simulated kernel: {words[1]}", evidence=failure.evidence
            ) from failure
        if not failure.seen.startswith("it raised"):
            raise
        seen = failure.seen
        if "[Errno 9]" in seen and simulated:
            seen += "; only the simulated kernel knows this descriptor, so nothing but the ring can read from it"
        raise failure.retold(expected=what, seen=seen) from failure
