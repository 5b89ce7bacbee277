"""Wrong on purpose: sleeps a little on each turn while somebody leaves a reply unread."""

import errno
import select
import socket
import time
from collections.abc import Callable


def serve_select(lsock: socket.socket, handler: Callable[[bytes], bytes], stop_fd: int) -> None:
    """Answer every line of every client until stop_fd is readable."""
    lsock.setblocking(False)
    connections: dict[int, _Connection] = {}
    retry_at: float | None = None  # on the monotonic clock while accepting is paused, else None
    try:
        while True:
            reading = [stop_fd]
            writing: list[int] = []
            if retry_at is None:
                reading.append(lsock.fileno())
            for fd, connection in connections.items():
                (writing if connection.unsent else reading).append(fd)
            if writing:
                time.sleep(0.1)
            timeout = None if retry_at is None else max(0.0, retry_at - time.monotonic())
            readable, writable, _ = select.select(reading, writing, [], timeout)
            if stop_fd in readable:
                return
            room = False
            for fd in readable + writable:  # a connection is in one of the two sets at most
                if fd == lsock.fileno():
                    if not _accept(lsock, connections):
                        retry_at = time.monotonic() + _PAUSE_S
                elif not connections[fd].go_on(handler):
                    connections.pop(fd).sock.close()
                    room = True
            if retry_at is not None and (room or time.monotonic() >= retry_at):
                retry_at = None
    finally:
        for connection in connections.values():
            connection.sock.close()


_FD_SETSIZE = 1024  # bits in an fd_set: select() cannot watch a descriptor from here on; select(2), BUGS
_READ_SIZE = 65536  # bytes: a long line takes few reads, and no client keeps the others waiting for long
_PAUSE_S = 1.0  # between two tries of accept() while descriptors or memory are short and nobody leaves
_OUT_OF_RESOURCES = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


def _accept(lsock: socket.socket, connections: "dict[int, _Connection]") -> bool:
    """Take one client in, or refuse it; False when the process or the kernel has nothing left to hold it with."""
    try:
        sock, _ = lsock.accept()
    except (BlockingIOError, ConnectionAbortedError):
        return True  # the client gave up before we came
    except OSError as error:
        if error.errno not in _OUT_OF_RESOURCES:
            raise
        return False
    if sock.fileno() >= _FD_SETSIZE:
        sock.close()
        return True
    sock.setblocking(False)
    connections[sock.fileno()] = _Connection(sock)
    return True


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
