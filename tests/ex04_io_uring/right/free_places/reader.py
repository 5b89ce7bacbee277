"""Right, in another style: the places of sqes are a pool, any free one is taken; a reading is an object."""

import ctypes
import errno
import os

from uring_abi import IORING_ENTER_GETEVENTS, IORING_OP_READ, io_uring_sqe


class Ring:
    def __init__(self, mem, enter):
        self.mem, self.enter = mem, enter
        self.free = list(range(mem.sq_entries))
        self.published = []  # places of requests that the kernel has not taken, the oldest first

    def _recycle(self):
        left = (self.mem.sq_tail.value - self.mem.sq_head.value) % 2**32
        taken = len(self.published) - left
        self.free += self.published[:taken]
        del self.published[:taken]
        return left

    def prep_read(self, fd, addr, nbytes, offset, user_data):
        self._recycle()
        if not self.free:
            return False
        index = self.free.pop()
        self.mem.sqes[index] = io_uring_sqe(
            opcode=IORING_OP_READ, fd=fd, off=offset, addr=addr, len=nbytes, user_data=user_data
        )
        tail = self.mem.sq_tail.value
        self.mem.sq_array[tail & self.mem.sq_mask] = index
        self.published.append(index)
        self.mem.sq_tail.value = (tail + 1) % 2**32
        return True

    def submit(self, wait=0):
        while True:
            try:
                return self.enter(self._recycle(), wait, IORING_ENTER_GETEVENTS if wait else 0)
            except InterruptedError:
                pass

    def reap(self):
        mem = self.mem
        tail = mem.cq_tail.value
        result = []
        while mem.cq_head.value != tail:
            cqe = mem.cqes[mem.cq_head.value & mem.cq_mask]
            result += [(cqe.user_data, cqe.res)]
            mem.cq_head.value += 1
        return result


class Reading:
    def __init__(self, ring, fd, size, block):
        self.ring, self.fd = ring, fd
        self.data = bytearray(size)
        self.start = ctypes.addressof((ctypes.c_char * size).from_buffer(self.data))
        self.todo = [(offset, min(offset + block, size)) for offset in reversed(range(0, size, block))]
        self.room = ring.mem.sq_entries
        self.flying = {}
        self.error = None

    def run(self):
        while self.todo and not self.error or self.flying:
            self.launch()
            self.ring.submit(len(self.flying))
            for ticket, res in self.ring.reap():
                self.land(*self.flying.pop(ticket), res)
        if self.error:
            raise self.error
        return self.data

    def launch(self):
        while self.todo and not self.error and len(self.flying) < self.room:
            begin, end = self.todo.pop()
            if not self.ring.prep_read(self.fd, self.start + begin, end - begin, begin, begin):
                self.todo.append((begin, end))
                break
            self.flying[begin] = begin, end

    def land(self, begin, end, res):
        if res == -errno.EAGAIN:
            self.todo.append((begin, end))
        elif res < 0:
            self.error = OSError(-res, os.strerror(-res))
        elif res == 0:
            self.error = EOFError(f"nothing is at {begin}")
        elif begin + res < end:
            self.todo.append((begin + res, end))


def read_file(ring, fd, size, block):
    return Reading(ring, fd, size, block).run() if size else bytearray()
