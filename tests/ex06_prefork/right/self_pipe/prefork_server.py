"""Right, in another style: the master selects on the wake-up pipe of its signal handlers."""

import os
import select
import signal
import socket
import traceback

SIGNALS = (signal.SIGTERM, signal.SIGCHLD)


def serve_prefork(lsock, handler, nworkers):
    waking, wake = socket.socketpair()
    waking.setblocking(False)
    wake.setblocking(False)
    old = {number: signal.signal(number, lambda *_: None) for number in SIGNALS}
    old_fd = signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
    workers = {}
    try:
        run(lsock, handler, nworkers, workers, waking, wake)
    finally:
        for pid in workers:
            os.kill(pid, signal.SIGTERM)
        for pid in workers:
            os.waitpid(pid, 0)
        signal.set_wakeup_fd(old_fd)
        for number, action in old.items():
            signal.signal(number, action)
        waking.close()
        wake.close()


def run(lsock, handler, nworkers, workers, waking, wake):
    fill(lsock, handler, nworkers, workers, (waking, wake))
    while True:
        select.select([waking], [], [])
        news = set(waking.recv(4096))
        if signal.SIGTERM in news:
            return
        for pid in list(workers):
            if os.waitpid(pid, os.WNOHANG)[0]:
                del workers[pid]
        fill(lsock, handler, nworkers, workers, (waking, wake))


def fill(lsock, handler, nworkers, workers, ours):
    while len(workers) < nworkers:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        pid = os.fork()
        if pid == 0:
            try:
                signal.set_wakeup_fd(-1)
                for number in SIGNALS:
                    signal.signal(number, signal.SIG_DFL)
                for sock in ours:
                    sock.close()
                serve(lsock, handler)
            finally:
                os._exit(70)
        workers[pid] = True
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})


def serve(lsock, handler):
    term = {signal.SIGTERM}
    while True:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, term)
        conn, _peer = lsock.accept()
        signal.pthread_sigmask(signal.SIG_BLOCK, term)
        try:
            with conn, conn.makefile("rwb") as stream:
                line = stream.readline()
                if line:
                    stream.write(handler(line[:-1]) + b"\n")
        except Exception:
            traceback.print_exc()
