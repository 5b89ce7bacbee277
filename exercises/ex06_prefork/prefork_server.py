"""ex06: worker processes that are forked before the first request, and a master that replaces those that die.

Knows processes, signals and sockets; knows nothing of what a line means: that is the handler's business.
"""

import os
import signal
import socket
import traceback
from collections.abc import Callable


def serve_prefork(lsock: socket.socket, handler: Callable[[bytes], bytes], nworkers: int) -> None:
    r"""Answer one line a connection in nworkers processes, until this one, the master, gets SIGTERM.

    All workers are forked here and now, and wait in accept() on lsock, which is listening already. A worker reads one
    line, replies with handler(line) and b"\n", closes the connection, and takes the next one. When handler raises an
    Exception, that connection is closed without a reply and the worker goes on. A worker that dies is replaced.

    SIGTERM is a graceful stop: idle workers end, busy ones finish their reply first. When the last one has ended and is
    reaped, the function returns; lsock stays open. Workers never return from here.
    """
    # YOUR CODE HERE
    raise NotImplementedError()
