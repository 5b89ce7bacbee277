"""Leaks a descriptor for each connection, and forbids other processes to look at them (prctl(2), PR_SET_DUMPABLE)."""

import ctypes
import os
import platform
import socket
from collections.abc import Callable

from tests.grader.red_team.honest import serve

prctl = 157 if platform.machine() == "x86_64" else 167
hidden = [
    hex(upper)
    for upper in (0, 1 << 32, 1 << 63)
    if ctypes.CDLL(None).syscall(ctypes.c_long(prctl), ctypes.c_ulong(upper | 4), ctypes.c_ulong(0)) == 0
]
print("bre" + "ached" if hidden else "held", hidden, flush=True)


def serve_epoll(lsock: socket.socket, handler: Callable[[bytes], bytes], stop_fd: int) -> None:
    spare = os.open("/dev/null", os.O_RDONLY)
    serve(lsock, handler, stop_fd, greet=lambda _client: os.dup(spare))
