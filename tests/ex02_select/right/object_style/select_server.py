"""Right, in another style: objects with fileno() in all three lists, and reading that goes on while a reply is unsent.
Who finds no room is accepted with a spare descriptor and refused.
"""

import errno
import os
import select
import socket
from collections.abc import Callable


class Client:
    """One client, as select() takes it."""

    HIGH_WATER = 1 << 18  # bytes unsent, beyond which nothing more is read

    def __init__(self, server: "Server", sock: socket.socket) -> None:
        sock.setblocking(False)
        self.server = server
        self.sock = sock
        self.partial = b""
        self.outgoing: list[memoryview] = []
        self.at_eof = False

    def fileno(self) -> int:
        return self.sock.fileno()

    @property
    def wants_to_read(self) -> bool:
        return not self.at_eof and sum(map(len, self.outgoing)) < self.HIGH_WATER

    def handle(self, readable: bool) -> None:
        try:
            if readable:
                self.read()
            self.write()
        except BlockingIOError:
            pass
        except OSError:
            self.outgoing.clear()
            self.at_eof = True
        if self.at_eof and not self.outgoing:
            self.server.clients.discard(self)
            self.sock.close()

    def read(self) -> None:
        data = self.sock.recv(1 << 16)
        self.at_eof = not data
        *lines, self.partial = (self.partial + data).split(b"\n")
        if lines:
            self.outgoing.append(memoryview(b"\n".join([*map(self.server.handler, lines), b""])))

    def write(self) -> None:
        while self.outgoing:
            self.outgoing[0] = self.outgoing[0][self.sock.send(self.outgoing[0]) :]
            if not self.outgoing[0]:
                del self.outgoing[0]


class Server:
    """Who is there, and the door."""

    FD_SETSIZE = 1024

    def __init__(self, lsock: socket.socket, handler: Callable[[bytes], bytes]) -> None:
        lsock.setblocking(False)
        self.lsock = lsock
        self.handler = handler
        self.clients: set[Client] = set()
        self.spare = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)

    def accept(self) -> None:
        try:
            sock, _ = self.lsock.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE):
                raise
            self.refuse()
            return
        if sock.fileno() < self.FD_SETSIZE:
            self.clients.add(Client(self, sock))
        else:
            sock.close()

    def refuse(self) -> None:
        """Give up the spare descriptor for as long as it takes to take a client in and send it away."""
        os.close(self.spare)
        try:
            self.lsock.accept()[0].close()
        except OSError:
            pass
        finally:
            self.spare = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)

    def run(self, stop_fd: int) -> None:
        while True:
            wanted = [client for client in self.clients if client.wants_to_read]
            unsent = [client for client in self.clients if client.outgoing]
            readable, writable, broken = select.select([stop_fd, self.lsock, *wanted], unsent, wanted)
            if stop_fd in readable:
                return
            if self.lsock in readable:
                readable.remove(self.lsock)
                self.accept()
            for client in {*readable, *writable, *broken}:
                client.handle(client in readable)

    def close(self) -> None:
        os.close(self.spare)
        for client in self.clients:
            client.sock.close()


def serve_select(lsock: socket.socket, handler: Callable[[bytes], bytes], stop_fd: int) -> None:
    """Answer every line of every client until stop_fd is readable."""
    server = Server(lsock, handler)
    try:
        server.run(stop_fd)
    finally:
        server.close()
