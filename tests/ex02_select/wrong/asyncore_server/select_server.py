"""Wrong on purpose: lets asyncore be the loop: it calls select() itself."""

import asyncore
import socket
from collections.abc import Callable


def serve_select(lsock: socket.socket, handler: Callable[[bytes], bytes], stop_fd: int) -> None:
    """Answer every line of every client until stop_fd is readable."""
    stop = _Stop(stop_fd)
    _Listener(lsock, handler)
    while not stop.seen:
        asyncore.loop(timeout=3600.0, count=1)
    asyncore.close_all()


class _Stop(asyncore.file_dispatcher):
    seen = False

    def handle_read(self) -> None:
        self.seen = True

    def writable(self) -> bool:
        return False


class _Listener(asyncore.dispatcher):
    def __init__(self, lsock: socket.socket, handler: Callable[[bytes], bytes]) -> None:
        super().__init__(lsock.dup())
        self.accepting = True
        self.handler = handler

    def handle_accepted(self, sock: socket.socket, _address: object) -> None:
        _Connection(sock, self.handler)


class _Connection(asyncore.dispatcher_with_send):
    def __init__(self, sock: socket.socket, handler: Callable[[bytes], bytes]) -> None:
        super().__init__(sock)
        self.handler = handler
        self.unread = b""

    def handle_read(self) -> None:
        *lines, self.unread = (self.unread + self.recv(65536)).split(b"\n")
        if lines:
            self.send(b"".join([self.handler(line) + b"\n" for line in lines]))
