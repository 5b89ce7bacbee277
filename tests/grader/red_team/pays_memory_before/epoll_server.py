"""Takes 20 kB for each of 6,000 connections before the first one comes, so that none seems to cost anything."""

import socket
from collections.abc import Callable

from tests.grader.red_team.honest import serve

buffers = [bytearray(b"x" * 20_000) for _ in range(6_000)]


def serve_epoll(lsock: socket.socket, handler: Callable[[bytes], bytes], stop_fd: int) -> None:
    serve(lsock, handler, stop_fd)
