"""A kernel to try ex04 on that is no kernel: the memory of uring_abi, and an `enter` in Python.

Knows what io_uring promises about the rings, and does on request what it may do and rarely does: reads that are short,
completions out of order or late, calls that are interrupted or take fewer requests than they were asked to, numbers
that wrap. Says so, as a Misuse, when a program does what would hang or be lost with the real one. The same seed does
the same things. Knows nothing of how a submission is graded.

    kernel = Kernel(8, {7: b"what is in the file"}, short=0.5, seed=1)
    ring = Ring(kernel.mem, kernel.enter)
    print(read_file(ring, 7, 19, 4))
    print(kernel.enters, kernel.accepted)
"""

import ctypes
import errno
import os
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from uring_abi import (
    IORING_ENTER_GETEVENTS,
    IORING_OP_NOP,
    IORING_OP_READ,
    IOSQE_ASYNC,
    RingMem,
    io_uring_cqe,
    io_uring_sqe,
)

POISON = 0xDEADBEEF  # what stands in sq_array until the program writes to it
IDLE_ENTERS = 100  # calls of enter in a row that change nothing: the program is going round in circles
_MODULO = 1 << 32


class Misuse(AssertionError):
    """The program breaks the rules of io_uring: a real kernel would hang, lose the request or refuse it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request as the kernel took it from the submission queue."""

    fd: int
    off: int
    addr: int
    len: int
    user_data: int
    opcode: int


