"""Right, in the style of many tutorials: lists of sockets, and a queue of replies for each. A client stands in the
second list until its queue has been found empty, so each reply costs one turn more: five calls a request.
"""

import errno
import queue
import select
import socket
from collections.abc import Callable

FD_SETSIZE = 1024
MOST_QUEUED = 50  # replies: whoever leaves so many unread is not read from


def serve_select(lsock: socket.socket, handler: Callable[[bytes], bytes], stop_fd: int) -> None:
    """Answer every line of every client until stop_fd is readable."""
    lsock.setblocking(False)
    server = Server(lsock, handler)
    try:
        server.run(stop_fd)
    finally:
        for sock in server.replies:
            sock.close()


class Server:
    def __init__(self, lsock: socket.socket, handler: Callable[[bytes], bytes]) -> None:
        self.lsock = lsock
        self.handler = handler
        self.inputs: list[socket.socket | int] = [lsock]
        self.outputs: list[socket.socket] = []
        self.replies: dict[socket.socket, queue.Queue[bytes]] = {}
        self.begun: dict[socket.socket, bytes] = {}
        self.leaving: set[socket.socket] = set()

    def run(self, stop_fd: int) -> None:
        self.inputs.append(stop_fd)
        while True:
            full = self.lsock not in self.inputs
            readable, writable, broken = select.select(self.inputs, self.outputs, self.inputs, 1.0 if full else None)
            if stop_fd in readable:
                return
            if full and not (readable or writable or broken):
                self.inputs.append(self.lsock)
            for ready in readable:
                self.accept() if ready is self.lsock else self.read(ready)
            for sock in writable:
                if sock in self.replies:
                    self.write(sock)
            for sock in broken:
                if sock in self.replies:
                    self.drop(sock)

    def accept(self) -> None:
        try:
            sock, _ = self.lsock.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                raise
            self.inputs.remove(self.lsock)
            return
        if sock.fileno() >= FD_SETSIZE:
            sock.close()
            return
        sock.setblocking(False)
        self.inputs.append(sock)
        self.replies[sock] = queue.Queue()
        self.begun[sock] = b""

    def read(self, sock: socket.socket) -> None:
        try:
            data = sock.recv(4096)
        except BlockingIOError:
            return
        except OSError:
            self.drop(sock)
            return
        waiting = self.replies[sock]
        if data:
            *lines, self.begun[sock] = (self.begun[sock] + data).split(b"\n")
            for line in lines:
                waiting.put(self.handler(line) + b"\n")
            if lines and sock not in self.outputs:
                self.outputs.append(sock)
            if waiting.qsize() > MOST_QUEUED:
                self.inputs.remove(sock)
        elif waiting.empty():
            self.drop(sock)
        else:
            self.leaving.add(sock)
            self.inputs.remove(sock)

    def write(self, sock: socket.socket) -> None:
        try:
            reply = self.replies[sock].get_nowait()
        except queue.Empty:
            self.outputs.remove(sock)
            if sock in self.leaving:
                self.drop(sock)
            elif sock not in self.inputs:
                self.inputs.append(sock)
            return
        try:
            sent = sock.send(reply)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.drop(sock)
            return
        if sent < len(reply):
            self.replies[sock].queue.appendleft(reply[sent:])

    def drop(self, sock: socket.socket) -> None:
        for sockets in (self.inputs, self.outputs):
            if sock in sockets:
                sockets.remove(sock)
        self.leaving.discard(sock)
        del self.replies[sock], self.begun[sock]
        sock.close()
        if self.lsock not in self.inputs:
            self.inputs.append(self.lsock)
