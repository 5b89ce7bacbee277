"""Searches all its connections for each request, with the count of opcodes switched off."""

import socket
import sys
from collections.abc import Callable

from tests.grader.red_team.honest import serve


def serve_epoll(lsock: socket.socket, handler: Callable[[bytes], bytes], stop_fd: int) -> None:
    sys.settrace(None)
    frame = sys._getframe().f_back
    while frame is not None:
        frame.f_trace = None
        frame = frame.f_back
    if sys.version_info >= (3, 12):
        for tool in range(6):
            sys.monitoring.set_events(tool, 0) if sys.monitoring.get_tool(tool) else None
    clients: list[socket.socket] = []
    serve(lsock, handler, stop_fd, greet=clients.append, turn=lambda: [client.fileno() for client in clients])
