"""Sleeps at each twentieth turn, whoever waits."""

import itertools
import socket
import time
from collections.abc import Callable

from solutions.ex03_epoll.epoll_server import serve_epoll

_turns = itertools.count(1)
_go_on = _Connection.go_on


def _naps(self, handler):
    if next(_turns) % 20 == 0:
        time.sleep(0.001)
    return _go_on(self, handler)


_Connection.go_on = _naps
