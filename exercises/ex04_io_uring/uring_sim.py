"""A kernel to try ex04 on that is no kernel: the memory of uring_abi, and an `enter` in Python.

Knows what io_uring promises about the rings, and does on request what it may do and rarely does: reads that are short,
completions out of order or late, waits that are interrupted, calls that take fewer requests than they were asked to,
numbers that wrap. Says so, as a Misuse, when a program does what would hang or be lost with the real one. The same seed
does the same things. Knows nothing of how a submission is graded.

    kernel = Kernel(8, {7: b"what is in the file"}, short=0.5, seed=1)
    ring = Ring(kernel.mem, kernel.enter)
    print(read_file(ring, 7, 19, 4))
    print(kernel.enters, kernel.accepted)

There are two halves. `Rings` is the memory, which a program and its kernel share, and the program's end of the call.
`Kernel` decides, and holds the files. Between them go a `Look` and a `Done`, nothing else; so the two may be in one
process, as above, or in two.
"""

import base64
import ctypes
import errno
import os
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any, NamedTuple

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
MOST_BYTES = 1 << 20  # that one call reads; what is beyond is a short read
_MODULO = 1 << 32


class Misuse(AssertionError):
    """The program breaks the rules of io_uring: a real kernel would hang, lose the request or refuse it."""


# --- what goes between the two halves -----------------------------------------------------------------------------


class Slot(NamedTuple):
    """A place of the submission queue, as a call of enter finds it."""

    sqe: int  # the index of the request in sqes; when there is none of that index, the rest is 0
    rewritten: bool  # since sq_tail was moved over it
    opcode: int
    flags: int
    fd: int
    off: int
    addr: int
    len: int
    user_data: int


class Look(NamedTuple):
    """One call of enter: its arguments, and what the kernel finds in the rings."""

    to_submit: int
    min_complete: int
    flags: int
    sq_head: int
    sq_tail: int
    cq_head: int
    cq_tail: int
    slots: list[Slot]  # from sq_head on, as many as the call offers


class Completion(NamedTuple):
    """What is to be written to a place of the completion queue, and before that to the memory of the request."""

    place: int
    user_data: int
    res: int
    addr: int
    data: str  # in base64, res bytes


class Done(NamedTuple):
    """What came of a call."""

    misuse: str  # a rule that was broken; or nothing
    error: int  # an errno; or 0
    taken: int
    sq_head: int
    cq_tail: int
    completions: list[Completion]


# --- the program's half -------------------------------------------------------------------------------------------


