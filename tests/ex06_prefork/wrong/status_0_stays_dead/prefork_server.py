"""Wrong on purpose: takes an exit status of 0 for the end of a worker's work, and does not replace it."""

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
    finished = 0
    try:
        while True:
            while len(workers) + finished < nworkers:
                workers.add(_start_worker(lsock, handler))
            if signal.sigwait({signal.SIGTERM, signal.SIGCHLD}) == signal.SIGTERM:
                return
            # One SIGCHLD may stand for many deaths: signals do not queue (signal(7)). So all are asked.
            for worker in [*workers]:
                pid, status = os.waitpid(worker, os.WNOHANG)
                if pid:
                    workers.remove(pid)
                    finished += status == 0
    finally:
        for pid in workers:  # a dead one keeps its number until it is reaped, so this hits no stranger
            os.kill(pid, signal.SIGTERM)
        for pid in workers:
            os.waitpid(pid, 0)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _start_worker(lsock: socket.socket, handler: Callable[[bytes], bytes]) -> int:
    """Fork one worker; returns its pid in the master, and never in the worker."""
    pid = os.fork()
    if pid == 0:
        try:
            _work(lsock, handler)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)  # sys.exit() would climb the stack into the caller's code, whose `finally` is the master's
    return pid


def _work(lsock: socket.socket, handler: Callable[[bytes], bytes]) -> None:
    """Serve one connection after another, until SIGTERM ends the process between two of them."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    while True:
        # By its default action SIGTERM ends the process in the kernel: nothing can hold it up, or be done half.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        connection, _ = lsock.accept()
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
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
