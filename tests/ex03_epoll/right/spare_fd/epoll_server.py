"""Right, in another way: out of descriptors, it gives up a spare one to accept the newcomer and show it the door."""

import contextlib
import errno
import os
import select
import socket
from collections.abc import Callable


def serve_epoll(lsock: socket.socket, handler: Callable[[bytes], bytes], stop_fd: int) -> None:
    """Answer every line of every client until stop_fd is readable."""
    lsock.setblocking(False)
    socks: dict[int, socket.socket] = {}
    begun: dict[int, bytearray] = {}  # the start of a line, for the few who have sent half of one
    unsent: dict[int, bytes] = {}  # the end of a reply, for the few who do not take it
    spare = os.open(os.devnull, os.O_RDONLY)

    def accept() -> None:
        nonlocal spare
        try:
            sock, _ = lsock.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError as error:
            if error.errno != errno.EMFILE:
                raise
            os.close(spare)
            with contextlib.suppress(BlockingIOError, ConnectionAbortedError):
                lsock.accept()[0].close()
            spare = os.open(os.devnull, os.O_RDONLY)
            return
        sock.setblocking(False)
        socks[sock.fileno()] = sock
        epoll.register(sock, select.EPOLLIN)

    def answer(fd: int) -> None:
        data = socks[fd].recv(1 << 16)
        if not data:
            raise ConnectionResetError(errno.ECONNRESET, "the client has left")
        end = data.rfind(b"\n")
        if end < 0:
            begun.setdefault(fd, bytearray()).extend(data)
            return
        lines = (bytes(begun.pop(fd, b"")) + data[:end]).split(b"\n")
        if end + 1 < len(data):
            begun[fd] = bytearray(data[end + 1 :])
        replies = b"".join([handler(line) + b"\n" for line in lines])
        try:
            sent = socks[fd].send(replies)
        except BlockingIOError:
            sent = 0
        if sent < len(replies):
            unsent[fd] = replies[sent:]
            epoll.modify(fd, select.EPOLLOUT)

    def go_on(fd: int) -> None:
        unsent[fd] = unsent[fd][socks[fd].send(unsent[fd]) :]
        if not unsent[fd]:
            del unsent[fd]
            epoll.modify(fd, select.EPOLLIN)

    with select.epoll() as epoll:
        epoll.register(stop_fd, select.EPOLLIN)
        epoll.register(lsock, select.EPOLLIN)
        try:
            while True:
                for fd, _ in epoll.poll():
                    if fd == stop_fd:
                        return
                    if fd == lsock.fileno():
                        accept()
                        continue
                    try:
                        if fd in unsent:
                            go_on(fd)
                        else:
                            answer(fd)
                    except BlockingIOError:
                        pass
                    except OSError:
                        socks.pop(fd).close()
                        begun.pop(fd, None)
                        unsent.pop(fd, None)
        finally:
            os.close(spare)
            for sock in socks.values():
                sock.close()
