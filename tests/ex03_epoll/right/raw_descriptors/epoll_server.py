"""Right, in another style: no socket objects, only descriptors, os.read() and os.writev()."""

import errno
import os
import select
import socket
import time
from collections.abc import Callable

IOV_MAX = 1024  # buffers that Linux takes in one writev()


def serve_epoll(lsock: socket.socket, handler: Callable[[bytes], bytes], stop_fd: int) -> None:
    """Answer every line of every client until stop_fd is readable."""
    os.set_blocking(lsock.fileno(), False)
    inbox: dict[int, bytes] = {}
    outbox: dict[int, list[bytes]] = {}
    with select.epoll() as epoll:
        epoll.register(stop_fd, select.EPOLLIN)
        epoll.register(lsock, select.EPOLLIN)
        paused_at: float | None = None

        def accept() -> None:
            nonlocal paused_at
            try:
                fd = lsock.accept()[0].detach()
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    paused_at = time.monotonic()
                    epoll.modify(lsock, 0)
                elif error.errno not in (errno.EAGAIN, errno.ECONNABORTED):
                    raise
            else:
                os.set_blocking(fd, False)
                inbox[fd] = b""
                epoll.register(fd, select.EPOLLIN)

        def transfer(fd: int) -> None:
            if fd not in outbox:
                data = os.read(fd, 65536)
                if not data:
                    raise EOFError
                *lines, inbox[fd] = (inbox[fd] + data).split(b"\n")
                if not lines:
                    return
                buffers = [piece for line in lines for piece in (handler(line), b"\n")]
            else:
                buffers = outbox[fd]
            try:
                left = without(buffers, os.writev(fd, buffers[:IOV_MAX]))
            except BlockingIOError:
                left = buffers
            if left and fd not in outbox:
                epoll.modify(fd, select.EPOLLOUT)
            elif not left and fd in outbox:
                epoll.modify(fd, select.EPOLLIN)
            if left:
                outbox[fd] = left
            else:
                outbox.pop(fd, None)

        try:
            while True:
                someone_left = False
                for fd, _ in epoll.poll(None if paused_at is None else 0.5):
                    if fd == stop_fd:
                        return
                    if fd == lsock.fileno():
                        accept()
                        continue
                    try:
                        transfer(fd)
                    except BlockingIOError:
                        pass
                    except (OSError, EOFError):
                        del inbox[fd]
                        outbox.pop(fd, None)
                        os.close(fd)
                        someone_left = True
                if paused_at is not None and (someone_left or time.monotonic() > paused_at + 0.5):
                    epoll.modify(lsock, select.EPOLLIN)
                    paused_at = None
        finally:
            for fd in inbox:
                os.close(fd)


def without(buffers: list[bytes], size: int) -> list[bytes]:
    """The buffers, without their first `size` bytes in all."""
    for index, buffer in enumerate(buffers):
        if size < len(buffer):
            return [buffer[size:], *buffers[index + 1 :]]
        size -= len(buffer)
    return []
