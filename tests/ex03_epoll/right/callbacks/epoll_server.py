"""Right, in another style: the loop knows nothing but a callback for each descriptor; all state is in closures."""

import errno
import select
import socket
import time
from collections.abc import Callable


def serve_epoll(lsock: socket.socket, handler: Callable[[bytes], bytes], stop_fd: int) -> None:
    """Answer every line of every client until stop_fd is readable."""
    lsock.setblocking(False)
    epoll = select.epoll()
    on_ready: dict[int, Callable[[], None]] = {}
    sockets: dict[int, socket.socket] = {}
    running = True
    retry_at = 0.0  # 0.0: lsock is watched

    def watch(fd: int, events: int, callback: Callable[[], None]) -> None:
        on_ready[fd] = callback
        epoll.register(fd, events)

    def stop() -> None:
        nonlocal running
        running = False

    def accept() -> None:
        nonlocal retry_at
        try:
            sock, _ = lsock.accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                epoll.unregister(lsock)
                retry_at = time.monotonic() + 1.0
            elif error.errno not in (errno.EAGAIN, errno.ECONNABORTED):
                raise
        else:
            sock.setblocking(False)
            sockets[sock.fileno()] = sock
            watch(sock.fileno(), select.EPOLLIN, reader_of(sock))

    def resume() -> None:
        nonlocal retry_at
        if retry_at:
            retry_at = 0.0
            epoll.register(lsock, select.EPOLLIN)

    def hang_up(sock: socket.socket) -> None:
        fd = sock.fileno()
        epoll.unregister(fd)
        sock.close()
        del on_ready[fd], sockets[fd]
        resume()

    def reader_of(sock: socket.socket) -> Callable[[], None]:
        pieces: list[bytes] = []

        def read() -> None:
            try:
                data = sock.recv(1 << 16)
            except BlockingIOError:
                return
            except OSError:
                hang_up(sock)
                return
            if not data:
                hang_up(sock)
                return
            pieces.append(data)
            if b"\n" in data:
                *lines, rest = b"".join(pieces).split(b"\n")
                pieces[:] = [rest] if rest else []
                write(sock, memoryview(b"".join([b"%b\n" % handler(line) for line in lines])), read)

        return read

    def write(sock: socket.socket, unsent: memoryview, read: Callable[[], None]) -> None:
        """Send now; what is left is sent by a writer, which takes the reader's place until it is done."""

        def write_more() -> None:
            nonlocal unsent
            try:
                unsent = unsent[sock.send(unsent) :]
            except BlockingIOError:
                pass
            except OSError:
                hang_up(sock)
                return
            now = write_more if unsent else read
            if on_ready[sock.fileno()] is not now:
                on_ready[sock.fileno()] = now
                epoll.modify(sock, select.EPOLLOUT if unsent else select.EPOLLIN)

        write_more()

    with epoll:
        watch(stop_fd, select.EPOLLIN, stop)
        watch(lsock.fileno(), select.EPOLLIN, accept)
        try:
            while running:
                for fd, _ in epoll.poll(1.0 if retry_at else None):
                    on_ready[fd]()
                if retry_at and time.monotonic() >= retry_at:
                    resume()
        finally:
            for sock in sockets.values():
                sock.close()
