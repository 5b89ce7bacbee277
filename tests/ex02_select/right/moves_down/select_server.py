"""Right, in another style: accepts everybody, and parks whose descriptor is too high for select() until a lower one is
free. A callback for each descriptor; reads until EAGAIN.
"""

import errno
import os
import select
import socket
import time
from collections import deque
from collections.abc import Callable
from functools import partial

FD_SETSIZE = 1024


class Loop:
    def __init__(self, lsock: socket.socket, handler: Callable[[bytes], bytes]) -> None:
        self.lsock = lsock
        self.handler = handler
        self.on_readable: dict[int, Callable[[], None]] = {}
        self.on_writable: dict[int, Callable[[], None]] = {}
        self.sockets: dict[int, socket.socket] = {}
        self.parked: deque[socket.socket] = deque()
        self.resume_at: float | None = None
        self.listen()

    def listen(self) -> None:
        self.resume_at = None
        self.on_readable[self.lsock.fileno()] = self.accept

    def accept(self) -> None:
        try:
            sock = self.lsock.accept()[0]
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                raise
            del self.on_readable[self.lsock.fileno()]
            self.resume_at = time.monotonic() + 1.0
            return
        sock.setblocking(False)
        self.admit(sock) if sock.fileno() < FD_SETSIZE else self.parked.append(sock)

    def admit(self, sock: socket.socket) -> None:
        fd, unread = sock.fileno(), bytearray()

        def read() -> None:
            replies = []
            ended = False
            try:
                while data := sock.recv(1 << 16):
                    unread.extend(data)
                    *lines, tail = bytes(unread).split(b"\n") if b"\n" in data else (bytes(unread),)
                    unread[:] = tail
                    replies += [self.handler(line) + b"\n" for line in lines]
                ended = True
            except BlockingIOError:
                pass
            except OSError:
                self.close(sock)
                return
            self.write(sock, memoryview(b"".join(replies)), read, ended)

        self.sockets[fd] = sock
        self.on_readable[fd] = read

    def write(self, sock: socket.socket, unsent: memoryview, read: Callable[[], None], ended: bool) -> None:
        fd = sock.fileno()
        while unsent:
            try:
                unsent = unsent[sock.send(unsent) :]
            except BlockingIOError:
                self.on_readable.pop(fd, None)
                self.on_writable[fd] = partial(self.write, sock, unsent, read, ended)
                return
            except OSError:
                self.close(sock)
                return
        self.on_writable.pop(fd, None)
        self.on_readable[fd] = read
        if ended:
            self.close(sock)

    def close(self, sock: socket.socket) -> None:
        fd = sock.fileno()
        self.on_readable.pop(fd, None)
        self.on_writable.pop(fd, None)
        del self.sockets[fd]
        sock.close()
        if self.parked:
            high = self.parked.popleft()
            low = socket.socket(fileno=os.dup(high.fileno()))  # the lowest that is free
            high.close()
            self.admit(low) if low.fileno() < FD_SETSIZE else self.parked.appendleft(low)
        if self.resume_at is not None:
            self.listen()

    def run(self, stop_fd: int) -> None:
        while True:
            timeout = None if self.resume_at is None else max(0.0, self.resume_at - time.monotonic())
            readable, writable, _ = select.select([stop_fd, *self.on_readable], self.on_writable, [], timeout)
            if stop_fd in readable:
                return
            if self.resume_at is not None and time.monotonic() >= self.resume_at:
                self.listen()
            for act in [*map(self.on_readable.get, readable), *map(self.on_writable.get, writable)]:
                if act is not None:
                    act()

    def end(self) -> None:
        for sock in (*self.sockets.values(), *self.parked):
            sock.close()


def serve_select(lsock: socket.socket, handler: Callable[[bytes], bytes], stop_fd: int) -> None:
    """Answer every line of every client until stop_fd is readable."""
    lsock.setblocking(False)
    loop = Loop(lsock, handler)
    try:
        loop.run(stop_fd)
    finally:
        loop.end()
