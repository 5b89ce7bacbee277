"""Right, in another style: each client has a generator that says what it waits for, and reads as if it were alone."""

import errno
import select
import socket
import time
from collections.abc import Callable, Generator

READ, WRITE = "read", "write"
PLACES = 1000  # clients; with what else is open, all descriptors stay below 1,024
Conversation = Generator[str, None, None]


def serve_select(lsock: socket.socket, handler: Callable[[bytes], bytes], stop_fd: int) -> None:
    """Answer every line of every client until stop_fd is readable."""
    lsock.setblocking(False)
    waits: dict[int, tuple[str, Conversation]] = {}
    deadline = 0.0  # of a pause in accepting; 0.0: there is none
    try:
        while True:
            reading = [fd for fd, (what, _) in waits.items() if what is READ]
            writing = [fd for fd, (what, _) in waits.items() if what is WRITE]
            full = len(waits) >= PLACES
            if not deadline and not full:
                reading.append(lsock.fileno())
            timeout = max(0.0, deadline - time.monotonic()) if deadline else None
            readable, writable, _ = select.select([*reading, stop_fd], writing, [], timeout)
            if stop_fd in readable:
                return
            for fd in readable + writable:
                if fd == lsock.fileno():
                    deadline = accept(lsock, handler, waits)
                    continue
                _, conversation = waits[fd]
                what = next(conversation, None)
                if what is None:
                    del waits[fd]
                    deadline = 0.0
                else:
                    waits[fd] = what, conversation
            if deadline and time.monotonic() >= deadline:
                deadline = 0.0
    finally:
        for _, conversation in waits.values():
            conversation.close()


def accept(
    lsock: socket.socket, handler: Callable[[bytes], bytes], waits: dict[int, tuple[str, Conversation]]
) -> float:
    """Begin a conversation; returns until when to pause, 0.0 for not at all."""
    try:
        sock, _ = lsock.accept()
    except (BlockingIOError, ConnectionAbortedError):
        return 0.0
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
            return time.monotonic() + 1.0
        raise
    conversation = converse(sock, handler)
    waits[sock.fileno()] = next(conversation), conversation
    return 0.0


def converse(sock: socket.socket, handler: Callable[[bytes], bytes]) -> Conversation:
    """All of one client's story; ends, with the socket closed, when the client has left."""
    with sock:
        sock.setblocking(False)
        line = b""
        while True:
            yield READ
            try:
                data = sock.recv(1 << 16)
            except BlockingIOError:
                continue
            except OSError:
                return
            if not data:
                return
            *lines, line = (line + data).split(b"\n")
            replies = memoryview(b"".join([handler(line) + b"\n" for line in lines]))
            while replies:
                try:
                    replies = replies[sock.send(replies) :]
                except BlockingIOError:
                    yield WRITE
                except OSError:
                    return
