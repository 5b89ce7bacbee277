"""A small right server for attacks that behave well but for one thing. Its text takes the place of the import in them:
a submission is one file.
"""

import select
import socket
from collections.abc import Callable


def serve(
    lsock: socket.socket,
    handler: Callable[[bytes], bytes],
    stop_fd: int,
    *,
    read_size: int = 65536,
    send: Callable[[socket.socket, bytes], object] = socket.socket.sendall,
    greet: Callable[[socket.socket], object] = id,
    turn: Callable[[], object] = object,
) -> None:
    """Answer every line of every client until stop_fd is readable.

    Args:
        read_size: bytes of one recv().
        send: how a reply leaves.
        greet: called with each new connection.
        turn: called before each wait.
    """
    lsock.setblocking(False)
    clients: dict[int, socket.socket] = {}
    unread: dict[int, bytes] = {}
    with select.epoll() as epoll:
        epoll.register(stop_fd, select.EPOLLIN)
        epoll.register(lsock, select.EPOLLIN)
        while True:
            turn()
            for fd, _ in epoll.poll():
                if fd == stop_fd:
                    return
                if fd == lsock.fileno():
                    client, _ = lsock.accept()
                    greet(client)
                    clients[client.fileno()], unread[client.fileno()] = client, b""
                    epoll.register(client, select.EPOLLIN)
                    continue
                try:
                    data = clients[fd].recv(read_size)
                except ConnectionError:
                    data = b""
                if not data:
                    clients.pop(fd).close()
                    continue
                *lines, unread[fd] = (unread[fd] + data).split(b"\n")
                for line in lines:
                    send(clients[fd], handler(line) + b"\n")
