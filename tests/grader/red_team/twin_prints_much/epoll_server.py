"""Right, and talkative: a megabyte when it starts, and a line for each reply."""

import socket
from collections.abc import Callable

from tests.grader.red_team.honest import serve

print("starting\n" * 116_509, flush=True)


def serve_epoll(lsock: socket.socket, handler: Callable[[bytes], bytes], stop_fd: int) -> None:
    def loud(line: bytes) -> bytes:
        print("a request:", line, flush=True)
        return handler(line)

    serve(lsock, loud, stop_fd)
