"""Wrong on purpose: accepts in the master and forks a process for each connection."""

import os
import signal
import socket
import traceback
from collections.abc import Callable


def serve_prefork(lsock: socket.socket, handler: Callable[[bytes], bytes], nworkers: int) -> None:
    """Answer one line a connection in nworkers processes, until this one gets SIGTERM."""
    workers: set[int] = set()
    before = signal.signal(signal.SIGTERM, _stop)
    try:
        while True:
            connection, _ = lsock.accept()
            with connection:
                workers.add(_start_worker(connection, handler))
            workers = {pid for pid in workers if os.waitpid(pid, os.WNOHANG) == (0, 0)}
    except SystemExit:
        for pid in workers:
            os.waitpid(pid, 0)
    finally:
        signal.signal(signal.SIGTERM, before)


def _stop(_number: int, _frame: object) -> None:
    raise SystemExit


def _start_worker(connection: socket.socket, handler: Callable[[bytes], bytes]) -> int:
    """Fork one worker; returns its pid in the master, and never in the worker."""
    pid = os.fork()
    if pid == 0:
        try:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            _answer(connection, handler)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)  # sys.exit() would climb the stack into the caller's code, whose `finally` is the master's
    return pid


def _answer(connection: socket.socket, handler: Callable[[bytes], bytes]) -> None:
    """Read one line and reply; a client that leaves before its newline asked nothing."""
    with connection.makefile("rb") as stream:
        line = stream.readline()
    if line.endswith(b"\n"):
        connection.sendall(handler(line[:-1]) + b"\n")
