"""Right, in another style: objects that are told of events, and reading that goes on while a reply is unsent."""

import errno
import select
import socket
import time
from collections import deque
from collections.abc import Callable

Handler = Callable[[bytes], bytes]


class Connection:
    """One client; closes itself."""

    HIGH_WATER = 1 << 18  # bytes unsent, beyond which nothing more is read

    __slots__ = ("at_eof", "interest", "loop", "outgoing", "partial", "sock")

    def __init__(self, loop: "Loop", sock: socket.socket) -> None:
        sock.setblocking(False)
        self.loop = loop
        self.sock = sock
        self.partial = b""
        self.outgoing: deque[memoryview] | None = None
        self.at_eof = False
        self.interest = select.EPOLLIN
        loop.epoll.register(sock, self.interest)

    def handle(self, events: int) -> None:
        try:
            if events & (select.EPOLLIN | select.EPOLLERR | select.EPOLLHUP) and not self.at_eof:
                self.read()
            self.write()
        except BlockingIOError:
            pass
        except OSError:
            self.close()
            return
        if self.at_eof and not self.outgoing:
            self.close()
        else:
            self.update_interest()

    def read(self) -> None:
        data = self.sock.recv(1 << 16)
        self.at_eof = not data
        self.partial += data
        if b"\n" in data:
            *lines, self.partial = self.partial.split(b"\n")
            self.outgoing = self.outgoing or deque()
            self.outgoing.append(memoryview(b"\n".join([*map(self.loop.handler, lines), b""])))

    def write(self) -> None:
        while self.outgoing:
            sent = self.sock.send(self.outgoing[0])
            if sent == len(self.outgoing[0]):
                self.outgoing.popleft()
            else:
                self.outgoing[0] = self.outgoing[0][sent:]
        self.outgoing = None

    def update_interest(self) -> None:
        unsent = sum(map(len, self.outgoing or ()))
        interest = select.EPOLLOUT if unsent else 0
        if not self.at_eof and unsent < self.HIGH_WATER:
            interest |= select.EPOLLIN
        if interest != self.interest:
            self.interest = interest
            self.loop.epoll.modify(self.sock, interest)

    def close(self) -> None:
        self.loop.forget(self.sock.fileno())
        self.loop.epoll.unregister(self.sock)
        self.sock.close()


class Listener:
    """The listening socket; looks away while no descriptor is to be had."""

    def __init__(self, loop: "Loop", sock: socket.socket) -> None:
        sock.setblocking(False)
        self.loop = loop
        self.sock = sock
        self.away_since: float | None = None
        loop.epoll.register(sock, select.EPOLLIN)

    def handle(self, _events: int) -> None:
        try:
            sock = self.sock.accept()[0]
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError as error:
            if error.errno not in {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}:
                raise
            self.loop.epoll.unregister(self.sock)
            self.away_since = time.monotonic()
        else:
            self.loop.sources[sock.fileno()] = Connection(self.loop, sock)

    def look_again(self) -> None:
        if self.away_since is not None:
            self.away_since = None
            self.loop.epoll.register(self.sock, select.EPOLLIN)


class Loop:
    """The interest set and who is behind each descriptor."""

    def __init__(self, lsock: socket.socket, handler: Handler) -> None:
        self.epoll = select.epoll()
        self.handler = handler
        self.sources: dict[int, Connection | Listener] = {}
        self.listener = Listener(self, lsock)
        self.sources[lsock.fileno()] = self.listener

    def forget(self, fd: int) -> None:
        del self.sources[fd]
        self.listener.look_again()

    def run(self, stop_fd: int) -> None:
        self.epoll.register(stop_fd, select.EPOLLIN)
        while True:
            since = self.listener.away_since
            for fd, events in self.epoll.poll(None if since is None else 1.0):
                if fd == stop_fd:
                    return
                self.sources[fd].handle(events)
            if since is not None and time.monotonic() > since + 1.0:
                self.listener.look_again()

    def close(self) -> None:
        for source in self.sources.values():
            if isinstance(source, Connection):
                source.sock.close()
        self.epoll.close()


def serve_epoll(lsock: socket.socket, handler: Handler, stop_fd: int) -> None:
    """Answer every line of every client until stop_fd is readable."""
    loop = Loop(lsock, handler)
    try:
        loop.run(stop_fd)
    finally:
        loop.close()
