"""Searches all its connections for each request, in C: no line and no opcode of Python belongs to it."""

import socket
from collections.abc import Callable

from tests.grader.red_team.honest import serve


def serve_epoll(lsock: socket.socket, handler: Callable[[bytes], bytes], stop_fd: int) -> None:
    clients: dict[int, socket.socket] = {}

    def greet(client: socket.socket) -> None:
        clients[client.fileno()] = client

    serve(lsock, handler, stop_fd, greet=greet, turn=clients.copy)
