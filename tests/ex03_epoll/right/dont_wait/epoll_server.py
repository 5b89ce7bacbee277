"""Right, in another style: blocking sockets, and MSG_DONTWAIT with each call. Out of descriptors, lsock leaves the
interest set, and comes back when a client leaves or a second has passed.
"""

import errno
import select
import socket
from collections.abc import Callable

WHOLE = 1 << 16


class Peer:
    __slots__ = ("interest", "received", "sock", "unsent")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.received = bytearray()
        self.unsent = memoryview(b"")
        self.interest = select.EPOLLIN

    def go_on(self, handler: Callable[[bytes], bytes]) -> None:
        """Read once and answer, or send what is left. Raises EOFError at the end, OSError when the client is gone."""
        if not self.unsent:
            data = self.sock.recv(WHOLE, socket.MSG_DONTWAIT)
            if not data:
                raise EOFError
            self.received += data
            end = self.received.rfind(b"\n") + 1
            lines = bytes(self.received[:end]).split(b"\n")[:-1]
            del self.received[:end]
            self.unsent = memoryview(b"".join(piece for line in lines for piece in (handler(line), b"\n")))
        if self.unsent:
            self.unsent = self.unsent[self.sock.send(self.unsent, socket.MSG_DONTWAIT) :]


def serve_epoll(lsock: socket.socket, handler: Callable[[bytes], bytes], stop_fd: int) -> None:
    """Answer every line of every client until stop_fd is readable."""
    peers: dict[int, Peer] = {}
    listening = True
    with select.epoll() as epoll:
        epoll.register(stop_fd, select.EPOLLIN)
        epoll.register(lsock, select.EPOLLIN)
        try:
            while True:
                ready = epoll.poll(None if listening else 1.0)
                some_left = False
                for fd, _ in ready:
                    if fd == stop_fd:
                        return
                    if fd == lsock.fileno():
                        listening = accept(lsock, epoll, peers)
                        continue
                    peer = peers[fd]
                    try:
                        peer.go_on(handler)
                    except BlockingIOError:
                        pass
                    except (OSError, EOFError):
                        peers.pop(fd).sock.close()
                        some_left = True
                        continue
                    interest = select.EPOLLOUT if peer.unsent else select.EPOLLIN
                    if interest != peer.interest:
                        epoll.modify(fd, interest)
                        peer.interest = interest
                if not listening and (some_left or not ready):
                    epoll.register(lsock, select.EPOLLIN)
                    listening = True
        finally:
            for peer in peers.values():
                peer.sock.close()


def accept(lsock: socket.socket, epoll: select.epoll, peers: dict[int, Peer]) -> bool:
    """Take one client in; False when there is no descriptor for it, and lsock is not watched any more."""
    try:
        sock, _ = lsock.accept()
    except (BlockingIOError, ConnectionAbortedError):
        return True
    except OSError as error:
        if error.errno not in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
            raise
        epoll.unregister(lsock)
        return False
    peers[sock.fileno()] = Peer(sock)
    epoll.register(sock, select.EPOLLIN)
    return True
