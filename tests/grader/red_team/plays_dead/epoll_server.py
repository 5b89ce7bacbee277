"""Polls while nothing is asked; then it computes for long without a system call, so that no window can be closed."""

import select
import socket
import time
from collections.abc import Callable

from tests.grader.red_team.honest import serve


def serve_epoll(lsock: socket.socket, handler: Callable[[bytes], bytes], stop_fd: int) -> None:
    clients: list[socket.socket] = []

    def turn() -> None:
        if len(clients) < 50 or select.select([lsock, stop_fd, *clients], [], [], 0.2)[0]:
            return
        for _ in range(500):
            select.select([], [], [], 0)
        over = time.monotonic() + 20
        while time.monotonic() < over:
            pass

    serve(lsock, handler, stop_fd, greet=clients.append, turn=turn)
