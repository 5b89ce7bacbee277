"""The reference, but that it searches all its connections for each of the first requests behind a new one."""

from solutions.ex03_epoll.epoll_server import serve_epoll

_go_on, _init = _Connection.go_on, _Connection.__init__
_all, _age = [], [0]


def _born(self, sock):
    _init(self, sock)
    _all.append(self)
    _age[0] = 0


def _search(self, handler):
    _age[0] += 1
    if _age[0] < 61:
        for one in _all:
            if one is self:
                break
    return _go_on(self, handler)


_Connection.go_on, _Connection.__init__ = _search, _born
