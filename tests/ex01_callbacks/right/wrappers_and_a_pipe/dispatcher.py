"""Right, in another style: a base class of wrapped callbacks in an ordered dict, and a worker that reads from a pipe."""

import os
import threading
from collections import OrderedDict, deque


def bind_all(ids, fn):
    return [*((lambda one: lambda: fn(one))(one) for one in ids)]


class Emitter:
    def __init__(self):
        self.errors = []
        self.wrapped = {}
        self.lock = threading.Lock()

    def on(self, event, callback, *, once=False):
        key = object()

        def run(args):
            try:
                callback(*args)
            except Exception as error:
                self.errors.append((event, error))
            return True

        def run_once(args):
            return self.remove(event, key) and run(args)

        with self.lock:
            self.wrapped.setdefault(event, OrderedDict())[key] = run_once if once else run
        return lambda: self.remove(event, key)

    def remove(self, event, key):
        with self.lock:
            return self.wrapped[event].pop(key, None) is not None

    def emit(self, event, *args):
        with self.lock:
            snapshot = [*self.wrapped.get(event, {}).values()]
        return [run(args) for run in snapshot].count(True)


class Dispatcher(Emitter):
    def __init__(self):
        super().__init__()
        self.jobs = deque()
        self.reading = self.writing = None

    def emit_async(self, event, *args):
        self.jobs.append((event, args))
        if self.writing is None:
            self.reading, self.writing = os.pipe()
            self.worker = threading.Thread(target=self.work)
            self.worker.start()
        os.write(self.writing, b".")

    def work(self):
        while os.read(self.reading, 1):
            event, args = self.jobs.popleft()
            self.emit(event, *args)

    def close(self):
        if self.writing is not None:
            os.close(self.writing)
            self.worker.join()
            os.close(self.reading)
