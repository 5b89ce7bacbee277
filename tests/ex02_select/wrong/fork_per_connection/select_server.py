"""Wrong on purpose: gives each connection a process of its own."""

import contextlib
import os
import select
import signal
import socket
from collections.abc import Callable


def serve_select(lsock: socket.socket, handler: Callable[[bytes], bytes], stop_fd: int) -> None:
    """Answer every line of every client until stop_fd is readable."""
    lsock.setblocking(False)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # so that the kernel reaps
    children = []
    try:
        while stop_fd not in select.select([lsock, stop_fd], [], [])[0]:
            try:
                sock, _ = lsock.accept()
            except (BlockingIOError, ConnectionAbortedError):
                continue
            with sock:
                children.append(os.fork())
                if children[-1] == 0:
                    sock.setblocking(True)
                    with contextlib.suppress(OSError):
                        _serve(sock, handler)
                    os._exit(0)
    finally:
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGTERM)


def _serve(sock: socket.socket, handler: Callable[[bytes], bytes]) -> None:
    unread = b""
    while data := sock.recv(65536):
        *lines, unread = (unread + data).split(b"\n")
        if lines:
            sock.sendall(b"".join([handler(line) + b"\n" for line in lines]))
