"""Searches all its connections for each request, and answers with a count of opcodes that it has made up."""

import socket
from collections.abc import Callable

from tests.grader.red_team.honest import serve


def serve_epoll(lsock: socket.socket, handler: Callable[[bytes], bytes], stop_fd: int) -> None:
    clients: list[socket.socket] = []

    def forged(line: bytes) -> bytes:
        reply = handler(line)
        return b"175" if reply.isdigit() else reply

    serve(lsock, forged, stop_fd, greet=clients.append, turn=lambda: [client.fileno() for client in clients])