class Kernel:
    """One ring and the files behind it.

    Attributes:
        mem: the shared memory, for `Ring(kernel.mem, kernel.enter)`.
        accepted: the requests that were taken, in that order.
        enters: how often `enter` was called.
        most_in_flight: the most requests at one time whose completions the program had not taken.
    """

    def __init__(
        self,
        entries: int,
        files: Mapping[int, bytes],
        *,
        seed: int = 0,
        first: int = 0,
        short: float = 0.0,
        again: float = 0.0,
        partial: float = 0.0,
        interrupt: float = 0.0,
        order: str = "fifo",
        lag: bool = False,
    ) -> None:
        """
        Args:
            entries: of the submission queue, rounded up to a power of two; the completion queue has twice as many.
            files: what can be read, by descriptor. The descriptors need not be open, and better are not.
            seed: of whatever is left to chance.
            first: where heads and tails begin, for example 0xFFFFFFF0.
            short: how likely a read gives fewer bytes than it could.
            again: how likely a read gives -EAGAIN.
            partial: how likely `enter` takes fewer requests than it was asked to.
            interrupt: how likely a signal interrupts `enter`.
            order: of the completions: "fifo", "reversed" or "shuffled" (of those that are ready together).
            lag: completions come only to a call that waits for them, and no more than it waits for.
        """
        entries = 1 << max(0, entries - 1).bit_length()
        sq_tail = _Watched(first)
        sq_tail.written = self._remember_published
        self.mem = RingMem(
            sq_head=ctypes.c_uint32(first),
            sq_tail=sq_tail,
            sq_mask=entries - 1,
            sq_entries=entries,
            sq_array=(ctypes.c_uint32 * entries)(*[POISON] * entries),
            sqes=(io_uring_sqe * entries)(),
            cq_head=ctypes.c_uint32(first),
            cq_tail=ctypes.c_uint32(first),
            cq_mask=2 * entries - 1,
            cq_entries=2 * entries,
            cqes=(io_uring_cqe * (2 * entries))(),
        )
        self.accepted: list[Request] = []
        self.enters = self.most_in_flight = 0
        self._files, self._random = files, random.Random(seed)
        self._short, self._again, self._partial, self._interrupt = short, again, partial, interrupt
        self._order, self._lag = order, lag
        self._sq_head = self._cq_tail = self._tail_seen = first % _MODULO
        self._published: dict[int, bytes] = {}  # number of a request -> what was written when sq_tail was moved over it
        self._in_flight: list[Request] = []  # taken, and not completed yet
        self._idle, self._state_seen = 0, (0, 0, 0)
        self._libc = ctypes.CDLL(None)
        self._libc.mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p]

    @property
    def in_flight(self) -> int:
        """Requests that were taken and not completed yet."""
        return len(self._in_flight)

    # --- the system call

    def enter(self, to_submit: int, min_complete: int, flags: int) -> int:
        """As io_uring_enter(2): take up to `to_submit` requests; with IORING_ENTER_GETEVENTS, wait.

        It waits until `min_complete` completions are in the queue, those from before included. It does not wait when
        it has taken fewer requests than it was asked to.

        Returns:
            How many requests it has taken.

        Raises:
            OSError: EINTR, a signal came.
            Misuse: a rule was broken.
        """
        self.enters += 1
        self._look_at_the_rings()
        interrupted = self._random.random() < self._interrupt
        if interrupted and (to_submit == 0 or self._random.random() < 0.5):
            raise OSError(errno.EINTR, os.strerror(errno.EINTR))
        taken = self._take(to_submit)
        if not self._lag and not interrupted:
            self._complete(len(self._in_flight))
        if flags & IORING_ENTER_GETEVENTS and taken == to_submit and not interrupted:
            self._wait(min(min_complete, self.mem.cq_entries))
        self._count_idle()
        return taken

    def complete(self, user_data: int, res: int) -> None:
        """Post a completion out of nowhere: to try `reap()` alone."""
        place = self._cq_tail & self.mem.cq_mask
        self.mem.cqes[place] = io_uring_cqe(user_data=user_data, res=res)
        self._cq_tail = (self._cq_tail + 1) % _MODULO
        self.mem.cq_tail.value = self._cq_tail

    # --- the submission queue

    def _remember_published(self, tail: int) -> None:
        """Remember what is published at the moment when it is."""
        for step in range(min(ahead(self._tail_seen, tail), self.mem.sq_entries)):
            number = (self._tail_seen + step) % _MODULO
            self._published[number] = self._written_at(number)
        self._tail_seen = tail

    def _written_at(self, number: int) -> bytes:
        """Place in the array, and the request itself, as they stand now."""
        index = self.mem.sq_array[number & self.mem.sq_mask]
        sqe = bytes(self.mem.sqes[index]) if index < self.mem.sq_entries else b""
        return index.to_bytes(4, "little") + sqe

    def _look_at_the_rings(self) -> None:
        mem = self.mem
        ready, posted = ahead(self._sq_head, mem.sq_tail.value), ahead(mem.cq_head.value, self._cq_tail)
        if mem.sq_head.value != self._sq_head or mem.cq_tail.value != self._cq_tail:
            raise Misuse("sq_head or cq_tail has been written to: they are the kernel's, only it moves them")
        if ready > mem.sq_entries:
            raise Misuse(
                f"sq_tail is {ready} beyond sq_head, and the submission queue has {mem.sq_entries} places: requests "
                "were overwritten that the kernel had not taken"
            )
        if posted > mem.cq_entries:
            raise Misuse("cq_head is beyond cq_tail: completions were taken that are not there")

    def _take(self, to_submit: int) -> int:
        there = ahead(self._sq_head, self.mem.sq_tail.value)
        count = min(to_submit, there)
        if count > 1 and self._random.random() < self._partial:
            count = self._random.randrange(1, count)
        for _ in range(count):
            self._take_one()
        return count

    def _take_one(self) -> None:
        number, mem = self._sq_head, self.mem
        index = mem.sq_array[number & mem.sq_mask]
        if index >= mem.sq_entries:
            raise Misuse(
                f"sq_array[{number & mem.sq_mask}] holds {index:#x}, which is the index of no request: sq_tail says "
                "that a request stands there"
            )
        if self._published.pop(number, None) not in {None, self._written_at(number)}:
            raise Misuse(
                "a request was written, or its place in sq_array, after sq_tail said that it is there: the kernel may "
                "have read the old one"
            )
        sqe = mem.sqes[index]
        if sqe.opcode not in {IORING_OP_READ, IORING_OP_NOP} or sqe.flags & ~IOSQE_ASYNC:
            raise Misuse(f"opcode {sqe.opcode} with flags {sqe.flags:#x}: only IORING_OP_READ is simulated here")
        self._sq_head = (number + 1) % _MODULO
        mem.sq_head.value = self._sq_head
        request = Request(
            fd=sqe.fd, off=sqe.off, addr=sqe.addr, len=sqe.len, user_data=sqe.user_data, opcode=sqe.opcode
        )
        self.accepted.append(request)
        self._in_flight.append(request)
        untaken = len(self._in_flight) + ahead(mem.cq_head.value, self._cq_tail)
        self.most_in_flight = max(self.most_in_flight, untaken)

    # --- the completion queue

    def _wait(self, wanted: int) -> None:
        missing = wanted - ahead(self.mem.cq_head.value, self._cq_tail)
        if missing > len(self._in_flight):
            raise Misuse(
                f"enter is to wait for {wanted} completions (in the queue: {wanted - missing}, requests in flight: "
                f"{len(self._in_flight)}): a real kernel would wait for ever"
            )
        if missing > 0:
            self._complete(missing)

    def _complete(self, count: int) -> None:
        """Do that many of the requests in flight, as far as the queue has places for their completions."""
        mem = self.mem
        count = min(count, mem.cq_entries - ahead(mem.cq_head.value, self._cq_tail))
        if self._order == "shuffled":
            self._random.shuffle(self._in_flight)
        for _ in range(count):
            request = self._in_flight.pop(-1 if self._order == "reversed" else 0)
            self.complete(request.user_data, self._done(request))

    def _done(self, request: Request) -> int:
        """Read; the result is that of read(2), or a negative errno."""
        if request.opcode == IORING_OP_NOP:
            return 0
        if request.fd not in self._files:
            return -errno.EBADF
        if self._random.random() < self._again:
            return -errno.EAGAIN
        data = self._files[request.fd][request.off : request.off + request.len]
        if len(data) > 1 and self._random.random() < self._short:
            data = data[: self._random.randrange(1, len(data))]
        if not self._is_mapped(request.addr, len(data)):
            return -errno.EFAULT
        ctypes.memmove(request.addr, data, len(data))
        return len(data)

    def _is_mapped(self, addr: int, count: int) -> bool:
        """Whether all of this memory is the program's; mincore(2) says ENOMEM if some of it is not."""
        page = addr - addr % os.sysconf("SC_PAGESIZE")
        pages = (addr + count - page) // os.sysconf("SC_PAGESIZE") + 1
        return int(self._libc.mincore(page, addr + count - page, ctypes.create_string_buffer(pages))) == 0

    def _count_idle(self) -> None:
        cq_head = self.mem.cq_head.value
        state = (self._sq_head, self._cq_tail, cq_head)
        self._idle = self._idle + 1 if state == self._state_seen else 0
        self._state_seen = state
        if self._idle >= IDLE_ENTERS:
            raise Misuse(
                f"enter was called {IDLE_ENTERS} times in a row, and nothing changed: no request was taken, no "
                f"completion came, and none was taken from the queue (in the queue: {ahead(cq_head, self._cq_tail)}, "
                f"requests in flight: {len(self._in_flight)})"
            )


def ahead(head: int, tail: int) -> int:
    """How far tail is ahead of head; both count modulo 2**32."""
    return (tail - head) % _MODULO


class _Watched(ctypes.c_uint32):
    """A number in shared memory that tells when the program writes to it."""

    written: Callable[[int], None] | None = None

    @property
    def value(self) -> int:
        return int(_U32_VALUE.__get__(self))

    @value.setter
    def value(self, new: int) -> None:
        _U32_VALUE.__set__(self, new)
        if self.written is not None:
            self.written(self.value)


_U32_VALUE: Any = vars(ctypes.c_uint32.__mro__[1])["value"]  # the descriptor that reads and writes the number itself
