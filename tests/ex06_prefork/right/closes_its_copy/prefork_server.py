"""Right, in another style: at SIGTERM a worker closes its own copy of lsock, so it loses no connection that it took.

A signal that comes just before accept() begins to wait would be noticed too late, so the master repeats it.
"""

import os
import signal
import traceback


def serve_prefork(lsock, handler, nworkers):
    both = {signal.SIGTERM, signal.SIGCHLD}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, both)
    workers = set()
    try:
        while True:
            workers |= {start(lsock, handler, mask) for _ in range(nworkers - len(workers))}
            if signal.sigwait(both) == signal.SIGTERM:
                break
            reap(workers)
        while workers:
            for pid in workers:
                os.kill(pid, signal.SIGTERM)
            signal.sigtimedwait({signal.SIGCHLD}, 0.05)
            reap(workers)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def reap(workers):
    for pid in tuple(workers):
        if os.waitpid(pid, os.WNOHANG)[0]:
            workers.discard(pid)


def start(lsock, handler, mask):
    pid = os.fork()
    if pid == 0:
        try:
            signal.signal(signal.SIGTERM, lambda *_: lsock.close())
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            work(lsock, handler)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0)
    return pid


def work(lsock, handler):
    while lsock.fileno() >= 0:
        try:
            conn, _ = lsock.accept()
        except OSError:
            continue
        with conn, conn.makefile("rb") as stream:
            try:
                line = stream.readline()
                if line.endswith(b"\n"):
                    conn.sendall(handler(line[:-1]) + b"\n")
            except Exception:
                traceback.print_exc()
