"""Answers the first clients; later ones it leaves in the backlog, where each looks connected."""

import os
import socket
import time
from collections.abc import Callable

accepted = 0


def serve_epoll(lsock: socket.socket, handler: Callable[[bytes], bytes], stop_fd: int) -> None:
    lsock.listen(10_000)
    os.set_blocking(stop_fd, False)
    clients: list[socket.socket] = []
    while True:
        if len(clients) < 4:
            lsock.settimeout(0.01)
            try:
                client, _ = lsock.accept()
                client.settimeout(0.01)
                clients.append(client)
            except TimeoutError:
                pass
        for client in clients:
            try:
                for line in client.recv(1000).split(b"\n")[:-1]:
                    client.send(handler(line) + b"\n")
            except (TimeoutError, ConnectionError):
                continue
        try:
            os.read(stop_fd, 1)
            return
        except BlockingIOError:
            time.sleep(0.001)
