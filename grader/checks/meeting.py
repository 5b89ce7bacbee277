"""Where processes meet that must be there at once: each says that it has come, and waits until the check lets it go.

In the box a handler, or a scenario, does this with the two descriptors that it was given, which `pass_fds` names:

    os.write(arrivals, b"%d\\n" % os.getpid())
    os.read(waiting, 1)

Knows pipes; knows no protocol and no exercise. What it reads comes from strangers.
"""

import contextlib
import os
from collections.abc import Callable

from grader.checks.program import Program
from grader.failures import Crashed
from grader.measure.clients import shown


class Pipe:
    """For what a program writes: reading takes what has come, and does not wait. For a `with` block."""

    def __init__(self) -> None:
        self._reading, self.writing = os.pipe()
        os.set_blocking(self._reading, False)

    def __enter__(self) -> "Pipe":
        return self

    def __exit__(self, *_error: object) -> None:
        os.close(self._reading)
        os.close(self.writing)

    def read(self) -> bytes:
        with contextlib.suppress(BlockingIOError):
            return os.read(self._reading, 4096)
        return b""


class Meeting:
    """A meeting point, for a `with` block. `processes` has those that have come, as the box numbers them."""

    def __init__(self) -> None:
        self._arrivals = Pipe()
        self._waiting, self._going = os.pipe()
        self.processes: list[int] = []

    def __enter__(self) -> "Meeting":
        return self

    def __exit__(self, *_error: object) -> None:
        with self._arrivals:
            os.close(self._waiting)
            os.close(self._going)

    @property
    def pass_fds(self) -> tuple[int, int]:
        """Where one says that it has come, and where it waits."""
        return self._arrivals.writing, self._waiting

    def gather(self, program: Program, count: int, *, expected: str, seen: Callable[[int], str]) -> None:
        """Wait until so many more have come.

        Args:
            expected: what a wait in vain is told as.
            seen: asked then what was seen, with how many have come.

        Raises:
            NoAnswer: they do not come.
            Crashed: the program has ended, or who comes is no process.
        """
        before = len(self.processes)

        def come() -> int:
            words = self._arrivals.read().split()
            if others := [word for word in words if not is_pid(word)]:  # nobody else has this descriptor
                raise Crashed(expected="requests in their handlers", seen=f"the program says {shown(others[0])}")
            self.processes += map(int, words)
            return len(self.processes) - before

        program.wait_until(lambda: come() >= count, expected=expected, seen=lambda: seen(come()))

    def let_go(self, count: int) -> None:
        """So many of those that wait."""
        os.write(self._going, b"!" * count)


def is_pid(word: bytes) -> bool:
    """Whether it may be a process's number: what a program says can have more digits than Python makes a number of."""
    return word.isdigit() and len(word) <= 10
