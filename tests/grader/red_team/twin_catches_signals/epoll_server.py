"""Right, and careful: it catches signals, wakes up by a descriptor, and writes a file while it serves."""

import signal
import socket
from collections.abc import Callable
from pathlib import Path

from tests.grader.red_team.honest import serve


def serve_epoll(lsock: socket.socket, handler: Callable[[bytes], bytes], stop_fd: int) -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGPIPE):
        signal.signal(number, lambda _number, _frame: None)
    mine, other = socket.socketpair()
    with mine, other:
        mine.setblocking(False)
        other.setblocking(False)
        signal.set_wakeup_fd(other.fileno())
        Path("/tmp/server.pid").write_text("1")
        serve(lsock, handler, stop_fd)
        signal.set_wakeup_fd(-1)
