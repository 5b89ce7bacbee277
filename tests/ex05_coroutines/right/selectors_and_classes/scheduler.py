"""Right, in another style: the selectors module, a method for each trap, an echo server with a flag for its end."""

import contextlib
import heapq
import selectors
import time
from collections import deque
from dataclasses import dataclass, field
from functools import total_ordering

from traps import Readable, Writable


@dataclass(eq=False)
class Task:
    gen: object
    done: bool = False
    value: object = None
    error: BaseException | None = None
    waiters: list = field(default_factory=list)


@total_ordering
class Alarm:
    __slots__ = ("at", "number", "task")

    def __init__(self, at, number, task):
        self.at, self.number, self.task = at, number, task

    def __eq__(self, other):
        return (self.at, self.number) == (other.at, other.number)

    def __lt__(self, other):
        return (self.at, self.number) < (other.at, other.number)


class Scheduler:
    def __init__(self):
        self.selector = selectors.DefaultSelector()
        self.runnable = deque()
        self.alarms = []
        self.alarm_number = 0
        self.failed = {}

    @property
    def errors(self):
        return list(self.failed.values())

    def spawn(self, gen):
        task = Task(gen)
        self.runnable.append((task, None))
        return task

    def run(self):
        while True:
            self.collect()
            if not self.runnable:
                break
            task, joined = self.runnable.popleft()
            self.advance(task, joined)

    def advance(self, task, joined):
        try:
            if joined is None:
                trap = next(task.gen)
            elif joined.error is not None:
                trap = task.gen.throw(joined.error)
            else:
                trap = task.gen.send(joined.value)
        except StopIteration as stop:
            task.value = stop.value
        except Exception as error:
            task.error = error
            if not task.waiters:
                self.failed[task] = error
        else:
            getattr(self, "on_" + type(trap).__name__.lower())(task, trap)
            return
        task.done = True
        self.runnable.extend((waiter, task) for waiter in task.waiters)

    def on_nonetype(self, task, _trap):
        self.runnable.append((task, None))

    def on_sleep(self, task, trap):
        self.alarm_number += 1
        heapq.heappush(self.alarms, Alarm(time.monotonic() + trap.seconds, self.alarm_number, task))

    def on_join(self, task, trap):
        self.failed.pop(trap.task, None)
        if trap.task.done:
            self.runnable.append((task, trap.task))
        else:
            trap.task.waiters.append(task)

    def on_readable(self, task, trap):
        self.add(trap.fd, selectors.EVENT_READ, task)

    def on_writable(self, task, trap):
        self.add(trap.fd, selectors.EVENT_WRITE, task)

    def add(self, fd, event, task):
        if fd in self.selector.get_map():
            key = self.selector.get_key(fd)
            self.selector.modify(fd, key.events | event, {**key.data, event: task})
        else:
            self.selector.register(fd, event, {event: task})

    def collect(self):
        timeout = 0 if self.runnable else None
        if timeout is None and self.alarms:
            timeout = max(0, self.alarms[0].at - time.monotonic())
        if self.selector.get_map() or timeout:
            for key, events in self.selector.select(timeout):
                left = {event: task for event, task in key.data.items() if not event & events}
                self.runnable.extend((task, None) for event, task in key.data.items() if event & events)
                if left:
                    self.selector.modify(key.fd, sum(left), left)
                else:
                    self.selector.unregister(key.fd)
        while self.alarms and self.alarms[0].at <= time.monotonic():
            self.runnable.append((heapq.heappop(self.alarms).task, None))


def serve_echo(lsock, handler, stop_fd):
    lsock.setblocking(False)
    scheduler, socks, over = Scheduler(), set(), []

    def stops():
        yield Readable(stop_fd)
        over.append(True)
        for sock in socks:
            with contextlib.suppress(OSError):
                sock.shutdown(2)
        # The accepting task waits for lsock alone: forget it, and run() has nothing left to wait for.
        with contextlib.suppress(KeyError):
            scheduler.selector.unregister(lsock.fileno())

    def accepts():
        while not over:
            yield Readable(lsock.fileno())
            sock, _ = lsock.accept()
            sock.setblocking(False)
            socks.add(sock)
            scheduler.spawn(talks(sock))

    def talks(sock):
        rest = b""
        with sock, contextlib.suppress(ConnectionError):
            while True:
                yield Readable(sock.fileno())
                data = sock.recv(65536)
                if not data:
                    break
                *lines, rest = (rest + data).split(b"\n")
                reply = b"".join(handler(line) + b"\n" for line in lines)
                while reply:
                    yield Writable(sock.fileno())
                    reply = reply[sock.send(reply) :]
        socks.discard(sock)

    scheduler.spawn(stops())
    scheduler.spawn(accepts())
    scheduler.run()
