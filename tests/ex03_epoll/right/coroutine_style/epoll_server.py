"""Right, in another style: each client has a generator that says what it waits for, and reads as if it were alone."""

import errno
import select
import socket
import time
from collections.abc import Callable, Generator

Conversation = Generator[int, None, None]  # yields the event that it waits for


def serve_epoll(lsock: socket.socket, handler: Callable[[bytes], bytes], stop_fd: int) -> None:
    """Answer every line of every client until stop_fd is readable."""
    lsock.setblocking(False)
    waiting: dict[int, tuple[Conversation, int]] = {}
    with select.epoll() as epoll:
        epoll.register(stop_fd, select.EPOLLIN)
        epoll.register(lsock, select.EPOLLIN)
        listening = True
        deadline = 0.0
        try:
            while True:
                someone_left = False
                for fd, _ in epoll.poll(None if listening else 1.0):
                    if fd == stop_fd:
                        return
                    if fd == lsock.fileno():
                        try:
                            sock, _ = lsock.accept()
                        except (BlockingIOError, ConnectionAbortedError):
                            continue
                        except OSError as error:
                            if error.errno not in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                                raise
                            epoll.modify(lsock, 0)
                            listening = False
                            deadline = time.monotonic() + 1.0
                            continue
                        newcomer = converse(sock, handler)
                        waiting[sock.fileno()] = newcomer, next(newcomer)
                        epoll.register(sock, select.EPOLLIN)
                        continue
                    conversation, before = waiting[fd]
                    try:
                        now = next(conversation)
                    except StopIteration:
                        del waiting[fd]
                        someone_left = True
                        continue
                    if now != before:
                        waiting[fd] = conversation, now
                        epoll.modify(fd, now)
                if not listening and (someone_left or time.monotonic() >= deadline):
                    epoll.modify(lsock, select.EPOLLIN)
                    listening = True
        finally:
            for conversation, _ in waiting.values():
                conversation.close()


def converse(sock: socket.socket, handler: Callable[[bytes], bytes]) -> Conversation:
    """All of one client's story; ends, with the socket closed, when the client has left."""
    with sock:
        sock.setblocking(False)
        line = b""
        while True:
            yield select.EPOLLIN
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
            del data, lines
            while replies:
                try:
                    replies = replies[sock.send(replies) :]
                except BlockingIOError:
                    yield select.EPOLLOUT
                except OSError:
                    return
            del replies
