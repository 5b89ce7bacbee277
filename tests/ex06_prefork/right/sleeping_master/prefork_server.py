"""Right, in another style: the master pauses for ever, and its signal handlers do all the work."""

import os
import signal
import traceback


class Stopped(Exception):
    pass


def serve_prefork(lsock, handler, nworkers):
    pids = []
    signals = {signal.SIGTERM, signal.SIGCHLD}

    def stop(_number, _frame):
        raise Stopped

    def replace(_number, _frame):
        signal.pthread_sigmask(signal.SIG_BLOCK, signals)
        try:
            while pids and (dead := os.waitpid(-1, os.WNOHANG)[0]):
                pids.remove(dead)
            while len(pids) < nworkers:
                fork_one()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)

    def fork_one():
        pid = os.fork()
        if pid:
            pids.append(pid)
            return
        try:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            serve_clients(lsock, handler)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)

    try:
        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGCHLD, replace)
        replace(None, None)
        while True:
            signal.pause()
    except Stopped:
        pass
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    for pid in pids:
        os.kill(pid, signal.SIGTERM)
    for pid in pids:
        os.waitpid(pid, 0)


def serve_clients(lsock, handler):
    while True:
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        conn, addr = lsock.accept()
        signal.pthread_sigmask(signal.SIG_SETMASK, {signal.SIGTERM})
        with conn:
            try:
                line = conn.makefile("rb").readline()
                conn.sendall(handler(line[:-1]) + b"\n")
            except Exception:
                traceback.print_exc()
