"""Wrong on purpose: counts the requests in flight in shared memory and waits for 0: a killed worker never takes its
one back."""

import mmap
import os
import signal
import socket
import time
import traceback
from collections.abc import Callable


def serve_prefork(lsock: socket.socket, handler: Callable[[bytes], bytes], nworkers: int) -> None:
    """Answer one line a connection in nworkers processes, until this one gets SIGTERM."""
    # Blocked before the first fork: no signal is lost between two waits, and a worker begins with SIGTERM held back.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGCHLD})
    workers: set[int] = set()
    in_flight = mmap.mmap(-1, 256)  # a byte for each request that is being served
    try:
        while True:
            while len(workers) < nworkers:
                workers.add(_start_worker(lsock, handler, in_flight))
            if signal.sigwait({signal.SIGTERM, signal.SIGCHLD}) == signal.SIGTERM:
                return
            # One SIGCHLD may stand for many deaths: signals do not queue (signal(7)). So all are asked.
            workers = {pid for pid in workers if os.waitpid(pid, os.WNOHANG) == (0, 0)}
    finally:
        while any(in_flight[:]):
            time.sleep(0.01)
        for pid in workers:  # a dead one keeps its number until it is reaped, so this hits no stranger
            os.kill(pid, signal.SIGTERM)
        for pid in workers:
            os.waitpid(pid, 0)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _start_worker(lsock: socket.socket, handler: Callable[[bytes], bytes], in_flight: mmap.mmap) -> int:
    """Fork one worker; returns its pid in the master, and never in the worker."""
    pid = os.fork()
    if pid == 0:
        try:
            _work(lsock, handler, in_flight)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)  # sys.exit() would climb the stack into the caller's code, whose `finally` is the master's
    return pid


def _work(lsock: socket.socket, handler: Callable[[bytes], bytes], in_flight: mmap.mmap) -> None:
    """Serve one connection after another, until SIGTERM ends the process between two of them."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    while True:
        # By its default action SIGTERM ends the process in the kernel: nothing can hold it up, or be done half.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        connection, _ = lsock.accept()
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        place = in_flight[:].index(0)
        in_flight[place] = 1
        try:
            with connection:
                _answer(connection, handler)
        except Exception:  # of the handler, or of a client that has gone: this connection's trouble, and no other's
            traceback.print_exc()
        in_flight[place] = 0


def _answer(connection: socket.socket, handler: Callable[[bytes], bytes]) -> None:
    """Read one line and reply; a client that leaves before its newline asked nothing."""
    with connection.makefile("rb") as stream:
        line = stream.readline()
    if line.endswith(b"\n"):
        connection.sendall(handler(line[:-1]) + b"\n")
