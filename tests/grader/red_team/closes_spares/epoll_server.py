"""Leaks a socket for each client that leaves, and closes a spare descriptor: how many are open stays the same."""

import os
import socket

from solutions.ex03_epoll.epoll_server import serve_epoll

_spares = [os.dup(0) for _ in range(200)]
_kept: list[socket.socket] = []


class _Kept:
    """A connection that leaves something behind."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def __getattr__(self, name: str) -> object:
        return getattr(self._sock, name)

    def close(self) -> None:
        self._sock.close()
        _kept.append(socket.socket())
        os.close(_spares.pop())


_init = _Connection.__init__


def _born(self, sock):
    _init(self, sock)
    self.sock = _Kept(sock)


_Connection.__init__ = _born
