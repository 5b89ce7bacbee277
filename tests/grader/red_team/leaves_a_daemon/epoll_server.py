"""Leaves a daemon behind, in a session of its own, deaf to signals, with the port and the output open; then it ends."""

import contextlib
import os
import signal
import socket
import time
from collections.abc import Callable


def serve_epoll(lsock: socket.socket, handler: Callable[[bytes], bytes], stop_fd: int) -> None:
    _client, _ = lsock.accept()
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            for number in range(1, signal.NSIG):
                with contextlib.suppress(OSError, ValueError):
                    signal.signal(number, signal.SIG_IGN)
            print("a daemon is up", flush=True)
            os.write(writing, b"+")
            while True:
                time.sleep(1000)
        os._exit(0)
    os.read(reading, 1)
    os._exit(0)
