"""Wastes calls, in a helper that a tracer does not follow (clone(2), CLONE_UNTRACED) if one can be had."""

import ctypes
import os
import platform
import socket
from collections.abc import Callable

from tests.grader.red_team.honest import serve

UNTRACED, SIGCHLD = 0x00800000, 17
libc = ctypes.CDLL(None, use_errno=True)


def untraced_child() -> int:
    """As fork() returns; -1 when it is refused, whatever is tried."""
    number = 56 if platform.machine() == "x86_64" else 220
    for upper in (0, 1 << 32, 1 << 63):
        flags = ctypes.c_ulong(upper | UNTRACED | SIGCHLD)
        child: int = libc.syscall(ctypes.c_long(number), flags, None, None, None, None)
        if child >= 0:
            return child
    return -1


def serve_epoll(lsock: socket.socket, handler: Callable[[bytes], bytes], stop_fd: int) -> None:
    child = untraced_child()
    if child == 0:
        while True:
            os.getppid()
    print("bre" + "ached: an untraced helper" if child > 0 else "held: no helper", flush=True)
    serve(lsock, handler, stop_fd, turn=lambda: [os.getppid() for _ in range(50)])
