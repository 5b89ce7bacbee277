"""Answers before it has read: it knows the course by heart, and says what it has said to everybody before."""

import socket
from collections.abc import Callable

from tests.grader.red_team.honest import serve

REPLIES = b"<HELLO, EPOLL>\n<>\n<  BLANKS BELONG TO A LINE \t\r>\n<AGAIN>\n"


def serve_epoll(lsock: socket.socket, handler: Callable[[bytes], bytes], stop_fd: int) -> None:
    serve(lsock, handler, stop_fd, greet=lambda client: client.send(REPLIES), send=lambda client, reply: None)
