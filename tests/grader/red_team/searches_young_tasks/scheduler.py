"""The reference, but that the first switches look at all tasks."""

from solutions.ex05_coroutines.scheduler import Scheduler, recv, send_all, serve_echo

_step, _spawn, _init = Scheduler._step, Scheduler.spawn, Scheduler.__init__


def _born(self):
    _init(self)
    self.all, self.age = [], 0


def _noted(self, gen):
    self.all.append(_spawn(self, gen))
    return self.all[-1]


def _search(self, task, value, error):
    self.age += 1
    if self.age < len(self.all) + 600:
        for one in self.all:
            if one is None:
                break
    return _step(self, task, value, error)


Scheduler._step, Scheduler.spawn, Scheduler.__init__ = _search, _noted, _born
