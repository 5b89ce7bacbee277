"""Right, in another style: two options are set for each newcomer and its address is asked for, so that it takes eight
calls, as many as are allowed. 32 events at a time.
"""

import contextlib
import errno
import select
import socket
import sys
import time
from collections.abc import Callable

_SHORT = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


def serve_epoll(lsock: socket.socket, handler: Callable[[bytes], bytes], stop_fd: int) -> None:
    """Answer every line of every client until stop_fd is readable."""
    lsock.setblocking(False)
    server = _Server(lsock, handler)
    with server.epoll:
        server.epoll.register(stop_fd, select.EPOLLIN)
        server.watch_lsock()
        try:
            while server.turn(stop_fd):
                pass
        finally:
            for client in server.clients.values():
                client.sock.close()


class _Client:
    __slots__ = ("address", "sock", "unread", "unsent")

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self.address = None
        with contextlib.suppress(OSError):  # it may have left already
            self.address = sock.getpeername()
        self.sock = sock
        self.unread = b""
        self.unsent = b""

    def answer(self, data: bytes, handler: Callable[[bytes], bytes]) -> None:
        *lines, self.unread = (self.unread + data).split(b"\n")
        self.unsent = b"".join([handler(line) + b"\n" for line in lines])


class _Server:
    def __init__(self, lsock: socket.socket, handler: Callable[[bytes], bytes]) -> None:
        self.lsock, self.handler = lsock, handler
        self.epoll = select.epoll()
        self.clients: dict[int, _Client] = {}
        self.paused_until: float | None = None

    def watch_lsock(self) -> None:
        self.paused_until = None
        self.epoll.register(self.lsock, select.EPOLLIN)

    def turn(self, stop_fd: int) -> bool:
        timeout = None
        if self.paused_until is not None:
            timeout = max(0.0, self.paused_until - time.monotonic())
        for fd, _ in self.epoll.poll(timeout, maxevents=32):
            if fd == stop_fd:
                return False
            if fd == self.lsock.fileno():
                self.accept()
            elif not self.goes_on(fd, self.clients[fd]):
                self.forget(fd)
        if self.paused_until is not None and time.monotonic() >= self.paused_until:
            self.watch_lsock()
        return True

    def accept(self) -> None:
        try:
            sock, _ = self.lsock.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError as error:
            if error.errno not in _SHORT:
                raise
            self.epoll.unregister(self.lsock)
            self.paused_until = time.monotonic() + 1.0
            return
        self.clients[sock.fileno()] = _Client(sock)
        self.epoll.register(sock, select.EPOLLIN)

    def goes_on(self, fd: int, client: _Client) -> bool:
        waited = bool(client.unsent)
        try:
            if not waited:
                data = client.sock.recv(1 << 16)
                if not data:
                    return False
                client.answer(data, self.handler)
            if client.unsent:
                client.unsent = client.unsent[client.sock.send(client.unsent) :]
        except BlockingIOError:
            pass
        except OSError as error:
            print(f"{client.address}: {error}", file=sys.stderr)
            return False
        if waited != bool(client.unsent):
            self.epoll.modify(fd, select.EPOLLOUT if client.unsent else select.EPOLLIN)
        return True

    def forget(self, fd: int) -> None:
        self.clients.pop(fd).sock.close()
        if self.paused_until is not None:
            self.watch_lsock()
