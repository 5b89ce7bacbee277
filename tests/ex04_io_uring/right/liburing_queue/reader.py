"""Right, in another style: C's library as a model. get_sqe, submit_and_wait once, then peek; a call that submits is not
interrupted, so only the wait alone is taken up again."""

import ctypes
import errno
import os

from uring_abi import IORING_ENTER_GETEVENTS, IORING_OP_READ


class Ring:
    def __init__(self, mem, enter):
        self.mem, self.enter = mem, enter
        self.sqe_head = self.sqe_tail = mem.sq_tail.value  # of what was handed out, not yet published

    def get_sqe(self):
        if (self.sqe_tail - self.mem.sq_head.value) & 0xFFFFFFFF >= self.mem.sq_entries:
            return None
        sqe = self.mem.sqes[self.sqe_tail & self.mem.sq_mask]
        self.sqe_tail = (self.sqe_tail + 1) & 0xFFFFFFFF
        return sqe

    def prep_read(self, fd, addr, nbytes, offset, user_data):
        sqe = self.get_sqe()
        if sqe is None:
            return False
        ctypes.memset(ctypes.addressof(sqe), 0, ctypes.sizeof(sqe))
        sqe.opcode, sqe.fd, sqe.addr, sqe.len, sqe.off = IORING_OP_READ, fd, addr, nbytes, offset
        sqe.user_data = user_data
        return True

    def flush_sq(self):
        mem = self.mem
        while self.sqe_head != self.sqe_tail:
            mem.sq_array[self.sqe_head & mem.sq_mask] = self.sqe_head & mem.sq_mask
            self.sqe_head = (self.sqe_head + 1) & 0xFFFFFFFF
        mem.sq_tail.value = self.sqe_tail
        return (self.sqe_tail - mem.sq_head.value) & 0xFFFFFFFF

    def submit(self, wait=0):
        count = self.flush_sq()
        if count:
            return self.enter(count, wait, IORING_ENTER_GETEVENTS if wait else 0)
        while wait:
            try:
                return self.enter(0, wait, IORING_ENTER_GETEVENTS)
            except InterruptedError:
                continue
        return 0

    def peek_cqe(self):
        mem = self.mem
        if mem.cq_head.value == mem.cq_tail.value:
            return None
        return mem.cqes[mem.cq_head.value & mem.cq_mask]

    def cqe_seen(self):
        self.mem.cq_head.value = self.mem.cq_head.value + 1

    def reap(self):
        found = []
        while (cqe := self.peek_cqe()) is not None:
            found.append((cqe.user_data, cqe.res))
            self.cqe_seen()
        return found


def read_file(ring, fd, size, block):
    buffer = (ctypes.c_char * size)() if size else b""
    base = ctypes.addressof(buffer) if size else 0
    queue = [(at, min(block, size - at)) for at in range(0, size, block)]
    queue.reverse()
    pending = {}
    number, error = 0, None
    while queue and not error or pending:
        while queue and not error and len(pending) < ring.mem.sq_entries:
            at, length = queue[-1]
            if not ring.prep_read(fd, base + at, length, at, number):
                break
            pending[number] = queue.pop()
            number += 1
        ring.submit(len(pending))
        for user_data, res in ring.reap():
            at, length = pending.pop(user_data)
            if res == -errno.EAGAIN:
                queue.append((at, length))
            elif res < 0:
                error = OSError(-res, os.strerror(-res))
            elif res == 0:
                error = EOFError(f"no byte at {at}")
            elif res < length:
                queue.append((at + res, length - res))
    if error:
        raise error
    return bytearray(buffer)
