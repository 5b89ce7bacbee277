"""Right, in another style: array and tail are published in submit(), which calls enter() once and passes EINTR on."""

import ctypes
import errno
import os

import uring_abi as abi


def distance(head, tail):
    return (tail - head) % 2**32


class Ring:
    def __init__(self, mem, enter):
        self.mem = mem
        self.enter = enter
        self.prepared = mem.sq_tail.value  # runs ahead of sq_tail until submit()

    def prep_read(self, fd, addr, nbytes, offset, user_data):
        if distance(self.mem.sq_head.value, self.prepared) >= self.mem.sq_entries:
            return False
        sqe = self.mem.sqes[self.prepared & self.mem.sq_mask]
        ctypes.memset(ctypes.byref(sqe), 0, ctypes.sizeof(sqe))
        sqe.opcode = abi.IORING_OP_READ
        sqe.fd = fd
        sqe.addr = addr
        sqe.len = nbytes
        sqe.off = offset
        sqe.user_data = user_data
        self.prepared = (self.prepared + 1) % 2**32
        return True

    def submit(self, wait=0):
        tail = self.mem.sq_tail.value
        while tail != self.prepared:
            self.mem.sq_array[tail & self.mem.sq_mask] = tail & self.mem.sq_mask
            tail = (tail + 1) % 2**32
        self.mem.sq_tail.value = tail
        flags = abi.IORING_ENTER_GETEVENTS if wait > 0 else 0
        return self.enter(distance(self.mem.sq_head.value, tail), wait, flags)

    def reap(self):
        found = []
        head, tail = self.mem.cq_head.value, self.mem.cq_tail.value
        while head != tail:
            cqe = self.mem.cqes[head & self.mem.cq_mask]
            found.append((cqe.user_data, cqe.res))
            head = (head + 1) % 2**32
        self.mem.cq_head.value = head
        return found


def read_file(ring, fd, size, block):
    buffer = bytearray(size)
    if size == 0:
        return buffer
    pinned = (ctypes.c_ubyte * size).from_buffer(buffer)
    base = ctypes.addressof(pinned)
    have = [0] * ((size + block - 1) // block)  # bytes that have come, of each block
    to_ask = list(range(len(have)))[::-1]
    in_flight = 0
    too_short = False
    while to_ask or in_flight:
        while to_ask:
            number = to_ask[-1]
            at = number * block + have[number]
            if not ring.prep_read(fd, base + at, min((number + 1) * block, size) - at, at, number):
                break
            to_ask.pop()
            in_flight += 1
        try:
            ring.submit(in_flight)
        except InterruptedError:
            pass
        for number, res in ring.reap():
            in_flight -= 1
            if res == 0:
                too_short = True
            elif res > 0:
                have[number] += res
            elif res not in (-errno.EAGAIN, -errno.EINTR):
                raise OSError(-res, os.strerror(-res))
            if not too_short and number * block + have[number] < min((number + 1) * block, size):
                to_ask.append(number)
        if too_short:
            to_ask.clear()
    if too_short:
        raise EOFError("the file is shorter than it should be")
    return buffer
