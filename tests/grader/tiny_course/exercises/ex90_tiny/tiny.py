"""ex90: a server of a few lines, and a number."""

import select
import socket
from collections.abc import Callable

import factor


def scaled(number: int) -> int:
    """The number times the given factor."""
    # YOUR CODE HERE
    raise NotImplementedError()


def serve_tiny(lsock: socket.socket, handler: Callable[[bytes], bytes], stop_fd: int) -> None:
    """Answer handler(line) and a newline to each line, until stop_fd is readable. No line comes in pieces."""
    # YOUR CODE HERE
    raise NotImplementedError()
