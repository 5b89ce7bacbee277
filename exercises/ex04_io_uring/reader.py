"""ex04: read a file with many requests in flight and few system calls.

Knows io_uring's two queues. Knows neither how they are made nor whose kernel is behind them: the memory and the system
call are given to it.
"""

import ctypes
import errno
import os
from collections import deque

from uring_abi import IORING_ENTER_GETEVENTS, IORING_OP_READ, Enter, RingMem, io_uring_sqe


class Ring:
    """A submission queue and a completion queue."""

    def __init__(self, mem: RingMem, enter: Enter) -> None:
        """Use these queues. They may have been in use: heads and tails stand anywhere. Nothing is in flight."""
        # YOUR CODE HERE
        raise NotImplementedError()

    def prep_read(self, fd: int, addr: int, nbytes: int, offset: int, user_data: int) -> bool:
        """Put a request into the submission queue: read nbytes bytes at offset of fd into the memory at addr.

        No system call. user_data is any number below 2**64 and comes back with the completion. False when the queue is
        full; then nothing has changed.
        """
        # YOUR CODE HERE
        raise NotImplementedError()

    def submit(self, wait: int = 0) -> int:
        """Hand what was prepared to the kernel, and sleep until `wait` completions are there to be reaped.

        There may be fewer: a signal ends the sleep. Returns how many requests the kernel has taken.
        """
        # YOUR CODE HERE
        raise NotImplementedError()

    def reap(self) -> list[tuple[int, int]]:
        """Take all completions that are there: (user_data, res) each, in the order in which the kernel posted them.

        No system call and no waiting. res is what read() would have returned, or a negative errno.
        """
        # YOUR CODE HERE
        raise NotImplementedError()


def read_file(ring: Ring, fd: int, size: int, block: int) -> bytearray:
    """The first size bytes of a file, in requests of at most block bytes, as many at a time as the ring has places.

    No request is in flight when it returns or raises.

    Raises:
        EOFError: the file is shorter than size.
        OSError: the kernel could not read it.
    """
    # YOUR CODE HERE
    raise NotImplementedError()