class Rings:
    """The memory of one ring, and the program's end of the system call. Knows no file, and decides nothing.

    Attributes:
        mem: the shared memory, for `Ring(rings.mem, rings.enter)`.
    """

    def __init__(self, entries: int, call: Callable[[Look], Done], *, first: int = 0, cq_first: int = 0) -> None:
        """
        Args:
            entries: of the submission queue, a power of two; the completion queue has twice as many.
            call: the kernel's end of the system call.
            first: where head and tail of the submission queue begin.
            cq_first: the same of the completion queue.
        """
        sq_tail = _Watched(first)
        sq_tail.written = self._remember_published
        self.mem = RingMem(
            sq_head=ctypes.c_uint32(first),
            sq_tail=sq_tail,
            sq_mask=entries - 1,
            sq_entries=entries,
            sq_array=(ctypes.c_uint32 * entries)(*[POISON] * entries),
            sqes=(io_uring_sqe * entries)(),
            cq_head=ctypes.c_uint32(cq_first),
            cq_tail=ctypes.c_uint32(cq_first),
            cq_mask=2 * entries - 1,
            cq_entries=2 * entries,
            cqes=(io_uring_cqe * (2 * entries))(),
        )
        self._call = call
        self._tail_seen = first % _MODULO
        self._published: dict[int, bytes] = {}  # number of a request -> what was written when sq_tail was moved over it

    def enter(self, to_submit: int, min_complete: int, flags: int) -> int:
        """As io_uring_enter(2): take up to `to_submit` requests; with IORING_ENTER_GETEVENTS, wait.

        It waits until `min_complete` completions are in the queue, those from before included. It does not wait when
        it has taken fewer requests than it was asked to.

        Returns:
            How many requests it has taken.

        Raises:
            OSError: EINTR, a signal ended the wait of a call that has taken no request, and no completion is there.
            Misuse: a rule was broken.
        """
        done = self._call(self._look(to_submit, min_complete, flags))
        self.apply(done)
        if done.misuse:
            raise Misuse(done.misuse)
        if done.error:
            raise OSError(done.error, os.strerror(done.error))
        return done.taken

    def apply(self, done: Done) -> None:
        """Write what the kernel writes: the memory of requests, the completions, sq_head and cq_tail."""
        mem = self.mem
        for number in range(mem.sq_head.value, mem.sq_head.value + ahead(mem.sq_head.value, done.sq_head)):
            self._published.pop(number % _MODULO, None)
        with Path("/dev/zero").open("rb", buffering=0) as zeros:
            for place, user_data, res, addr, data in done.completions:
                lost = data and not _write(addr, base64.b64decode(data), zeros)
                mem.cqes[place] = io_uring_cqe(user_data=user_data, res=-errno.EFAULT if lost else res)
        mem.sq_head.value, mem.cq_tail.value = done.sq_head, done.cq_tail

    def _look(self, to_submit: int, min_complete: int, flags: int) -> Look:
        mem = self.mem
        head, tail = mem.sq_head.value, mem.sq_tail.value
        offered = min(to_submit % _MODULO, ahead(head, tail), mem.sq_entries)
        return Look(
            to_submit=to_submit % _MODULO,
            min_complete=min_complete % _MODULO,
            flags=flags % _MODULO,
            sq_head=head,
            sq_tail=tail,
            cq_head=mem.cq_head.value,
            cq_tail=mem.cq_tail.value,
            slots=[self._slot((head + step) % _MODULO) for step in range(offered)],
        )

    def _slot(self, number: int) -> Slot:
        mem = self.mem
        index = mem.sq_array[number & mem.sq_mask]
        sqe = mem.sqes[index] if index < mem.sq_entries else io_uring_sqe()
        return Slot(
            sqe=index,
            rewritten=self._published.get(number) not in {None, self._written_at(number)},
            opcode=sqe.opcode,
            flags=sqe.flags,
            fd=sqe.fd,
            off=sqe.off,
            addr=sqe.addr,
            len=sqe.len,
            user_data=sqe.user_data,
        )

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


def _write(addr: int, data: bytes, zeros: FileIO) -> bool:
    """Write to the program's memory; whether all of it is there to be written to, as a read of zeros finds out."""
    written = 0
    try:
        while written < len(data):  # a signal makes such a read short
            written += zeros.readinto((ctypes.c_char * (len(data) - written)).from_address(addr + written))
    except OSError:  # EFAULT
        return False
    ctypes.memmove(addr, data, len(data))
    return True


