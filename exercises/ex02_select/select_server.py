"""ex02: one thread serves many clients with select.

Knows sockets and readiness; knows nothing of what a line means: that is the handler's business.
"""

import errno
import select
import socket
import time
from collections.abc import Callable


def serve_select(lsock: socket.socket, handler: Callable[[bytes], bytes], stop_fd: int) -> None:
    r"""Answer every line of every client, in this one thread, until stop_fd is readable.

    A client sends lines that end in b"\n" and gets handler(line) and b"\n" for each, in the order of its lines, however
    they were cut into segments. Its connection stays open until the client leaves. A client that has only stopped
    sending (shutdown(SHUT_WR)) still gets all its replies before its connection is closed. What it sent after its last
    newline is no request.

    lsock is listening already; it may be blocking and may be left non-blocking. handler takes and gives a line without
    its newline, returns at once and does not raise. A client for which there is no descriptor that select() can watch
    is refused, or waits until there is one. When stop_fd is readable, everything that was opened here is closed and the
    function returns; lsock and stop_fd stay open.
    """
    # YOUR CODE HERE
    raise NotImplementedError()
