"""Sends its first client one reply that does not end, as fast as the loopback takes it."""

import contextlib
import signal
import socket
from collections.abc import Callable


def serve_epoll(lsock: socket.socket, handler: Callable[[bytes], bytes], stop_fd: int) -> None:
    client, _ = lsock.accept()
    print("flooding", flush=True)
    with contextlib.suppress(OSError):
        while True:
            client.sendall(b"x" * (1 << 20))
    signal.pause()
