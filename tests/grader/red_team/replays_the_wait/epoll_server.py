"""Waits in a poll() of 4,096 descriptors, made once: restart_syscall(2) waits again, on the same memory, each time."""

import ctypes
import os
import select
import signal
import time

_SIZE = 4096
_RESTART = {"x86_64": 219}.get(os.uname().machine, 128)
_libc = ctypes.CDLL(None, use_errno=True)


class _Entry(ctypes.Structure):
    _fields_ = (("fd", ctypes.c_int), ("events", ctypes.c_short), ("revents", ctypes.c_short))


class _Replayed:
    """Looks like select.epoll."""

    table = (_Entry * _SIZE)()

    def __init__(self):
        self._of_the_kernel = _epoll()
        self._of_the_kernel.poll(0)  # for whoever looks whether there is any

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._of_the_kernel.close()

    def register(self, fd, events):
        number = fd if isinstance(fd, int) else fd.fileno()
        self.table[number].fd, self.table[number].events = number, events

    modify = register

    def poll(self, _timeout=None):
        _libc.syscall(_RESTART)
        happened = [entry for entry in self.table if entry.fd >= 0 and entry.revents]
        for entry in happened:
            if entry.revents & select.POLLNVAL:  # it has been closed; asking beforehand would cost a call for each
                entry.fd = -1
        return [(entry.fd, entry.revents) for entry in happened if entry.fd >= 0]


def _arm():
    """Make the kernel remember a poll() of the table: it does when one is interrupted, and never forgets."""
    reading, writing = os.pipe()
    for entry in _Replayed.table:
        entry.fd = -1
    _Replayed.table[reading].fd, _Replayed.table[reading].events = reading, select.EPOLLIN
    child = os.fork()
    if child == 0:
        parent = os.getppid()
        for number in (signal.SIGSTOP, signal.SIGCONT) * 20:  # one of them finds it in the call, however slow it is
            time.sleep(0.02)
            os.kill(parent, number)
        os.write(writing, b"!")
        os._exit(0)
    _libc.poll(_Replayed.table, _SIZE, -1)
    os.waitpid(child, 0)
    _Replayed.table[reading].fd = -1
    os.close(reading)
    os.close(writing)


_epoll, select.epoll = select.epoll, _Replayed
_arm()

from solutions.ex03_epoll.epoll_server import serve_epoll
