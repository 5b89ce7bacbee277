"""Wrong on purpose: counts with one number for both queues, as in each request is followed by its completion."""

import ctypes
import errno
import os
from collections import deque

from uring_abi import IORING_ENTER_GETEVENTS, IORING_OP_READ, Enter, RingMem, io_uring_sqe


class Ring:
    """A submission queue and a completion queue."""

    def __init__(self, mem: RingMem, enter: Enter) -> None:
        """Use these queues."""
        self.depth = mem.sq_entries
        self._mem, self._enter = mem, enter
        self._done = mem.sq_head.value

    def prep_read(self, fd: int, addr: int, nbytes: int, offset: int, user_data: int) -> bool:
        """Put a request into the submission queue: read nbytes bytes at offset of fd into the memory at addr.

        No system call. user_data is any number below 2**64 and comes back with the completion. False when the queue is
        full; then nothing has changed.
        """
        mem, tail = self._mem, self._mem.sq_tail.value
        if _ahead(mem.sq_head.value, tail) == mem.sq_entries:
            return False
        place = tail & mem.sq_mask
        mem.sqes[place] = io_uring_sqe(
            opcode=IORING_OP_READ, fd=fd, off=offset, addr=addr, len=nbytes, user_data=user_data
        )
        mem.sq_array[place] = place
        mem.sq_tail.value = tail + 1  # last of all: from now on the kernel may read the rest
        return True

    def submit(self, wait: int = 0) -> int:
        """Hand what was prepared to the kernel, and sleep until `wait` completions are there to be reaped.

        There may be fewer: a signal ends the sleep. Returns how many requests the kernel has taken.
        """
        mem, taken = self._mem, 0
        flags = IORING_ENTER_GETEVENTS if wait else 0
        prepared = _ahead(mem.sq_head.value, mem.sq_tail.value)
        while True:
            try:
                taken += self._enter(prepared - taken, wait, flags)
            except InterruptedError:
                continue
            if taken == prepared:
                return taken

    def reap(self) -> list[tuple[int, int]]:
        """Take all completions that are there: (user_data, res) each, in the order in which the kernel posted them.

        No system call and no waiting. res is what read() would have returned, or a negative errno.
        """
        mem, head = self._mem, self._done
        count = _ahead(head, mem.cq_tail.value)
        places = [(head + number) & mem.cq_mask for number in range(count)]
        completions = [(mem.cqes[place].user_data, mem.cqes[place].res) for place in places]
        self._done = head + count
        mem.cq_head.value = head + count  # last of all: from now on the kernel may write there again
        return completions


def read_file(ring: Ring, fd: int, size: int, block: int) -> bytearray:
    """The first size bytes of a file, in requests of at most block bytes, as many at a time as the ring has places.

    No request is in flight when it returns or raises.

    Raises:
        EOFError: the file is shorter than size.
        OSError: the kernel could not read it.
    """
    if not size:
        return bytearray()
    data = bytearray(size)
    start = ctypes.addressof(ctypes.c_char.from_buffer(data))
    wanted = deque((offset, min(block, size - offset)) for offset in range(0, size, block))
    asked: dict[int, int] = {}  # in flight: the length of each request, by its offset, which is also its user_data
    failure: Exception | None = None
    while wanted or asked:
        while wanted and len(asked) < ring.depth:
            offset, length = wanted.popleft()
            ring.prep_read(fd, start + offset, length, offset, user_data=offset)
            asked[offset] = length
        ring.submit(wait=len(asked))
        for offset, res in ring.reap():
            length = asked.pop(offset)
            if res in _TRY_AGAIN:
                wanted.append((offset, length))
            elif res < 0:
                failure = OSError(-res, os.strerror(-res))
            elif res == 0:
                failure = EOFError(f"the file has only {offset} bytes, and {size} were asked for")
            elif res < length:  # a short read: the rest has to be asked for
                wanted.append((offset + res, length - res))
        if failure is not None:
            wanted.clear()  # what is in flight must land first: it is written into `data`
    if failure is not None:
        raise failure
    return data


_TRY_AGAIN = {-errno.EAGAIN, -errno.EINTR}


def _ahead(head: int, tail: int) -> int:
    """How far tail is ahead of head. Both count modulo 2**32, so only their difference, modulo 2**32, has a meaning."""
    return (tail - head) & 0xFFFFFFFF
