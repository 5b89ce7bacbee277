"""Sends its replies byte by byte, through descriptor 1: what a program prints is not counted."""

import os
import socket
from collections.abc import Callable

from tests.grader.red_team.honest import serve

output = os.dup(1)


def send(client: socket.socket, reply: bytes) -> None:
    os.dup2(client.fileno(), 1)
    for byte in reply:
        os.write(1, bytes([byte]))
    os.dup2(output, 1)


def serve_epoll(lsock: socket.socket, handler: Callable[[bytes], bytes], stop_fd: int) -> None:
    serve(lsock, handler, stop_fd, send=send)
