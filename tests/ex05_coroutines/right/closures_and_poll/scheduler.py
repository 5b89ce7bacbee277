"""Right, in another style: the loop knows nothing but callbacks; traps become closures. Waits in select.poll()."""

import heapq
import math
import select
import time
from collections import deque

import traps


class Task:
    done = False
    value = None
    error = None

    def __init__(self):
        self.when_done = []


class Scheduler:
    def __init__(self):
        self.errors = []
        self.calls = deque()
        self.timers = []
        self.watched = {}  # fd -> [callback for reading, callback for writing]
        self.poll = select.poll()
        self.serial = 0

    def spawn(self, gen):
        task = Task()

        def advance(resume, argument):
            try:
                trap = resume(argument)
            except StopIteration as stop:
                end(stop.value, None)
            except Exception as error:
                end(None, error)
            else:
                self.wait(trap, gen, advance)

        def end(value, error):
            task.done, task.value, task.error = True, value, error
            if error is not None and not task.when_done:
                self.errors.append(error)
            for callback in task.when_done:
                self.calls.append(callback)
            task.when_done = None

        self.calls.append(lambda: advance(gen.send, None))
        return task

    def wait(self, trap, gen, advance):
        def go_on():
            advance(gen.send, None)

        if trap is None:
            self.calls.append(go_on)
            return
        if isinstance(trap, traps.Sleep):
            self.serial += 1
            heapq.heappush(self.timers, (time.monotonic() + trap.seconds, self.serial, go_on))
            return
        if isinstance(trap, traps.Join):
            other = trap.task

            def with_result():
                if other.error is None:
                    advance(gen.send, other.value)
                else:
                    advance(gen.throw, other.error)

            if other.done:
                if other.error in self.errors:
                    self.errors.remove(other.error)
                self.calls.append(with_result)
            else:
                other.when_done.append(with_result)
            return
        slot = 0 if isinstance(trap, traps.Readable) else 1
        self.watched.setdefault(trap.fd, [None, None])[slot] = go_on
        self.watch(trap.fd)

    def watch(self, fd):
        reading, writing = self.watched[fd]
        mask = (select.POLLIN if reading else 0) | (select.POLLOUT if writing else 0)
        if mask:
            self.poll.register(fd, mask)
        else:
            self.poll.unregister(fd)
            del self.watched[fd]

    def run(self):
        while self.calls or self.timers or self.watched:
            timeout_ms = 0
            if not self.calls:
                timeout_ms = None
                if self.timers:
                    timeout_ms = max(0, math.ceil(1000 * (self.timers[0][0] - time.monotonic())))
            if self.watched or not self.calls:
                for fd, event in self.poll.poll(timeout_ms):
                    for slot, mine in enumerate((select.POLLIN, select.POLLOUT)):
                        if event & (mine | select.POLLHUP | select.POLLERR) and self.watched[fd][slot]:
                            self.calls.append(self.watched[fd][slot])
                            self.watched[fd][slot] = None
                    self.watch(fd)
            while self.timers and self.timers[0][0] <= time.monotonic():
                self.calls.append(heapq.heappop(self.timers)[-1])
            for _ in range(len(self.calls)):
                self.calls.popleft()()
