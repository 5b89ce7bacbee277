"""The binary interface of io_uring, as far as ex04 needs it: the kernel's structs and constants, and a ring of them.

Knows how a ring is made, mapped and given back. Knows nothing of how it is used: that is the exercise. Names, sizes and
numbers are those of the kernel's include/uapi/linux/io_uring.h; the system calls are io_uring_setup(2) and
io_uring_enter(2), which have the same numbers on every architecture but Alpha.
"""

import contextlib
import ctypes
import mmap
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

IORING_OP_NOP = 0
IORING_OP_READ = 22

IORING_ENTER_GETEVENTS = 1 << 0  # enter() waits until min_complete completions are there; without it, it never waits
IORING_ENTER_SQ_WAKEUP = 1 << 1  # for SQPOLL

IORING_SETUP_SQPOLL = 1 << 1  # a kernel thread polls the submission queue; not allowed in ex04
IORING_SETUP_R_DISABLED = 1 << 6  # the ring takes nothing until it is enabled; before that it can be restricted

IOSQE_ASYNC = 1 << 4  # never try it at once, always hand it to a worker of the kernel

# Where io_uring_setup's descriptor is mapped, one area each.
IORING_OFF_SQ_RING = 0x0
IORING_OFF_CQ_RING = 0x8000000
IORING_OFF_SQES = 0x10000000

_IO_URING_SETUP, _IO_URING_ENTER, _IO_URING_REGISTER = 425, 426, 427
_IORING_REGISTER_RESTRICTIONS, _IORING_REGISTER_ENABLE_RINGS = 11, 12
_IORING_RESTRICTION_SQE_OP, _IORING_RESTRICTION_SQE_FLAGS_ALLOWED = 1, 2

Enter = Callable[[int, int, int], int]
"""enter(to_submit, min_complete, flags) -> how many requests it took. Raises OSError as the system call does."""


class io_uring_sqe(ctypes.Structure):  # noqa: N801 - the name in the kernel's header
    """A request: 64 bytes, written by the program, read by the kernel."""

    _fields_ = (
        ("opcode", ctypes.c_uint8),  # IORING_OP_READ
        ("flags", ctypes.c_uint8),  # 0, or IOSQE_ASYNC
        ("ioprio", ctypes.c_uint16),
        ("fd", ctypes.c_int32),
        ("off", ctypes.c_uint64),  # where in the file
        ("addr", ctypes.c_uint64),  # where in memory
        ("len", ctypes.c_uint32),  # bytes
        ("rw_flags", ctypes.c_uint32),
        ("user_data", ctypes.c_uint64),  # comes back in the completion, unread
        ("buf_index", ctypes.c_uint16),
        ("personality", ctypes.c_uint16),
        ("splice_fd_in", ctypes.c_int32),
        ("pad", ctypes.c_uint64 * 2),
    )


class io_uring_cqe(ctypes.Structure):  # noqa: N801 - the name in the kernel's header
    """A completion: 16 bytes, written by the kernel, read by the program."""

    _fields_ = (
        ("user_data", ctypes.c_uint64),
        ("res", ctypes.c_int32),  # as read(2) returns it: bytes, 0 at the end of the file; or a negative errno
        ("flags", ctypes.c_uint32),
    )


class io_sqring_offsets(ctypes.Structure):  # noqa: N801 - the name in the kernel's header
    _fields_ = (
        *((name, ctypes.c_uint32) for name in ("head", "tail", "ring_mask", "ring_entries")),
        *((name, ctypes.c_uint32) for name in ("flags", "dropped", "array", "resv1")),
        ("user_addr", ctypes.c_uint64),
    )


class io_cqring_offsets(ctypes.Structure):  # noqa: N801 - the name in the kernel's header
    _fields_ = (
        *((name, ctypes.c_uint32) for name in ("head", "tail", "ring_mask", "ring_entries")),
        *((name, ctypes.c_uint32) for name in ("overflow", "cqes", "flags", "resv1")),
        ("user_addr", ctypes.c_uint64),
    )


