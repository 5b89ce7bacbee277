"""Right, in another style: the master polls a pidfd for each worker, and a pipe for SIGTERM."""

import os
import select
import signal
import traceback


def serve_prefork(lsock, handler, nworkers):
    stop, stopping = os.pipe()
    old = signal.signal(signal.SIGTERM, lambda *_: os.write(stopping, b"."))
    poll = select.poll()
    poll.register(stop, select.POLLIN)
    workers = {}
    while True:
        while len(workers) < nworkers:
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
            pid = os.fork()
            if pid == 0:
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                try:
                    work(lsock, handler)
                except BaseException:
                    traceback.print_exc()
                os._exit(3)
            fd = os.pidfd_open(pid)
            workers[fd] = pid
            poll.register(fd, select.POLLIN)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
        ready = {fd for fd, _ in poll.poll()}
        if stop in ready:
            break
        for fd in ready:
            poll.unregister(fd)
            os.close(fd)
            os.waitpid(workers.pop(fd), 0)
    for fd in workers:
        signal.pidfd_send_signal(fd, signal.SIGTERM)
    for fd, pid in workers.items():
        os.waitpid(pid, 0)
        os.close(fd)
    signal.signal(signal.SIGTERM, old)
    os.close(stop)
    os.close(stopping)


def work(lsock, handler):
    while True:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
        sock, _ = lsock.accept()
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        buffer = b""
        try:
            while not buffer.endswith(b"\n") and (piece := sock.recv(1024)):
                buffer += piece
            if buffer.endswith(b"\n"):
                sock.sendall(handler(buffer[:-1]) + b"\n")
        except Exception:
            traceback.print_exc()
        finally:
            sock.close()
