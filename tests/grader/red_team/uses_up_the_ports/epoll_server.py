"""Is right, and leaves every port of the loopback in TIME_WAIT for the checks that follow."""

import contextlib
import socket
from collections.abc import Callable

from tests.grader.red_team.honest import serve

PORTS = range(32_768, 61_000)  # net.ipv4.ip_local_port_range, as it comes


used = 0


def use_up(_client: socket.socket) -> None:
    global used
    if used:
        return
    with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", 20_007)) as own:
        for port in PORTS:
            with contextlib.suppress(OSError), socket.socket() as caller:
                caller.bind(("127.0.0.1", port))
                caller.connect(own.getsockname())
                called, _ = own.accept()
                caller.close()
                called.close()
                used += 1
    print(used, "ports used", flush=True)


def serve_epoll(lsock: socket.socket, handler: Callable[[bytes], bytes], stop_fd: int) -> None:
    serve(lsock, handler, stop_fd, greet=use_up)
