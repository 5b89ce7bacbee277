"""Right, in another style: no turns. It looks at clock and descriptors after every 64 steps, and reads the clock once."""

import itertools
import select
import threading  # noqa: F401 - an import that is not used breaks no rule
import time
from collections import deque
from heapq import heappop, heappush

from traps import *


class Task:
    def __init__(self, gen):
        self.gen = gen
        self.done = False
        self.value = None
        self.error = None
        self.listeners = set()


class Scheduler:
    def __init__(self):
        self.errors = []
        self.ready = deque()
        self.heap = []
        self.count = itertools.count()
        self.interest = {select.EPOLLIN: {}, select.EPOLLOUT: {}}
        self.now = time.monotonic()
        self.kernel = None

    def spawn(self, gen):
        task = Task(gen)
        self.ready.append((task, gen.send, None))
        return task

    def run(self):
        self.kernel = select.epoll()
        try:
            while True:
                self.now = time.monotonic()
                for _ in range(64):
                    if not self.ready:
                        break
                    self.turn(*self.ready.popleft())
                if not self.ready and not self.heap and not any(self.interest.values()):
                    return
                self.ask_kernel()
                self.ask_clock()
        finally:
            self.kernel.close()

    def turn(self, task, resume, argument):
        try:
            trap = resume(argument)
        except StopIteration as stop:
            task.value = stop.value
        except Exception as error:
            task.error = error
            if not task.listeners:
                self.errors.append(error)
        else:
            return self.handle(task, trap)
        task.done = True
        while task.listeners:
            self.tell(task.listeners.pop(), task)

    def tell(self, listener, task):
        if task.error:
            self.ready.append((listener, listener.gen.throw, task.error))
        else:
            self.ready.append((listener, listener.gen.send, task.value))

    def handle(self, task, trap):
        kind = type(trap)
        if kind is Sleep:
            heappush(self.heap, (self.now + trap.seconds, next(self.count), task))
        elif kind is Join and trap.task.done:
            if trap.task.error in self.errors:
                self.errors.remove(trap.task.error)
            self.tell(task, trap.task)
        elif kind is Join:
            trap.task.listeners.add(task)
        elif kind is Readable:
            self.interest[select.EPOLLIN][trap.fd] = task
            self.register(trap.fd)
        elif kind is Writable:
            self.interest[select.EPOLLOUT][trap.fd] = task
            self.register(trap.fd)
        else:
            self.ready.append((task, task.gen.send, None))

    def register(self, fd):
        mask = sum(event for event, tasks in self.interest.items() if fd in tasks)
        try:
            self.kernel.register(fd, mask)
        except FileExistsError:
            self.kernel.modify(fd, mask) if mask else self.kernel.unregister(fd)

    def ask_kernel(self):
        if self.ready:
            if any(self.interest.values()):
                self.collect(0)
        elif self.heap:
            self.collect(max(0, self.heap[0][0] - time.monotonic()))
        else:
            self.collect(None)

    def collect(self, timeout):
        for fd, events in self.kernel.poll(timeout):
            for event, tasks in self.interest.items():
                if fd in tasks and events & (event | select.EPOLLHUP | select.EPOLLERR):
                    task = tasks.pop(fd)
                    self.ready.append((task, task.gen.send, None))
            self.register(fd)

    def ask_clock(self):
        self.now = time.monotonic()
        while self.heap and self.heap[0][0] <= self.now:
            task = heappop(self.heap)[2]
            self.ready.append((task, task.gen.send, None))
