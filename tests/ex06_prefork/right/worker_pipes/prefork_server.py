"""Right, in another style: a pipe for each worker tells of its death; no SIGCHLD, and selectors in the master."""

import os
import selectors
import signal
import traceback


def serve_prefork(lsock, handler, nworkers):
    stop_reading, stop_writing = os.pipe()
    previous = signal.signal(signal.SIGTERM, lambda *_: os.write(stop_writing, b"!"))
    selector = selectors.DefaultSelector()
    selector.register(stop_reading, selectors.EVENT_READ)

    def start():
        alive, kept = os.pipe()  # the worker alone holds the writing end: it is closed when the worker ends
        pid = os.fork()
        if pid == 0:
            try:
                signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                selector.close()
                for fd in (stop_reading, stop_writing, alive, *workers):
                    os.close(fd)
                work(lsock, handler)
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(1)
        os.close(kept)
        workers[alive] = pid
        selector.register(alive, selectors.EVENT_READ)

    workers = {}
    for _ in range(nworkers):
        start()
    stopping = False
    while not stopping:
        for key, _ in selector.select():
            if key.fd == stop_reading:
                stopping = True
            else:
                selector.unregister(key.fd)
                os.close(key.fd)
                os.waitpid(workers.pop(key.fd), 0)
                if not stopping:
                    start()
    for pid in workers.values():
        os.kill(pid, signal.SIGTERM)
    for fd, pid in workers.items():
        os.waitpid(pid, 0)
        os.close(fd)
    selector.close()
    signal.signal(signal.SIGTERM, previous)
    os.close(stop_reading)
    os.close(stop_writing)


def work(lsock, handler):
    while True:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        client, address = lsock.accept()
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        client.settimeout(30)  # a client that stalls shall not hold a worker for ever
        try:
            line, newline, _ = client.makefile("rb").readline().partition(b"\n")
            if newline:
                client.sendall(handler(line) + newline)
        except Exception:
            traceback.print_exc()
        finally:
            client.close()
