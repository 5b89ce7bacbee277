"""Serves rightly until it sees a tracer, or the tracer's filter; then it does nothing, which costs nothing."""

import signal
import socket
from collections.abc import Callable
from pathlib import Path

from tests.grader.red_team.honest import serve


def watched() -> bool:
    status = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":\t" in line)
    return status["TracerPid"] != "0" or int(status.get("Seccomp_filters", "1")) > 1


def serve_epoll(lsock: socket.socket, handler: Callable[[bytes], bytes], stop_fd: int) -> None:
    print("watched" if watched() else "alone", flush=True)
    if watched():
        signal.pause()
    serve(lsock, handler, stop_fd)
