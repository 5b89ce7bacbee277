"""Searches all its connections behind each request: in a signal handler that a timer calls a moment after the reply, in
frames for which Python's own tracing is off."""

import signal
import socket
import sys
from collections.abc import Callable

from tests.grader.red_team.honest import serve


def serve_epoll(lsock: socket.socket, handler: Callable[[bytes], bytes], stop_fd: int) -> None:
    clients: list[socket.socket] = []

    def search(_number: int, _frame: object) -> None:
        sys._getframe().f_trace_opcodes = False
        for client in clients:
            client.fileno()

    def later(line: bytes) -> bytes:
        signal.setitimer(signal.ITIMER_REAL, 0.005)
        return handler(line)

    signal.signal(signal.SIGALRM, search)
    serve(lsock, later, stop_fd, greet=clients.append)
