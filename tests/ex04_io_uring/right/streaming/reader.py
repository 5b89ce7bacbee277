"""Right, in another style: a stream. It waits for most of what is in flight, and keeps the completion queue's worth."""

import ctypes
import errno
import os
from dataclasses import dataclass

from uring_abi import IORING_ENTER_GETEVENTS, IORING_OP_READ

MASK = (1 << 32) - 1


class Ring:
    def __init__(self, mem, enter):
        self._mem = mem
        self._enter = enter

    @property
    def places(self):
        return self._mem.cq_entries

    @property
    def _waiting(self):
        return (self._mem.sq_tail.value - self._mem.sq_head.value) & MASK

    def prep_read(self, fd, addr, nbytes, offset, user_data):
        if self._waiting == self._mem.sq_entries:
            return False
        index = self._mem.sq_tail.value & self._mem.sq_mask
        self._mem.sq_array[index] = index
        sqe = self._mem.sqes[index]
        sqe.opcode, sqe.flags, sqe.ioprio, sqe.rw_flags = IORING_OP_READ, 0, 0, 0
        sqe.fd, sqe.off, sqe.addr, sqe.len, sqe.user_data = fd, offset, addr, nbytes, user_data
        sqe.buf_index = sqe.personality = sqe.splice_fd_in = 0
        self._mem.sq_tail.value += 1
        return True

    def submit(self, wait=0):
        total = 0
        while True:
            try:
                total += self._enter(self._waiting, wait, IORING_ENTER_GETEVENTS)
            except OSError as error:
                if error.errno not in (errno.EINTR, errno.EAGAIN, errno.EBUSY):
                    raise
            if not self._waiting:
                return total

    def reap(self):
        return list(self._completions())

    def _completions(self):
        mem = self._mem
        while (mem.cq_tail.value - mem.cq_head.value) & MASK:
            cqe = mem.cqes[mem.cq_head.value & mem.cq_mask]
            yield cqe.user_data, cqe.res
            mem.cq_head.value += 1


@dataclass
class Piece:
    offset: int
    length: int


def read_file(ring, fd, size, block):
    data = bytearray(size)
    if size:
        _fill(ring, fd, data, block)
    return data


def _fill(ring, fd, data, block):
    start = ctypes.addressof(ctypes.c_char.from_buffer(data))
    fresh = (Piece(offset, min(block, len(data) - offset)) for offset in range(0, len(data), block))
    again, pending, number = [], {}, 0
    piece = next(fresh, None)
    while piece or pending:
        while piece and len(pending) < ring.places:
            if not ring.prep_read(fd, start + piece.offset, piece.length, piece.offset, number):
                break
            pending[number] = piece
            number += 1
            piece = again.pop() if again else next(fresh, None)
        # What is left in flight and a full submission queue must fit into the completion queue together.
        ring.submit(max(1, len(pending) * 3 // 4) if piece else len(pending))
        for user_data, res in ring.reap():
            done = pending.pop(user_data)
            if res == 0:
                raise EOFError(f"the end of the file is at {done.offset}")
            if res < 0 and res not in (-errno.EAGAIN, -errno.EINTR):
                raise OSError(-res, os.strerror(-res))
            got = max(0, res)
            if got < done.length:
                again.append(Piece(done.offset + got, done.length - got))
        if piece is None and again:
            piece = again.pop()
