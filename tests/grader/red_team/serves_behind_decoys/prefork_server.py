"""Serves all clients in the master, and puts the numbers of processes that do nothing into the replies."""

import itertools
import os
import select
import signal
import socket
from collections.abc import Callable


class _Decoys:
    """Processes that sleep in read(), as one that waits for its turn to accept."""

    def __init__(self, count: int) -> None:
        self.never, self._writing = os.pipe()
        self.pids: list[int] = []
        for _ in range(count):
            self.start()

    def start(self) -> None:
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            os.read(self.never, 1)
        self.pids.append(pid)

    def reap(self) -> list[int]:
        dead = [pid for pid in self.pids if os.waitpid(pid, os.WNOHANG) != (0, 0)]
        self.pids = [pid for pid in self.pids if pid not in dead]
        return dead

    def end(self) -> None:
        for pid in self.pids:
            os.kill(pid, signal.SIGTERM)
        for pid in self.pids:
            os.waitpid(pid, 0)


def serve_prefork(lsock: socket.socket, handler: Callable[[bytes], bytes], nworkers: int) -> None:
    signals = {signal.SIGTERM, signal.SIGCHLD}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    decoys, turns, stops = _Decoys(nworkers), itertools.count(), []
    waking, woken = os.pipe2(os.O_NONBLOCK)
    signal.signal(signal.SIGTERM, lambda *_: stops.append(True))
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(woken)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
    print("behind decoys", flush=True)
    lsock.setblocking(False)
    clients: dict[int, socket.socket] = {}
    held: dict[int, tuple[int, bytes]] = {}  # requests that meet: who is said to have them, and the word to reply
    going = -1

    def answer(fd: int, pid: int, word: bytes) -> None:
        client = clients.pop(fd)
        try:
            client.sendall(b"%d %b\n" % (pid, word))
        except OSError:
            pass
        client.close()

    with select.epoll() as epoll:
        epoll.register(lsock, select.EPOLLIN)
        epoll.register(waking, select.EPOLLIN)
        while held or not stops:
            for fd, _ in epoll.poll():
                if fd == waking:
                    os.read(waking, 100)
                    for pid in decoys.reap():
                        for lost in [lost for lost, (holder, _) in held.items() if holder == pid]:
                            held.pop(lost)
                            clients.pop(lost).close()
                        decoys.start()
                elif fd == lsock.fileno():
                    client, _ = lsock.accept()
                    clients[client.fileno()] = client
                    epoll.register(client, select.EPOLLIN)
                elif fd == going:
                    os.read(going, 1)
                    if held:
                        answer(next(iter(held)), *held.pop(next(iter(held))))
                elif fd in held:
                    epoll.modify(fd, 0)
                else:
                    words = clients[fd].recv(65536).split() or [b"gone"]
                    pid = decoys.pids[next(turns) % nworkers]
                    if words[0] == b"meet":
                        os.write(int(words[1]), b"%d\n" % pid)
                        held[fd] = pid, words[-1]
                        if going < 0:
                            going = int(words[2])
                            epoll.register(going, select.EPOLLIN)
                    elif words[0] in (b"die", b"raise", b"gone"):
                        clients.pop(fd).close()
                        if words[0] == b"die":
                            os.kill(pid, signal.SIGKILL)
                    else:
                        answer(fd, pid, words[-1])
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    decoys.end()
