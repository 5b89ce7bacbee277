"""Right, in another way: the worker lives as long as something is queued. A registration knows whether it is over."""

import threading
from collections import deque
from dataclasses import dataclass


def bind_all(ids, fn):
    bound = []
    for one in ids:

        def call(one=one):
            return fn(one)

        bound.append(call)
    return bound


@dataclass(eq=False)
class Subscription:
    callback: object
    left: float  # how often it may still run

    def cancel(self):
        self.left = 0


class Dispatcher:
    def __init__(self):
        self.errors = []
        self.subscriptions = {}
        self.lock = threading.Lock()
        self.jobs = deque()
        self.worker = None

    def on(self, event, callback, *, once=False):
        subscription = Subscription(callback, 1 if once else float("inf"))
        with self.lock:
            living = [other for other in self.subscriptions.get(event, []) if other.left]
            self.subscriptions[event] = [*living, subscription]
        return subscription.cancel

    def emit(self, event, *args):
        count = 0
        for subscription in self.subscriptions.get(event, []):
            if subscription.left:
                subscription.left -= 1
                count += 1
                self.call(event, subscription.callback, args)
        return count

    def call(self, event, callback, args):
        try:
            callback(*args)
        except Exception as error:
            self.errors.append((event, error))

    def emit_async(self, event, *args):
        with self.lock:
            self.jobs.append((event, args))
            if self.worker is None:
                self.worker = threading.Thread(target=self.work_off)
                self.worker.start()

    def work_off(self):
        while True:
            with self.lock:
                if not self.jobs:
                    self.worker = None
                    return
                event, args = self.jobs.popleft()
            self.emit(event, *args)

    def close(self):
        with self.lock:
            worker = self.worker
        if worker is not None:
            worker.join()
