"""Right, in another style: flat code; SIGTERM keeps its default action and is blocked while a request is served."""

import os
import signal
import sys

STOP = {signal.SIGTERM}


def serve_prefork(lsock, handler, nworkers):
    signals = STOP | {signal.SIGCHLD}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    pids = []
    stopping = False
    while not stopping:
        while len(pids) < nworkers:
            pid = os.fork()
            if pid == 0:
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
                while True:
                    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP)
                    sock = lsock.accept()[0]
                    signal.pthread_sigmask(signal.SIG_BLOCK, STOP)
                    data = b""
                    try:
                        while b"\n" not in data:
                            more = sock.recv(4096)
                            if not more:
                                break
                            data += more
                        else:
                            sock.sendall(b"%s\n" % handler(data.split(b"\n")[0]))
                    except Exception as error:
                        print("worker", os.getpid(), error, file=sys.stderr)
                    sock.close()
            pids.append(pid)
        stopping = signal.sigwait(signals) == signal.SIGTERM
        while not stopping:
            try:
                pid, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            pids.remove(pid)
    for pid in pids:
        os.kill(pid, signal.SIGTERM)
    while pids:
        pids.remove(os.wait()[0])
    signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
