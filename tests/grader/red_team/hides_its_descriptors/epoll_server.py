"""Never closes a connection, and forbids other processes to look at its descriptors (prctl(2), PR_SET_DUMPABLE)."""

import ctypes
import os
import socket
from collections.abc import Callable

from tests.grader.red_team.honest import serve

ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)
print("hidden", flush=True)


def serve_epoll(lsock: socket.socket, handler: Callable[[bytes], bytes], stop_fd: int) -> None:
    spare = os.open("/dev/null", os.O_RDONLY)
    serve(lsock, handler, stop_fd, greet=lambda _client: os.dup(spare))
