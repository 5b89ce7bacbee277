"""Right, in another style: numbers for registrations, partials for jobs. Who is gone runs no more, not even in this
emit; who raised is not counted; close() waits for the queue and leaves the rest to a daemon and a sentinel."""

import functools
import itertools
import queue
import threading
from collections import defaultdict

_END = object()


def bind_all(ids, fn):
    return [functools.partial(fn, one) for one in ids]


class Dispatcher:
    def __init__(self):
        self.errors = []
        self._numbers = itertools.count()
        self._events = defaultdict(dict)
        self._queue = queue.Queue()
        threading.Thread(target=self._forever, daemon=True).start()

    def on(self, event, callback, *, once=False):
        number = next(self._numbers)
        self._events[event][number] = (callback, once)
        return functools.partial(self._forget, event, number)

    def _forget(self, event, number):
        self._events[event].pop(number, None)

    def emit(self, event, *args):
        ran = 0
        for number, (callback, once) in sorted(self._events[event].items()):
            if number not in self._events[event]:
                continue
            if once:
                self._forget(event, number)
            try:
                callback(*args)
            except Exception as error:
                self.errors.append((event, error))
            else:
                ran += 1
        return ran

    def emit_async(self, event, *args):
        self._queue.put(functools.partial(self.emit, event, *args))

    def close(self):
        self._queue.join()
        self._queue.put(_END)

    def _forever(self):
        while (job := self._queue.get()) is not _END:
            try:
                job()
            finally:
                self._queue.task_done()
