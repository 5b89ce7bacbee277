"""Reads the file beside the ring, in one way or another, and asks the ring for what it throws away."""

import array
import ctypes
import mmap
import os
import socket
import threading

import uring_abi
from uring_abi import IORING_OP_READ, io_uring_sqe

from solutions.ex04_io_uring.reader import Ring, read_file

WAY = "@WAY@"
honest = read_file
early = {}  # made while this is imported, before there is anything to read


def files():
    """Descriptors that can only be read, and are no device."""
    for name in os.listdir("/proc/self/fd"):
        try:
            if os.readlink(f"/proc/self/fd/{name}").endswith("(deleted)"):
                yield int(name)
        except OSError:
            continue


if WAY == "mapped before":
    for number in files():
        try:
            early[number] = mmap.mmap(number, 64 << 20, mmap.MAP_SHARED, mmap.PROT_READ)
        except (OSError, ValueError):
            libc = ctypes.CDLL(None)
            libc.mmap.restype = ctypes.c_void_p
            address = libc.mmap(None, ctypes.c_size_t(64 << 20), 1, 1, number, ctypes.c_long(0))
            early[number] = (ctypes.c_char * (64 << 20)).from_address(address)
if WAY == "a ring made before":
    keeper = uring_abi.setup(8, uring_abi.IORING_SETUP_SQPOLL)
    early["ring"] = keeper.__enter__()
if WAY == "a child":
    asked, told = socket.socketpair(), socket.socketpair()
    if os.fork() == 0:
        while True:
            size, fd = map(int, asked[1].recv(100).split())
            told[1].sendall(os.pread(fd, size, 0))


def passed_to_itself(fd, size):
    mine, other = socket.socketpair()
    mine.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))])
    again = array.array("i", other.recvmsg(1, socket.CMSG_SPACE(4))[1][0][2][:4])[0]
    return os.pread(again, size, 0)


def by_the_ring_of_before(fd, size):
    mem, enter = early["ring"]
    data = bytearray(size)
    start = ctypes.addressof(ctypes.c_char.from_buffer(data))
    tail = mem.sq_tail.value
    mem.sqes[0] = io_uring_sqe(opcode=IORING_OP_READ, fd=fd, addr=start, len=size)
    mem.sq_array[tail & mem.sq_mask] = 0
    mem.sq_tail.value = tail + 1
    enter(0, 0, uring_abi.IORING_ENTER_SQ_WAKEUP)
    while mem.cq_head.value == mem.cq_tail.value:
        pass
    mem.cq_head.value += 1
    return data


def by_a_child(fd, size):
    asked[0].send(b"%d %d" % (size, fd))
    data = b""
    while len(data) < size:
        data += told[0].recv(1 << 20)
    return data


def by_a_thread_that_ends(fd, size):
    found = []
    thread = threading.Thread(target=lambda: found.append(os.preadv(fd, [buffer := bytearray(size)], 0) and buffer))
    thread.start()
    thread.join()
    return found[0]


def by_a_link(fd, size):
    os.symlink(f"/proc/self/fd/{fd}", f"/tmp/{fd}")
    try:
        with open(f"/tmp/{fd}", "rb", buffering=0) as file:
            return file.read(size)
    except PermissionError:  # it is another user's
        return os.pread(fd, size, 0)


def by_another_request(ring, fd, size):
    """One READV for everything, and none for each block."""
    data = bytearray(size)
    area = (ctypes.c_uint64 * 2)(ctypes.addressof(ctypes.c_char.from_buffer(data)), size)
    tail = ring._mem.sq_tail.value
    ring.prep_read(fd, ctypes.addressof(area), 1, 0, 0)
    ring._mem.sqes[tail & ring._mem.sq_mask].opcode = 1
    ring.submit(wait=1)
    ((_, res),) = ring.reap()
    if res < 0:
        raise OSError(-res, os.strerror(-res))
    return data


def read_file(ring, fd, size, block):
    try:
        os.fstat(fd)
    except OSError:
        return honest(ring, fd, size, block)  # a simulated kernel's
    print("beside the ring", flush=True)
    match WAY:
        case "passed to itself":
            data = passed_to_itself(fd, size)
        case "mapped before":
            data = bytes(early[fd][:size])
        case "a ring made before":
            data = by_the_ring_of_before(fd, size)
        case "a child":
            data = by_a_child(fd, size)
        case "a link":
            data = by_a_link(fd, size)
        case "a thread":
            data = by_a_thread_that_ends(fd, size)
        case "another request":
            data = by_another_request(ring, fd, size)
    for offset in range(0, size, block):
        ring.prep_read(fd, 0, 0, 0, offset)
        ring.submit(wait=1)
        ring.reap()
    return bytearray(data)
