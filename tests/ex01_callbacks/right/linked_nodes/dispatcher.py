"""Right, in another style: registrations are nodes of a list that is linked both ways, and jobs wait for `wait_for`."""

import threading
from functools import partial


def bind_all(ids, fn):
    return [partial(fn, one) for one in ids]


class Node:
    __slots__ = ("before", "behind", "callback", "once")

    def __init__(self, callback=None, once=False):
        self.callback, self.once = callback, once
        self.before = self.behind = self

    def put_before(self, other):
        self.before, self.behind = other.before, other
        other.before.behind = other.before = self

    def take_out(self):
        """Whether it was still in a list."""
        if self.before is self:
            return False
        self.before.behind, self.behind.before = self.behind, self.before
        self.before = self.behind = self
        return True


class Dispatcher:
    def __init__(self):
        self.errors = []
        self.ends = {}
        self.jobs, self.closing, self.changed = [], False, threading.Condition()
        self.worker = threading.Thread(target=self.work, daemon=True)
        self.worker.start()

    def on(self, event, callback, *, once=False):
        node = Node(callback, once)
        node.put_before(self.ends.setdefault(event, Node()))
        return node.take_out

    def emit(self, event, *args):
        end = node = self.ends.get(event, Node())
        nodes = []
        while (node := node.behind) is not end:
            nodes.append(node)
        ran = 0
        for node in nodes:
            gone = node.before is node
            if gone or (node.once and not node.take_out()):
                continue
            ran += 1
            try:
                node.callback(*args)
            except Exception as error:
                self.errors += [(event, error)]
        return ran

    def emit_async(self, event, *args):
        with self.changed:
            self.jobs.append((event, args))
            self.changed.notify_all()

    def work(self):
        while True:
            with self.changed:
                self.changed.wait_for(lambda: self.jobs or self.closing)
                if not self.jobs:
                    return
                event, args = self.jobs.pop(0)
            self.emit(event, *args)

    def close(self):
        with self.changed:
            self.closing = True
            self.changed.notify_all()
        self.worker.join()
