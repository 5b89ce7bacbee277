"""Right, in another style: requests packed by struct into the memory of sqes, an anonymous mapping as the buffer, the place
in it packed into user_data; and it says what it does."""

import ctypes
import errno
import gc
import logging
import mmap
import os
import struct
import time

import uring_abi

log = logging.getLogger("reader")
logging.basicConfig(level=logging.DEBUG if os.environ.get("DEBUG") else logging.INFO)
SQE = struct.Struct("<BBHiQQIIQHHi16x")
CQE = struct.Struct("<QiI")
M = 0xFFFFFFFF


class Ring:
    def __init__(self, mem, enter):
        self.mem, self.enter = mem, enter
        self.requests = memoryview(mem.sqes).cast("B")
        self.results = memoryview(mem.cqes).cast("B")
        self.calls = 0

    def prep_read(self, fd, addr, nbytes, offset, user_data):
        mem = self.mem
        tail = mem.sq_tail.value
        if (tail - mem.sq_head.value) & M >= mem.sq_entries:
            return False
        place = tail & mem.sq_mask
        SQE.pack_into(
            self.requests, 64 * place, uring_abi.IORING_OP_READ, 0, 0, fd, offset, addr, nbytes, 0, user_data, 0, 0, 0
        )
        mem.sq_array[place] = place
        mem.sq_tail.value = (tail + 1) & M
        return True

    def submit(self, wait=0):
        done = 0
        while True:
            left = (self.mem.sq_tail.value - self.mem.sq_head.value) & M
            try:
                self.calls += 1
                done += self.enter(left, wait, uring_abi.IORING_ENTER_GETEVENTS if wait else 0)
            except InterruptedError:
                log.debug("interrupted")
                continue
            if self.mem.sq_tail.value == self.mem.sq_head.value:
                return done

    def reap(self):
        mem, found = self.mem, []
        while mem.cq_head.value != mem.cq_tail.value:
            found.append(CQE.unpack_from(self.results, 16 * (mem.cq_head.value & mem.cq_mask))[:2])
            mem.cq_head.value = (mem.cq_head.value + 1) & M
        return found


def read_file(ring, fd, size, block):
    if not size:
        return bytearray()
    began = time.perf_counter()
    area = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    start = ctypes.addressof(ctypes.c_ubyte.from_buffer(area))
    todo = [(at, min(block, size - at)) for at in range(0, size, block)][::-1]
    flying, bad = 0, None
    while flying or (todo and bad is None):
        while todo and bad is None and flying < ring.mem.sq_entries:
            at, length = todo[-1]
            if not ring.prep_read(fd, start + at, length, at, at << 24 | length):
                break
            todo.pop()
            flying += 1
        ring.submit(flying)
        for user_data, res in ring.reap():
            flying -= 1
            at, length = user_data >> 24, user_data & 0xFFFFFF
            if res == -errno.EAGAIN:
                todo.append((at, length))
            elif res < 0:
                bad = OSError(-res, os.strerror(-res))
            elif res == 0:
                bad = EOFError("too short")
            elif res < length:
                todo.append((at + res, length - res))
    if bad is not None:
        raise bad
    print(f"{size} bytes, {ring.calls} calls, {time.perf_counter() - began:.3f} s")
    log.info("done")
    gc.collect()
    return bytearray(area)
