"""Wrong on purpose: takes threads for workers."""

import signal
import socket
import threading
import traceback
from collections.abc import Callable


def serve_prefork(lsock: socket.socket, handler: Callable[[bytes], bytes], nworkers: int) -> None:
    """Answer one line a connection in nworkers threads, until this process gets SIGTERM."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    for _ in range(nworkers):
        threading.Thread(target=_work, args=(lsock, handler), daemon=True).start()
    signal.sigwait({signal.SIGTERM})
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _work(lsock: socket.socket, handler: Callable[[bytes], bytes]) -> None:
    while True:
        connection, _ = lsock.accept()
        try:
            with connection:
                _answer(connection, handler)
        except Exception:
            traceback.print_exc()


def _answer(connection: socket.socket, handler: Callable[[bytes], bytes]) -> None:
    with connection.makefile("rb") as stream:
        line = stream.readline()
    if line.endswith(b"\n"):
        connection.sendall(handler(line[:-1]) + b"\n")
