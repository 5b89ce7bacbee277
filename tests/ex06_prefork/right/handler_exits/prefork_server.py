"""Right, in another style: the master sleeps in wait(), where SIGTERM raises; workers end by os._exit(0) in a handler."""

import contextlib
import os
import signal
import traceback


class Stop(BaseException):
    pass


def serve_prefork(lsock, handler, nworkers):
    def on_sigterm(_number, _frame):
        raise Stop

    old = signal.signal(signal.SIGTERM, on_sigterm)
    children = set()
    try:
        while True:
            while len(children) < nworkers:
                with held_back():  # or SIGTERM could come between fork() and add()
                    child = os.fork()
                    if child:
                        children.add(child)
                if not child:
                    signal.signal(signal.SIGTERM, leave)
                    worker(lsock, handler)
            child, _status = os.wait()
            children.discard(child)
    except Stop:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGTERM)
        with contextlib.suppress(ChildProcessError):
            while True:
                os.wait()
        signal.signal(signal.SIGTERM, old)


@contextlib.contextmanager
def held_back():
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])


def leave(_number, _frame):
    os._exit(0)


def worker(lsock, handler):
    while True:
        conn, _ = lsock.accept()
        with held_back(), conn:
            try:
                line = conn.makefile("rb").readline().rstrip(b"\n")
                conn.sendall(handler(line) + b"\n")
            except Exception:
                traceback.print_exc()
