"""Wrong on purpose: answers in its own words."""

import select
import socket
from collections.abc import Callable

import factor


def scaled(number: int) -> int:
    """The number times the given factor."""
    return number * factor.FACTOR


def serve_tiny(lsock: socket.socket, handler: Callable[[bytes], bytes], stop_fd: int) -> None:
    """Answer handler(line) and a newline to each line, until stop_fd is readable. No line comes in pieces."""
    clients: dict[int, socket.socket] = {}
    with select.epoll() as epoll:
        epoll.register(stop_fd, select.EPOLLIN)
        epoll.register(lsock, select.EPOLLIN)
        while True:
            for fd, _ in epoll.poll():
                if fd == stop_fd:
                    for client in clients.values():
                        client.close()
                    return
                if fd == lsock.fileno():
                    client, _ = lsock.accept()
                    clients[client.fileno()] = client
                    epoll.register(client, select.EPOLLIN)
                elif lines := received(clients[fd]).splitlines():
                    clients[fd].sendall(b"".join(line + b"\n" for line in lines))
                else:
                    clients.pop(fd).close()


def received(client: socket.socket) -> bytes:
    try:
        return client.recv(4096)
    except ConnectionResetError:
        return b""
