"""Right, in another style: poll() instead of epoll, and an addition instead of a product."""

import select
import socket
from collections.abc import Callable

import factor


def scaled(number: int) -> int:
    return sum([number] * factor.FACTOR)


def serve_tiny(lsock: socket.socket, handler: Callable[[bytes], bytes], stop_fd: int) -> None:
    watched = select.poll()
    watched.register(stop_fd, select.POLLIN)
    watched.register(lsock, select.POLLIN)
    clients: dict[int, socket.socket] = {}
    while True:
        ready = [fd for fd, _ in watched.poll()]
        if stop_fd in ready:
            break
        for fd in ready:
            if fd == lsock.fileno():
                client, _ = lsock.accept()
                clients[client.fileno()] = client
                watched.register(client, select.POLLIN)
            elif not answer(clients[fd], handler):
                watched.unregister(fd)
                clients.pop(fd).close()
    for client in clients.values():
        client.close()


def answer(client: socket.socket, handler: Callable[[bytes], bytes]) -> bool:
    """Reply to what has come; False when the client has left."""
    try:
        lines = client.recv(4096).splitlines()
    except ConnectionResetError:
        return False
    client.sendall(b"".join(handler(line) + b"\n" for line in lines))
    return bool(lines)
