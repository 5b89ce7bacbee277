"""Right, in another style: bare descriptors in two sets that change only when something changes. While all places are
taken, nobody looks at the listening socket: newcomers wait in its backlog.
"""

import errno
import os
import select
import socket
from collections.abc import Callable

PLACES = 1000  # connections; with what else is open, all descriptors stay below 1,024
PAUSE_S = 1.0


def serve_select(lsock: socket.socket, handler: Callable[[bytes], bytes], stop_fd: int) -> None:
    """Answer every line of every client until stop_fd is readable."""
    lsock.setblocking(False)
    listening = lsock.fileno()
    begun: dict[int, list[bytes]] = {}
    rest: dict[int, bytes] = {}
    readers = {stop_fd, listening}
    writers: set[int] = set()
    try:
        while True:
            paused = listening not in readers and len(begun) < PLACES
            readable, writable, broken = select.select(
                readers, writers, readers - {stop_fd}, PAUSE_S if paused else None
            )
            if stop_fd in readable:
                return
            for fd in {*readable, *writable, *broken} - {listening}:
                if serve(fd, handler, begun, rest):
                    readers.discard(fd) if fd in rest else readers.add(fd)
                    writers.add(fd) if fd in rest else writers.discard(fd)
                else:
                    readers.discard(fd)
                    writers.discard(fd)
                    rest.pop(fd, None)
                    del begun[fd]
                    os.close(fd)
                    readers.add(listening)
            if listening in readable and not accept_all(lsock, begun, readers):
                readers.discard(listening)
            elif paused and not readable:
                readers.add(listening)
    finally:
        for fd in begun:
            os.close(fd)


def accept_all(lsock: socket.socket, begun: dict[int, list[bytes]], readers: set[int]) -> bool:
    """Take in who waits; False when no place is left."""
    while len(begun) < PLACES:
        try:
            sock, _ = lsock.accept()
        except BlockingIOError:
            return True
        except ConnectionAbortedError:
            continue
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                return False
            raise
        fd = sock.detach()
        os.set_blocking(fd, False)
        begun[fd] = []
        readers.add(fd)
    return False


def serve(fd: int, handler: Callable[[bytes], bytes], begun: dict[int, list[bytes]], rest: dict[int, bytes]) -> bool:
    """Read and answer, or go on with the answer; False when the client has left."""
    try:
        if fd not in rest:
            data = os.read(fd, 1 << 17)
            if not data:
                return False
            begun[fd].append(data)
            if b"\n" not in data:
                return True
            *lines, tail = b"".join(begun[fd]).split(b"\n")
            begun[fd][:] = [tail] if tail else []
            rest[fd] = b"".join([handler(line) + b"\n" for line in lines])
        rest[fd] = rest[fd][os.write(fd, rest[fd]) :]
        if not rest[fd]:
            del rest[fd]
    except BlockingIOError:
        return True
    except OSError:
        return False
    return True
