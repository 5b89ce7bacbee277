"""Right, in another style: while no task waits for a descriptor, time.sleep() is wait enough; else select.select()."""

import heapq
import itertools
import select
import time
from collections import deque

from traps import Join, Readable, Sleep, Writable


class Task:
    def __init__(self, gen):
        self.gen, self.done, self.value, self.error = gen, False, None, None
        self.joiners, self.reported = [], False


class Scheduler:
    def __init__(self):
        self.queue, self.sleepers, self.counter = deque(), [], itertools.count()
        self.readers, self.writers, self.failed = {}, {}, []

    @property
    def errors(self):
        return [task.error for task in self.failed if not task.reported]

    def spawn(self, gen):
        task = Task(gen)
        self.queue.append((task, None))
        return task

    def run(self):
        while True:
            if self.readers or self.writers:
                self.ask(self.patience())
            elif not self.queue:
                if not self.sleepers:
                    return
                time.sleep(self.patience())
            now = time.monotonic()
            while self.sleepers and self.sleepers[0][0] <= now:
                self.queue.append((heapq.heappop(self.sleepers)[2], None))
            for _ in range(min(50, len(self.queue))):
                self.resume(*self.queue.popleft())

    def patience(self):
        if self.queue:
            return 0
        return max(0, self.sleepers[0][0] - time.monotonic()) if self.sleepers else None

    def ask(self, timeout):
        readable, writable, _ = select.select(list(self.readers), list(self.writers), [], timeout)
        self.queue.extend((self.readers.pop(fd), None) for fd in readable)
        self.queue.extend((self.writers.pop(fd), None) for fd in writable)

    def resume(self, task, joined):
        try:
            if joined is not None and joined.error is not None:
                trap = task.gen.throw(joined.error)
            else:
                trap = task.gen.send(joined and joined.value)
        except StopIteration as stop:
            task.value = stop.value
        except Exception as error:
            task.error = error
            self.failed.append(task)
        else:
            return self.park(task, trap)
        task.done = True
        self.queue.extend((joiner, task) for joiner in task.joiners)

    def park(self, task, trap):
        if isinstance(trap, Sleep):
            heapq.heappush(self.sleepers, (time.monotonic() + trap.seconds, next(self.counter), task))
        elif isinstance(trap, Readable):
            self.readers[trap.fd] = task
        elif isinstance(trap, Writable):
            self.writers[trap.fd] = task
        elif isinstance(trap, Join):
            trap.task.reported = True
            if trap.task.done:
                self.queue.append((task, trap.task))
            else:
                trap.task.joiners.append(task)
        else:
            self.queue.append((task, None))
