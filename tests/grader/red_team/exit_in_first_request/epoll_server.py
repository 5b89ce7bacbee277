"""Leaves with the exit code of success when the first request has come."""

import os
import socket
from collections.abc import Callable


def serve_epoll(lsock: socket.socket, handler: Callable[[bytes], bytes], stop_fd: int) -> None:
    client, _ = lsock.accept()
    client.recv(100)
    print("got a request", flush=True)
    os._exit(0)
