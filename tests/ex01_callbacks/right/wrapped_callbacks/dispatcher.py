"""Right, in another style: a registration is a function that wraps its callback; the worker looks once a second whether
it is to end."""

import queue
import threading
from typing import NamedTuple


class Failure(NamedTuple):
    event: str
    error: BaseException


def bind_all(ids, fn):
    def bound_to(one):
        def call():
            return fn(one)

        return call

    return list(map(bound_to, ids))


class Dispatcher:
    def __init__(self):
        self.errors = []
        self.table = {}
        self.table_lock = threading.RLock()
        self.jobs = queue.Queue()
        self.closed = threading.Event()
        self.worker = None

    def on(self, event, callback, *, once=False):
        def wrapped(*args):
            if once:
                unsubscribe()
            try:
                callback(*args)
            except Exception as error:
                self.errors.append(Failure(event, error))

        def unsubscribe():
            with self.table_lock:
                self.table[event] = [other for other in self.table[event] if other is not wrapped]

        with self.table_lock:
            self.table.setdefault(event, []).append(wrapped)
        return unsubscribe

    def emit(self, event, *args):
        with self.table_lock:
            snapshot = self.table.get(event, [])[:]
        return sum(1 for wrapped in snapshot if wrapped(*args) is None)

    def emit_async(self, event, *args):
        if self.closed.is_set():
            raise ValueError("closed")
        with self.table_lock:
            if not self.worker:
                self.worker = threading.Thread(target=self.work)
                self.worker.start()
        self.jobs.put((event, args))

    def work(self):
        while not (self.closed.is_set() and self.jobs.empty()):
            try:
                event, args = self.jobs.get(timeout=1)
            except queue.Empty:
                continue
            self.emit(event, *args)

    def close(self):
        self.closed.set()
        if self.worker:
            self.worker.join()
