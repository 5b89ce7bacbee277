"""Right, but for one thing: before each wait it makes 200 calls about a name of 4,000 bytes."""

import os

from tests.grader.red_team.honest import serve

NAME = b"/" + b"\x01" * 4_000


def serve_epoll(lsock, handler, stop_fd):
    def turn():
        for _ in range(200):
            os.access(NAME, os.F_OK)

    print("much to write down", flush=True)
    serve(lsock, handler, stop_fd, turn=turn)
