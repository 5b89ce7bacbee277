"""Wrong on purpose: lets the worker return when its loop ends: the caller's code goes on in it as well."""

import os
import signal
import socket
import traceback
from collections.abc import Callable


def serve_prefork(lsock: socket.socket, handler: Callable[[bytes], bytes], nworkers: int) -> None:
    """Answer one line a connection in nworkers processes, until this one gets SIGTERM."""
    # Blocked before the first fork: no signal is lost between two waits, and a worker begins with SIGTERM held back.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGCHLD})
    workers: set[int] = set()
    try:
        while True:
            while len(workers) < nworkers:
                pid = os.fork()
                if pid == 0:
                    workers.clear()  # they are the master's
                    _work(lsock, handler)
                    return
                workers.add(pid)
            if signal.sigwait({signal.SIGTERM, signal.SIGCHLD}) == signal.SIGTERM:
                return
            # One SIGCHLD may stand for many deaths: signals do not queue (signal(7)). So all are asked.
            workers = {pid for pid in workers if os.waitpid(pid, os.WNOHANG) == (0, 0)}
    finally:
        for pid in workers:  # a dead one keeps its number until it is reaped, so this hits no stranger
            os.kill(pid, signal.SIGTERM)
        for pid in workers:
            os.waitpid(pid, 0)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _work(lsock: socket.socket, handler: Callable[[bytes], bytes]) -> None:
    """Serve one connection after another, until SIGTERM ends the process between two of them."""

    def leave(_number: int, _frame: object) -> None:
        raise InterruptedError

    signal.signal(signal.SIGTERM, leave)
    while True:
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
            connection, _ = lsock.accept()
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        except InterruptedError:
            return
        try:
            with connection:
                _answer(connection, handler)
        except Exception:  # of the handler, or of a client that has gone: this connection's trouble, and no other's
            traceback.print_exc()


def _answer(connection: socket.socket, handler: Callable[[bytes], bytes]) -> None:
    """Read one line and reply; a client that leaves before its newline asked nothing."""
    with connection.makefile("rb") as stream:
        line = stream.readline()
    if line.endswith(b"\n"):
        connection.sendall(handler(line[:-1]) + b"\n")
