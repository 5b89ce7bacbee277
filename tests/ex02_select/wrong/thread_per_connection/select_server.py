"""Wrong on purpose: gives each connection a thread of its own."""

import contextlib
import errno
import select
import socket
import threading
import time
from collections.abc import Callable


def serve_select(lsock: socket.socket, handler: Callable[[bytes], bytes], stop_fd: int) -> None:
    """Answer every line of every client until stop_fd is readable."""
    lsock.setblocking(False)
    threading.stack_size(1 << 18)
    threads: dict[socket.socket, threading.Thread] = {}
    try:
        while stop_fd not in select.select([lsock, stop_fd], [], [])[0]:
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
            threads[sock] = threading.Thread(target=_serve, args=(sock, handler, threads))
            threads[sock].start()
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
