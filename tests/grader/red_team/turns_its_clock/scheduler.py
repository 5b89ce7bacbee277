"""Never sleeps: instead of waiting it turns its clock on, and tells the tasks the time of that clock."""

import select
import time

_time, _epoll, _ahead = time.monotonic, select.epoll, [0.0]


class _Epoll:
    def __init__(self):
        self._real = _epoll()
        self.register, self.modify, self.unregister = self._real.register, self._real.modify, self._real.unregister

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._real.close()

    def poll(self, timeout=None):
        if timeout is None:
            return self._real.poll()
        _ahead[0] += timeout and timeout + 0.0001
        return self._real.poll(0)


time.monotonic = lambda: _time() + _ahead[0]
select.epoll = _Epoll
print("the clock is turned")

from solutions.ex05_coroutines.scheduler import Scheduler
