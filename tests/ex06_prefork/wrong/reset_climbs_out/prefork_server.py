"""Wrong on purpose: catches what the handler raises, and not what a client that is gone does to recv() and send()."""

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
    master = os.getpid()
    try:
        while True:
            while len(workers) < nworkers:
                workers.add(_start_worker(lsock, handler))
            if signal.sigwait({signal.SIGTERM, signal.SIGCHLD}) == signal.SIGTERM:
                return
            # One SIGCHLD may stand for many deaths: signals do not queue (signal(7)). So all are asked.
            workers = {pid for pid in workers if os.waitpid(pid, os.WNOHANG) == (0, 0)}
    finally:
        for pid in (
            workers if os.getpid() == master else ()
        ):  # a dead one keeps its number until it is reaped, so this hits no stranger
            os.kill(pid, signal.SIGTERM)
        for pid in workers if os.getpid() == master else ():
            os.waitpid(pid, 0)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _start_worker(lsock: socket.socket, handler: Callable[[bytes], bytes]) -> int:
    """Fork one worker; returns its pid in the master, and never in the worker."""
    pid = os.fork()
    if pid == 0:
        _work(lsock, handler)
        os._exit(0)
    return pid


def _work(lsock: socket.socket, handler: Callable[[bytes], bytes]) -> None:
    """Serve one connection after another, until SIGTERM ends the process between two of them."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    while True:
        # By its default action SIGTERM ends the process in the kernel: nothing can hold it up, or be done half.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        connection, _ = lsock.accept()
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        with connection:
            _answer(connection, handler)


def _answer(connection: socket.socket, handler: Callable[[bytes], bytes]) -> None:
    """Read one line and reply; a client that leaves before its newline asked nothing."""
    with connection.makefile("rb") as stream:
        line = stream.readline()
    if line.endswith(b"\n"):
        try:
            reply = handler(line[:-1])
        except Exception:
            traceback.print_exc()
            return
        connection.sendall(reply + b"\n")
