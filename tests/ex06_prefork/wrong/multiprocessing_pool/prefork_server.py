"""Wrong on purpose: lets multiprocessing fork the workers."""

import multiprocessing
import signal
import socket
from collections.abc import Callable


def serve_prefork(lsock: socket.socket, handler: Callable[[bytes], bytes], nworkers: int) -> None:
    """Answer one line a connection in nworkers processes, until this one gets SIGTERM."""
    fork = multiprocessing.get_context("fork")
    workers = [fork.Process(target=_work, args=(lsock, handler)) for _ in range(nworkers)]
    for worker in workers:
        worker.start()
    signal.sigwait({signal.SIGTERM})
    for worker in workers:
        worker.terminate()
        worker.join()


def _work(lsock: socket.socket, handler: Callable[[bytes], bytes]) -> None:
    while True:
        connection, _ = lsock.accept()
        with connection, connection.makefile("rb") as stream:
            connection.sendall(handler(stream.readline()[:-1]) + b"\n")
