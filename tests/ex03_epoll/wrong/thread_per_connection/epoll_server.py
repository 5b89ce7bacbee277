"""Wrong on purpose: gives each connection a thread of its own."""

import contextlib
import errno
import select
import socket
import threading
import time
from collections.abc import Callable


def serve_epoll(lsock: socket.socket, handler: Callable[[bytes], bytes], stop_fd: int) -> None:
    """Answer every line of every client until stop_fd is readable."""
    lsock.setblocking(False)
    threading.stack_size(1 << 18)
    threads: dict[socket.socket, threading.Thread] = {}
    with select.epoll() as epoll:
        epoll.register(stop_fd, select.EPOLLIN)
        epoll.register(lsock, select.EPOLLIN)
        try:
            while True:
                for fd, _ in epoll.poll():
                    if fd == stop_fd:
                        return
                    try:
                        sock, _ = lsock.accept()
                    except (BlockingIOError, ConnectionAbortedError):
                        continue
                    except OSError as error:
                        if error.errno not in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                            raise
                        time.sleep(0.2)
                        continue
                    sock.setblocking(True)
                    thread = threading.Thread(target=_serve, args=(sock, handler, threads))
                    thread.start()
                    threads[sock] = thread
        finally:
            for sock, thread in list(threads.items()):
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
                thread.join()


def _serve(
    sock: socket.socket, handler: Callable[[bytes], bytes], threads: dict[socket.socket, threading.Thread]
) -> None:
    unread = b""
    with sock, contextlib.suppress(OSError):
        while data := sock.recv(65536):
            *lines, unread = (unread + data).split(b"\n")
            if lines:
                sock.sendall(b"".join([handler(line) + b"\n" for line in lines]))
    threads.pop(sock, None)