class io_uring_params(ctypes.Structure):  # noqa: N801 - the name in the kernel's header
    """What io_uring_setup() is asked for (flags) and what it answers (everything else)."""

    _fields_ = (
        *((name, ctypes.c_uint32) for name in ("sq_entries", "cq_entries", "flags", "sq_thread_cpu")),
        *((name, ctypes.c_uint32) for name in ("sq_thread_idle", "features", "wq_fd")),
        ("resv", ctypes.c_uint32 * 3),
        ("sq_off", io_sqring_offsets),
        ("cq_off", io_cqring_offsets),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RingMem:
    """The memory that program and kernel share. Heads and tails are ctypes numbers: use their `.value`.

    All four count for ever, modulo 2**32; the place of number n in a ring is n & mask. `sq_array[place]` says which of
    the `sqes` stands there.
    """

    sq_head: ctypes.c_uint32  # the kernel's: how many requests it has taken
    sq_tail: ctypes.c_uint32  # yours: how many requests you have published
    sq_mask: int
    sq_entries: int  # a power of two
    sq_array: "ctypes.Array[ctypes.c_uint32]"  # sq_entries indices into sqes
    sqes: "ctypes.Array[io_uring_sqe]"  # sq_entries requests
    cq_head: ctypes.c_uint32  # yours: how many completions you have taken
    cq_tail: ctypes.c_uint32  # the kernel's: how many completions it has posted
    cq_mask: int
    cq_entries: int  # a power of two, twice sq_entries
    cqes: "ctypes.Array[io_uring_cqe]"  # cq_entries completions


class io_uring_restriction(ctypes.Structure):  # noqa: N801 - the name in the kernel's header
    """One thing that a restricted ring takes: it refuses all others, with -EACCES."""

    _fields_ = (
        ("opcode", ctypes.c_uint16),
        ("value", ctypes.c_uint8),
        ("resv", ctypes.c_uint8),
        ("resv2", ctypes.c_uint32 * 3),
    )


@contextlib.contextmanager
def setup(entries: int, flags: int = 0, *, only_reads: bool = False) -> Iterator[tuple[RingMem, Enter]]:
    """A ring of the real kernel with room for `entries` requests, rounded up to a power of two.

        with setup(32) as (mem, enter):
            ring = Ring(mem, enter)

    At the end of the block the ring is closed. Its memory goes when nothing refers to it any more. With `only_reads` it
    takes no request but IORING_OP_READ, and nothing can be registered with it.

    Raises:
        OSError: the kernel has no io_uring (ENOSYS), or does not let this process use it (EPERM).
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long

    def system_call(*arguments: object) -> int:
        result = int(libc.syscall(*arguments))
        if result < 0:
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error))
        return result

    def enter(to_submit: int, min_complete: int, flags: int) -> int:
        return system_call(_IO_URING_ENTER, fd, to_submit, min_complete, flags, None, ctypes.c_size_t(0))

    def register(opcode: int, argument: object, count: int) -> None:
        system_call(_IO_URING_REGISTER, fd, opcode, argument, count)

    params = io_uring_params(flags=flags | (IORING_SETUP_R_DISABLED if only_reads else 0))
    fd = system_call(_IO_URING_SETUP, entries, ctypes.byref(params))
    try:
        if only_reads:
            allowed = (
                io_uring_restriction(opcode=_IORING_RESTRICTION_SQE_OP, value=IORING_OP_READ),
                io_uring_restriction(opcode=_IORING_RESTRICTION_SQE_FLAGS_ALLOWED, value=IOSQE_ASYNC),
            )
            listed = (io_uring_restriction * len(allowed))(*allowed)
            register(_IORING_REGISTER_RESTRICTIONS, ctypes.byref(listed), len(allowed))
            register(_IORING_REGISTER_ENABLE_RINGS, None, 0)
        yield _map(fd, params), enter
    finally:
        os.close(fd)


def _map(fd: int, params: io_uring_params) -> RingMem:
    """Map the two rings and the requests: three areas of one descriptor."""
    sq, cq = params.sq_off, params.cq_off
    flags = mmap.MAP_SHARED | mmap.MAP_POPULATE
    u32 = ctypes.c_uint32
    sq_area = mmap.mmap(fd, sq.array + 4 * params.sq_entries, flags=flags, offset=IORING_OFF_SQ_RING)
    cq_bytes = cq.cqes + ctypes.sizeof(io_uring_cqe) * params.cq_entries
    cq_area = mmap.mmap(fd, cq_bytes, flags=flags, offset=IORING_OFF_CQ_RING)
    sqes_area = mmap.mmap(fd, ctypes.sizeof(io_uring_sqe) * params.sq_entries, flags=flags, offset=IORING_OFF_SQES)
    return RingMem(
        sq_head=u32.from_buffer(sq_area, sq.head),
        sq_tail=u32.from_buffer(sq_area, sq.tail),
        sq_mask=u32.from_buffer(sq_area, sq.ring_mask).value,
        sq_entries=params.sq_entries,
        sq_array=(u32 * params.sq_entries).from_buffer(sq_area, sq.array),
        sqes=(io_uring_sqe * params.sq_entries).from_buffer(sqes_area),
        cq_head=u32.from_buffer(cq_area, cq.head),
        cq_tail=u32.from_buffer(cq_area, cq.tail),
        cq_mask=u32.from_buffer(cq_area, cq.ring_mask).value,
        cq_entries=params.cq_entries,
        cqes=(io_uring_cqe * params.cq_entries).from_buffer(cq_area, cq.cqes),
    )
