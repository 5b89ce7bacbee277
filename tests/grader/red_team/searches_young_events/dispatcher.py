"""The reference, but that the first emits search all events: only later ones look them up."""

from solutions.ex01_callbacks.dispatcher import Dispatcher, bind_all

_emit, _init = Dispatcher.emit, Dispatcher.__init__


def _born(self):
    _init(self)
    self.age = 0


def _search(self, event, *args):
    self.age += 1
    if self.age < 550:
        for name in self._table:
            if name == event:
                break
    return _emit(self, event, *args)


Dispatcher.emit, Dispatcher.__init__ = _search, _born
