"""Wrong on purpose: lets the selectors module keep the sets, even if it calls select()."""

import selectors
import socket
from collections.abc import Callable


def serve_select(lsock: socket.socket, handler: Callable[[bytes], bytes], stop_fd: int) -> None:
    """Answer every line of every client until stop_fd is readable."""
    lsock.setblocking(False)
    with selectors.SelectSelector() as selector:
        selector.register(stop_fd, selectors.EVENT_READ)
        selector.register(lsock, selectors.EVENT_READ)
        unread: dict[socket.socket, bytes] = {}
        while True:
            for key, _ in selector.select():
                if key.fileobj == stop_fd:
                    return
                if key.fileobj is lsock:
                    sock, _ = lsock.accept()
                    selector.register(sock, selectors.EVENT_READ)
                    unread[sock] = b""
                    continue
                sock = key.fileobj
                data = sock.recv(65536)
                if not data:
                    selector.unregister(sock)
                    del unread[sock]
                    sock.close()
                    continue
                *lines, unread[sock] = (unread[sock] + data).split(b"\n")
                sock.sendall(b"".join([handler(line) + b"\n" for line in lines]))
