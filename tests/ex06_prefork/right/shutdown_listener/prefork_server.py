"""Right, in another style: no signal reaches a worker; shutdown() of lsock ends every accept() (Linux: EINVAL)."""

import os
import signal
import socket
import sys


def serve_prefork(lsock, handler, nworkers):
    watched = {signal.SIGTERM, signal.SIGCHLD}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, watched)
    workers = set()

    def replenish():
        while len(workers) < nworkers:
            pid = os.fork()
            if pid == 0:
                os._exit(child(lsock, handler))
            workers.add(pid)

    replenish()
    while signal.sigwait(watched) == signal.SIGCHLD:
        for pid in [*workers]:
            if os.waitpid(pid, os.WNOHANG) != (0, 0):
                workers.remove(pid)
        replenish()
    lsock.shutdown(socket.SHUT_RDWR)
    for pid in workers:
        os.waitpid(pid, 0)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def child(lsock, handler):
    while True:
        try:
            connection, _ = lsock.accept()
        except OSError:
            return 0
        try:
            serve_one(connection, handler)
        except Exception as error:
            sys.excepthook(type(error), error, error.__traceback__)
        finally:
            connection.close()


def serve_one(connection, handler):
    request = connection.recv(65536)
    while not request.endswith(b"\n"):
        more = connection.recv(65536)
        if not more:
            return
        request += more
    connection.sendall(handler(request.rstrip(b"\n")) + b"\n")
