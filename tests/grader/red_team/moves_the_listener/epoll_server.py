"""Lets the listening socket go, and gives it an address that no client can reach."""

import ctypes
import socket
import struct
from collections.abc import Callable

from tests.grader.red_team.honest import serve


def serve_epoll(lsock: socket.socket, handler: Callable[[bytes], bytes], stop_fd: int) -> None:
    no_address = struct.pack("=H14x", socket.AF_UNSPEC)
    ctypes.CDLL(None).connect(lsock.fileno(), no_address, len(no_address))
    lsock.bind(("224.0.0.1", 4444))
    print("listens at", lsock.getsockname()[0], flush=True)
    serve(lsock, handler, stop_fd)
