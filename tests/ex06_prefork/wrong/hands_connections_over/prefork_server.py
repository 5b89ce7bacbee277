"""Wrong on purpose: accepts in the master, and hands each connection over to the next free worker."""

import os
import select
import signal
import socket
import traceback
from collections.abc import Callable


def serve_prefork(lsock: socket.socket, handler: Callable[[bytes], bytes], nworkers: int) -> None:
    """Answer one line a connection in nworkers processes, until this one gets SIGTERM."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGCHLD})
    came, wakes = os.pipe2(os.O_NONBLOCK)
    stops: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: stops.append(number))
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wakes)
    counter = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    turn = os.pipe()  # a byte for each connection that lies on the counter
    workers: set[int] = set()
    lsock.setblocking(False)
    poller = select.poll()
    poller.register(lsock, select.POLLIN)
    poller.register(came, select.POLLIN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGCHLD})
    try:
        while not stops:
            while len(workers) < nworkers:
                workers.add(_start_worker(counter[1], turn[0], handler))
            for fd, _ in poller.poll():
                if fd == came:
                    os.read(came, 1024)
                else:
                    _hand_over(lsock, counter[0], turn[1])
            workers = {pid for pid in workers if os.waitpid(pid, os.WNOHANG) == (0, 0)}
    finally:
        for pid in workers:
            os.kill(pid, signal.SIGTERM)
        for pid in workers:
            os.waitpid(pid, 0)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGTERM, before)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _hand_over(lsock: socket.socket, counter: socket.socket, turn: int) -> None:
    try:
        connection, _ = lsock.accept()
    except OSError:
        return
    with connection:
        connection.setblocking(True)
        socket.send_fds(counter, [b"!"], [connection.fileno()])
    os.write(turn, b"!")


def _start_worker(counter: socket.socket, turn: int, handler: Callable[[bytes], bytes]) -> int:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    pid = os.fork()
    if pid == 0:
        try:
            signal.set_wakeup_fd(-1)
            _work(counter, turn, handler)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    return pid


def _work(counter: socket.socket, turn: int, handler: Callable[[bytes], bytes]) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    while True:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        os.read(turn, 1)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        _, (fd, *_), _, _ = socket.recv_fds(counter, 1, 1)
        try:
            with socket.socket(fileno=fd) as connection, connection.makefile("rb") as stream:
                line = stream.readline()
                if line.endswith(b"\n"):
                    connection.sendall(handler(line[:-1]) + b"\n")
        except Exception:
            traceback.print_exc()
