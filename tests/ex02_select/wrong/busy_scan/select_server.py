"""Wrong on purpose: asks every socket in turn, without waiting, whether it has something."""

import contextlib
import os
import socket
from collections.abc import Callable


def serve_select(lsock: socket.socket, handler: Callable[[bytes], bytes], stop_fd: int) -> None:
    """Answer every line of every client until stop_fd is readable."""
    lsock.setblocking(False)
    os.set_blocking(stop_fd, False)
    connections: list[_Connection] = []
    try:
        while not _stopped(stop_fd):
            with contextlib.suppress(OSError):
                sock, _ = lsock.accept()
                sock.setblocking(False)
                connections.append(_Connection(sock))
            for connection in list(connections):
                if not connection.go_on(handler):
                    connection.sock.close()
                    connections.remove(connection)
    finally:
        for connection in connections:
            connection.sock.close()


def _stopped(stop_fd: int) -> bool:
    try:
        os.read(stop_fd, 1)
    except BlockingIOError:
        return False
    return True


_READ_SIZE = 65536  # bytes: a long line takes few reads, and no client keeps the others waiting for long


class _Connection:
    """One client. It waits either to be read from or, while it leaves replies untaken, to be written to: never both."""

    __slots__ = ("sock", "unread", "unsent")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.unread = bytearray()  # the start of a line whose newline has not come
        self.unsent: bytes | memoryview = b""  # replies that the kernel has not taken

    def go_on(self, handler: Callable[[bytes], bytes]) -> bool:
        """Read once and answer, or send what is left; False when the connection is over."""
        if not self.unsent:
            try:
                data = self.sock.recv(_READ_SIZE)
            except BlockingIOError:
                return True
            except OSError:  # ECONNRESET and its kind: this client is gone, the others are not
                return False
            if not data:
                return False
            self.unsent = self.replies(data, handler)
            if not self.unsent:
                return True
        try:
            sent = self.sock.send(self.unsent)
        except BlockingIOError:
            return True
        except OSError:
            return False
        self.unsent = self.unsent[sent:] or b""  # an empty memoryview would keep the whole reply in memory
        return True

    def replies(self, data: bytes, handler: Callable[[bytes], bytes]) -> bytes | memoryview:
        """The replies to all lines that data completes, for one send(); what follows the last newline is kept."""
        head, newline, tail = data.rpartition(b"\n")
        if not newline:
            self.unread += data
            return b""
        lines = b"".join((self.unread, head)).split(b"\n")
        self.unread[:] = tail
        return memoryview(b"".join([handler(line) + b"\n" for line in lines]))  # its slices are no copies
