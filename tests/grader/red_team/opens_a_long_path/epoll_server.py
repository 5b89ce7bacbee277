"""Holds a file whose path is longer than the kernel can say."""

import os
import socket
from collections.abc import Callable

from tests.grader.red_team.honest import serve


def serve_epoll(lsock: socket.socket, handler: Callable[[bytes], bytes], stop_fd: int) -> None:
    for _ in range(20):
        os.mkdir("d" * 250)
        os.chdir("d" * 250)
    os.open("file", os.O_CREAT | os.O_WRONLY)
    print("a long way down", flush=True)
    serve(lsock, handler, stop_fd)