# --- the kernel's half --------------------------------------------------------------------------------------------


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
        rings: the other half, for a program in this process.
        accepted: the requests that were taken, in that order.
        enters: how often `enter` was called.
        most_in_flight: the most requests at one time whose completions the program had not taken.
        asked_again: how many bytes were asked for that had come already, or were asked for by another request.
        misuse: the first rule that was broken; no call is answered after it.
    """

    def __init__(
        self,
        entries: int,
        files: Mapping[int, bytes],
        *,
        seed: int = 0,
        first: int = 0,
        cq_first: int | None = None,
        short: float = 0.0,
        again: float = 0.0,
        partial: float = 0.0,
        interrupt: float = 0.0,
        order: str = "fifo",
        lag: bool = False,
        broken_at: int | None = None,
        strict: bool = True,
        most_requests: int = 100_000,
    ) -> None:
        """
        Args:
            entries: of the submission queue, rounded up to a power of two; the completion queue has twice as many.
            files: what can be read, by descriptor. The descriptors need not be open, and better are not.
            seed: of whatever is left to chance.
            first: where head and tail of the submission queue begin, for example 0xFFFFFFF0.
            cq_first: where those of the completion queue begin, if elsewhere.
            short: how likely a read gives fewer bytes than it could.
            again: how likely a read gives -EAGAIN.
            partial: how likely `enter` takes fewer requests than it was asked to.
            interrupt: how likely a signal comes during `enter`. It ends a wait, and nothing else.
            order: of the completions: "fifo", "reversed" or "shuffled" (of those that are ready together).
            lag: completions come only to a call that waits for them, and no more than it waits for.
            broken_at: a byte of the files that cannot be read: a read of it gives -EIO.
            strict: a request that is written to after sq_tail was moved over it is a Misuse.
            most_requests: that it takes; a program that asks for more goes round in circles.
        """
        self.entries = 1 << max(0, entries - 1).bit_length()
        cq_first = first if cq_first is None else cq_first
        self.rings = Rings(self.entries, self.answer, first=first, cq_first=cq_first)
        self.accepted: list[Request] = []
        self.enters = self.most_in_flight = self.asked_again = 0
        self.misuse = ""
        self._files, self._random = files, random.Random(seed)
        self._short, self._again, self._partial, self._interrupt = short, again, partial, interrupt
        self._order, self._lag, self._broken_at = order, lag, broken_at
        self._strict, self._most_requests = strict, most_requests
        self._sq_head = first % _MODULO
        self._cq_head = self._cq_tail = cq_first % _MODULO
        self._had = {fd: bytearray(len(data)) for fd, data in files.items()}  # 1 for each byte that came or is to come
        self._in_flight: list[Request] = []  # taken, and not completed yet
        self._posted: list[Completion] = []  # by this call
        self._bytes_left = MOST_BYTES
        self._idle, self._state_seen = 0, (0, 0, 0)

    @property
    def mem(self) -> RingMem:
        """The shared memory, for `Ring(kernel.mem, kernel.enter)`."""
        return self.rings.mem

    @property
    def enter(self) -> Callable[[int, int, int], int]:
        """The system call: see `Rings.enter`."""
        return self.rings.enter

    @property
    def in_flight(self) -> int:
        """Requests that were taken and not completed yet."""
        return len(self._in_flight)

    def ready(self, sq_tail: int) -> int:
        """Requests in the queue, if its tail stands there."""
        return ahead(self._sq_head, sq_tail)

    def complete(self, user_data: int, res: int) -> None:
        """Post a completion out of nowhere: to try `reap()` alone."""
        self.post(user_data, res)
        self.rings.apply(self.news())

    # --- the system call

    def answer(self, look: Look) -> Done:
        """Do what a call asks for."""
        self.enters += 1
        taken = error = 0
        try:
            if not self.misuse:
                taken, error = self._call(look)
        except Misuse as misuse:
            self.misuse = str(misuse)
        return self.news(taken, error)

    def post(self, user_data: int, res: int, addr: int = 0, data: bytes = b"") -> None:
        """One more completion, which the program gets with the next news."""
        place = self._cq_tail & (2 * self.entries - 1)
        self._posted.append(Completion(place, user_data, res, addr, base64.b64encode(data).decode()))
        self._cq_tail = (self._cq_tail + 1) % _MODULO

    def news(self, taken: int = 0, error: int = 0) -> Done:
        """What there is to be written to the rings since the last time."""
        posted, self._posted, self._bytes_left = self._posted, [], MOST_BYTES
        return Done(self.misuse, error, taken, self._sq_head, self._cq_tail, posted)

    def _call(self, look: Look) -> tuple[int, int]:
        """How many requests it takes, and the errno. A signal is told only where the real kernel can tell nothing else:
        no request was taken, and no completion is there."""
        self._look_at_the_rings(look)
        taken = self._take(look)
        interrupted = self._random.random() < self._interrupt
        if not self._lag and not interrupted:
            self._complete(len(self._in_flight))
        if look.flags & IORING_ENTER_GETEVENTS and taken == look.to_submit:
            missing = self._missing(min(look.min_complete, 2 * self.entries))
            if missing > 0 and not interrupted:
                self._complete(missing)
            elif missing > 0 and not taken and not self._untaken():
                return 0, errno.EINTR
        self._count_idle()
        return taken, 0

    def _look_at_the_rings(self, look: Look) -> None:
        self._cq_head = look.cq_head
        ready = self.ready(look.sq_tail)
        if look.sq_head != self._sq_head or look.cq_tail != self._cq_tail:
            raise Misuse("sq_head or cq_tail has been written to: they are the kernel's, only it moves them")
        if ready > self.entries:
            raise Misuse(
                f"sq_tail is {ready} beyond sq_head, and the submission queue has {self.entries} places: requests "
                "were overwritten that the kernel had not taken"
            )
        if self._untaken() > 2 * self.entries:
            raise Misuse("cq_head is beyond cq_tail: completions were taken that are not there")
        if len(look.slots) != min(look.to_submit, ready):
            raise Misuse(f"a call that offers {min(look.to_submit, ready)} requests shows {len(look.slots)}")

    def _untaken(self) -> int:
        """Completions in the queue."""
        return ahead(self._cq_head, self._cq_tail)

    # --- the submission queue

    def _take(self, look: Look) -> int:
        count = len(look.slots)
        if count > 1 and self._random.random() < self._partial:
            count = self._random.randrange(1, count)
        for slot in look.slots[:count]:
            self._take_one(Slot(*slot))
        return count

    def _take_one(self, slot: Slot) -> None:
        if slot.sqe not in range(self.entries):
            raise Misuse(
                f"sq_array[{self._sq_head & (self.entries - 1)}] holds {slot.sqe:#x}, which is the index of no "
                "request: sq_tail says that a request stands there"
            )
        if slot.rewritten and self._strict:
            raise Misuse(
                "a request was written, or its place in sq_array, after sq_tail said that it is there: the kernel may "
                "have read the old one"
            )
        if slot.opcode not in {IORING_OP_READ, IORING_OP_NOP} or slot.flags & ~IOSQE_ASYNC:
            raise Misuse(f"opcode {slot.opcode} with flags {slot.flags:#x}: only IORING_OP_READ is simulated here")
        if len(self.accepted) == self._most_requests:
            raise Misuse(f"more than {self._most_requests:,} requests: the program goes on asking, without an end")
        self._sq_head = (self._sq_head + 1) % _MODULO
        request = Request(
            fd=slot.fd,
            off=slot.off % (1 << 64),
            addr=slot.addr,
            len=slot.len % _MODULO,
            user_data=slot.user_data,
            opcode=slot.opcode,
        )
        self.accepted.append(request)
        self._in_flight.append(request)
        if (had := self._had.get(request.fd)) is not None and request.opcode == IORING_OP_READ:
            there = slice(request.off, min(request.off + request.len, len(had)))
            self.asked_again += had.count(1, there.start, there.stop)
            had[there] = bytes([1]) * len(had[there])
        self.most_in_flight = max(self.most_in_flight, len(self._in_flight) + self._untaken())

    # --- the completion queue

    def _missing(self, wanted: int) -> int:
        """How many completions a wait for so many lacks."""
        missing = wanted - self._untaken()
        if missing > len(self._in_flight):
            raise Misuse(
                f"enter is to wait for {wanted} completions (in the queue: {wanted - missing}, requests in flight: "
                f"{len(self._in_flight)}): a real kernel would wait for ever"
            )
        return missing

    def _complete(self, count: int) -> None:
        """Do that many of the requests in flight, as far as the queue has places for their completions."""
        count = min(count, 2 * self.entries - self._untaken())
        if self._order == "shuffled":
            self._random.shuffle(self._in_flight)
        for _ in range(count):
            request = self._in_flight.pop(-1 if self._order == "reversed" else 0)
            res, data = self._read(request)
            if (had := self._had.get(request.fd)) is not None:
                not_come = slice(request.off + len(data), request.off + request.len)
                had[not_come] = bytes(len(had[not_come]))
            self.post(request.user_data, res, request.addr, data)

    def _read(self, request: Request) -> tuple[int, bytes]:
        """The result, which is that of read(2) or a negative errno, and what was read."""
        if request.opcode == IORING_OP_NOP:
            return 0, b""
        if request.fd not in self._files:
            return -errno.EBADF, b""
        if self._random.random() < self._again:
            return -errno.EAGAIN, b""
        if self._broken_at is not None and request.off <= self._broken_at < request.off + request.len:
            return -errno.EIO, b""
        most = max(1, self._bytes_left)
        data = self._files[request.fd][request.off : request.off + min(request.len, most)]
        if len(data) > 1 and self._random.random() < self._short:
            data = data[: self._random.randrange(1, len(data))]
        self._bytes_left -= len(data)
        return len(data), data

    def _count_idle(self) -> None:
        state = (self._sq_head, self._cq_tail, self._cq_head)
        self._idle = self._idle + 1 if state == self._state_seen else 0
        self._state_seen = state
        if self._idle >= IDLE_ENTERS:
            raise Misuse(
                f"enter was called {IDLE_ENTERS} times in a row, and nothing changed: no request was taken, no "
                f"completion came, and none was taken from the queue (in the queue: {self._untaken()}, requests in "
                f"flight: {len(self._in_flight)})"
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
