"""Searches all its connections for each request, and wastes as much work while they are few: the cost does not grow."""

import socket
from collections.abc import Callable

from tests.grader.red_team.honest import serve


def serve_epoll(lsock: socket.socket, handler: Callable[[bytes], bytes], stop_fd: int) -> None:
    clients: dict[int, socket.socket] = {}

    def greet(client: socket.socket) -> None:
        clients[client.fileno()] = client

    def search() -> None:
        for _ in range(max(1, 2000 - len(clients))):
            pass
        for client in clients.values():
            client.fileno()

    serve(lsock, handler, stop_fd, greet=greet, turn=search)
