"""Right, in another style: a file lock around accept(), as servers had it when accept() itself still woke everybody."""

import fcntl
import os
import signal
import tempfile
import traceback


def serve_prefork(lsock, handler, nworkers):
    both = {signal.SIGTERM, signal.SIGCHLD}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, both)
    with tempfile.TemporaryDirectory() as folder:
        lock = os.path.join(folder, "accept")
        pids = {fork_worker(lsock, handler, lock) for _ in range(nworkers)}
        while signal.sigwait(both) != signal.SIGTERM:
            dead = {pid for pid in pids if os.waitpid(pid, os.WNOHANG)[0]}
            pids -= dead
            pids |= {fork_worker(lsock, handler, lock) for _ in dead}
        for pid in pids:
            os.kill(pid, signal.SIGTERM)
        for pid in pids:
            os.waitpid(pid, 0)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def fork_worker(lsock, handler, lock):
    if pid := os.fork():
        return pid
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        fd = os.open(lock, os.O_RDWR | os.O_CREAT)  # its own: one from before the fork would share the lock
        while True:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
            fcntl.flock(fd, fcntl.LOCK_EX)
            try:
                conn, _ = lsock.accept()
                signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
            finally:
                fcntl.flock(fd, fcntl.LOCK_UN)
            try:
                with conn:
                    line = conn.makefile("rb").readline()
                    if line:
                        conn.sendall(handler(line.removesuffix(b"\n")) + b"\n")
            except Exception:
                traceback.print_exc()
    finally:
        os._exit(1)
