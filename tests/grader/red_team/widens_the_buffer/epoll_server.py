"""Takes send() for a promise to send everything, and makes it one: the kernel's buffer holds the largest reply."""

import socket
from collections.abc import Callable

from tests.grader.red_team.honest import serve


def widen(client: socket.socket) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 22)
    client.setblocking(False)


def serve_epoll(lsock: socket.socket, handler: Callable[[bytes], bytes], stop_fd: int) -> None:
    serve(lsock, handler, stop_fd, greet=widen, send=socket.socket.send)
