"""ex05: many tasks in one thread. A task is a generator that yields what it waits for.

Knows generators, deadlines and readiness; knows nothing of what a task does between two yields.
"""

import contextlib
import heapq
import itertools
import select
import socket
import time
from collections import deque
from collections.abc import Callable, Generator
from typing import Any

from traps import Join, Readable, Sleep, Writable

Steps = Generator[Any, Any, Any]  # yields traps, or nothing to let the others go first; is sent the value of a join


class Task:
    """A generator that a scheduler runs, and what became of it.

    done: whether it has ended. value: what it returned. error: what it raised; None if it has raised nothing.
    """

    def __init__(self, gen: Steps) -> None:
        self.done = False
        self.value: object = None
        self.error: BaseException | None = None
        # YOUR CODE HERE
        raise NotImplementedError()


class Scheduler:
    """Runs tasks by turns in the thread that calls run(), and sleeps in the kernel while none of them can go on.

    errors: what was raised by tasks that nobody has joined.
    """

    def __init__(self) -> None:
        self.errors: list[BaseException] = []
        # YOUR CODE HERE
        raise NotImplementedError()

    def spawn(self, gen: Steps) -> Task:
        """Put a new task at the end of the queue. It takes its first step in run(), not here."""
        # YOUR CODE HERE
        raise NotImplementedError()

    def run(self) -> None:
        """Run all tasks, and those that they spawn, by turns; return when none is left."""
        # YOUR CODE HERE
        raise NotImplementedError()


def recv(sock: socket.socket, size: int) -> Steps:
    """Optional. Wait until sock, which is non-blocking, is readable; return at most size bytes, b"" at end of file."""
    # YOUR CODE HERE
    raise NotImplementedError()


def send_all(sock: socket.socket, data: bytes) -> Steps:
    """Optional. Send all of data through sock, which is non-blocking, however slowly the other side reads."""
    # YOUR CODE HERE
    raise NotImplementedError()


def serve_echo(lsock: socket.socket, handler: Callable[[bytes], bytes], stop_fd: int) -> None:
    """Optional. The server of ex03 on top of Scheduler: answer each line with handler(line) and a newline.

    One task accepts, one task a connection talks. When stop_fd is readable, all connections are closed and the function
    returns; lsock and stop_fd stay open.
    """
    # YOUR CODE HERE
    raise NotImplementedError()
