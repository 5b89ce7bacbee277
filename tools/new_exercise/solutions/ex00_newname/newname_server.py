"""ex00: serve one client after another."""

import select
import socket
from collections.abc import Callable


def split_lines(data: bytes) -> tuple[list[bytes], bytes]:
    """The whole lines in data, without their newlines, and what follows the last newline."""
    ### BEGIN SOLUTION
    *lines, rest = data.split(b"\n")
    return lines, rest
    ### END SOLUTION


def serve_newname(lsock: socket.socket, handler: Callable[[bytes], bytes], stop_fd: int) -> None:
    """Answer each line with handler(line) and a newline, one client after another, until stop_fd is readable."""
    ### BEGIN SOLUTION
    while stop_fd not in select.select([lsock, stop_fd], [], [])[0]:
        sock, _ = lsock.accept()
        with sock:
            rest = b""
            while data := sock.recv(65536):
                lines, rest = split_lines(rest + data)
                sock.sendall(b"".join(handler(line) + b"\n" for line in lines))
    ### END SOLUTION
