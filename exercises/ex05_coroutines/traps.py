"""What a task can ask of its scheduler. A task yields one of these and is resumed when it has come true.

Given to you, and always the course's own copy when you are graded. A trap is a value: it does nothing by itself.

    from traps import Join, Readable, Sleep, Writable
"""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Sleep:
    """Go on when `seconds` have passed, never earlier."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Readable:
    """Go on when a read of the descriptor `fd` would not wait: bytes, a client or the end of file are there."""

    fd: int


@dataclass(frozen=True, slots=True)
class Writable:
    """Go on when a write to the descriptor `fd` would not wait: there is room, or nobody is left to read."""

    fd: int


@dataclass(frozen=True, slots=True)
class Join:
    """Go on when `task` is done: the yield gives what it returned, or raises what it raised."""

    task: Any  # a Task of your scheduler.py
