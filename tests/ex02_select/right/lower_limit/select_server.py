"""Right, in another style: lowers its own limit, so that accept() itself says when select() can watch no more. Sockets
stand in the lists, and replies are sent when the connection is writable: four calls a request.
"""

import errno
import resource
import select
import socket
import time
from collections.abc import Callable

FD_SETSIZE = 1024


def serve_select(lsock: socket.socket, handler: Callable[[bytes], bytes], stop_fd: int) -> None:
    """Answer every line of every client until stop_fd is readable."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, FD_SETSIZE), hard))
    try:
        loop(lsock, handler, stop_fd)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def loop(lsock: socket.socket, handler: Callable[[bytes], bytes], stop_fd: int) -> None:
    lsock.setblocking(False)
    unread: dict[socket.socket, bytes] = {}
    unsent: dict[socket.socket, memoryview] = {}
    full_until = 0.0

    def close(sock: socket.socket) -> None:
        nonlocal full_until
        del unread[sock]
        unsent.pop(sock, None)
        sock.close()
        full_until = 0.0

    def accept() -> None:
        nonlocal full_until
        try:
            sock, _ = lsock.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                raise
            full_until = time.monotonic() + 0.5
            return
        sock.setblocking(False)
        unread[sock] = b""

    def read(sock: socket.socket) -> None:
        try:
            data = sock.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            close(sock)
            return
        *lines, unread[sock] = (unread[sock] + data).split(b"\n")
        if lines:
            unsent[sock] = memoryview(b"".join([handler(line) + b"\n" for line in lines]))

    def write(sock: socket.socket) -> None:
        try:
            unsent[sock] = unsent[sock][sock.send(unsent[sock]) :]
        except BlockingIOError:
            return
        except OSError:
            close(sock)
            return
        if not unsent[sock]:
            del unsent[sock]

    try:
        while True:
            now = time.monotonic()
            listening = [lsock] if now >= full_until else []
            timeout = None if listening else full_until - now
            readers = [sock for sock in unread if sock not in unsent]
            readable, writable, _ = select.select([stop_fd, *listening, *readers], [*unsent], [], timeout)
            for sock in writable:
                write(sock)
            for ready in readable:
                if ready == stop_fd:
                    return
                if ready is lsock:
                    accept()
                else:
                    read(ready)
    finally:
        for sock in unread:
            sock.close()
