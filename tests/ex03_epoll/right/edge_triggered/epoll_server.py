"""Right, in another style: edge-triggered. Registered once for everything; each edge is used up until EAGAIN."""

import contextlib
import errno
import select
import socket
import time
from collections.abc import Callable

EDGES = select.EPOLLIN | select.EPOLLOUT | select.EPOLLET


class Client:
    __slots__ = ("rest", "sock", "to_send")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.rest = b""
        self.to_send = b""


def serve_epoll(lsock: socket.socket, handler: Callable[[bytes], bytes], stop_fd: int) -> None:
    """Answer every line of every client until stop_fd is readable."""
    lsock.setblocking(False)
    clients: dict[int, Client] = {}
    full = False
    with select.epoll() as epoll, contextlib.ExitStack() as at_end:
        at_end.callback(close_all, clients)
        epoll.register(stop_fd, select.EPOLLIN)
        epoll.register(lsock, select.EPOLLIN | select.EPOLLET)
        tried_at = 0.0
        while True:
            ready = epoll.poll(0.5 if full else None)
            left = 0
            for fd, _ in ready:
                if fd == stop_fd:
                    return
                if fd == lsock.fileno():
                    full = not accept_all(lsock, epoll, clients)
                    tried_at = time.monotonic()
                elif not converse(clients[fd], handler):
                    clients.pop(fd).sock.close()
                    left += 1
            if full and (left or time.monotonic() - tried_at > 0.5):  # no new edge tells of the clients in the backlog
                full = not accept_all(lsock, epoll, clients)
                tried_at = time.monotonic()


def accept_all(lsock: socket.socket, epoll: select.epoll, clients: dict[int, Client]) -> bool:
    """Accept until the backlog is empty; False when descriptors or memory are."""
    while True:
        try:
            sock, _ = lsock.accept()
        except BlockingIOError:
            return True
        except ConnectionAbortedError:
            continue
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                return False
            raise
        sock.setblocking(False)
        clients[sock.fileno()] = Client(sock)
        epoll.register(sock, EDGES)


def converse(client: Client, handler: Callable[[bytes], bytes]) -> bool:
    """Write and read until neither goes on; False when the client has left."""
    try:
        while True:
            while client.to_send:
                client.to_send = client.to_send[client.sock.send(client.to_send) :]
            data = client.sock.recv(1 << 18)
            if not data:
                return False
            *lines, client.rest = (client.rest + data).split(b"\n")
            client.to_send = b"".join([handler(line) + b"\n" for line in lines])
    except BlockingIOError:
        return True
    except OSError:
        return False


def close_all(clients: dict[int, Client]) -> None:
    for client in clients.values():
        client.sock.close()
