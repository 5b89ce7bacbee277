"""Asks for an io_uring with each connection: one call of it can do the work of many that are counted."""

import ctypes
import socket
from collections.abc import Callable

from tests.grader.red_team.honest import serve

libc = ctypes.CDLL(None, use_errno=True)


def ring(_client: socket.socket) -> None:
    parameters = ctypes.create_string_buffer(120)
    got = libc.syscall(ctypes.c_long(425), ctypes.c_ulong(8), parameters)
    print("bre" + "ached: a ring" if got >= 0 else "held: no ring", flush=True)


def serve_epoll(lsock: socket.socket, handler: Callable[[bytes], bytes], stop_fd: int) -> None:
    serve(lsock, handler, stop_fd, greet=ring)
