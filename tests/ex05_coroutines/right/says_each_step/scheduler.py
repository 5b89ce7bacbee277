"""Right, in another style: it says, three lines each, who waits for what and goes on. While nobody waits for a
descriptor it sleeps in a lock that nobody opens.
"""

import heapq
import math
import select
import threading
import time
from collections import deque
from collections.abc import Generator
from typing import Any

from traps import Join, Readable, Sleep, Writable

_LOOK_EVERY = 30  # steps
_BROKEN = select.POLLERR | select.POLLHUP | select.POLLNVAL


class Task:
    def __init__(self, gen: Generator[Any, Any, Any]) -> None:
        self.gen = gen
        self.done = False
        self.value: object = None
        self.error: BaseException | None = None
        self.joiners: list[Task] = []
        self.joined = False


class Scheduler:
    def __init__(self) -> None:
        self.errors: list[BaseException] = []
        self.ready: deque[tuple[Task, object, BaseException | None]] = deque()
        self.sleepers: list[tuple[float, int, Task]] = []
        self.numbers = 0
        self.waiting: dict[int, dict[int, Task]] = {select.POLLIN: {}, select.POLLOUT: {}}
        self.poll = select.poll()
        self.failed: list[Task] = []
        self.never = threading.Lock()
        self.never.acquire()

    def spawn(self, gen: Generator[Any, Any, Any]) -> Task:
        task = Task(gen)
        self.wake(task)
        return task

    def wake(self, task: Task, value: object = None, error: BaseException | None = None) -> None:
        self.ready.append((task, value, error))

    def run(self) -> None:
        steps = 0
        while self.ready or self.sleepers or any(self.waiting.values()):
            if not self.ready or steps == _LOOK_EVERY:
                self.look()
                steps = 0
                continue
            steps += 1
            self.step(*self.ready.popleft())
        self.errors += [task.error for task in self.failed if task.error and not task.joined]

    def look(self) -> None:
        timeout: float | None = 0.0
        if not self.ready:
            timeout = max(0.0, self.sleepers[0][0] - time.monotonic()) if self.sleepers else None
        if any(self.waiting.values()):
            for fd, events in self.poll.poll(None if timeout is None else math.ceil(timeout * 1000)):
                for event, tasks in self.waiting.items():
                    if fd in tasks and events & (event | _BROKEN):
                        print("descriptor", fd, "is ready", flush=True)
                        self.wake(tasks.pop(fd))
                self.watch(fd)
        elif timeout:
            self.never.acquire(timeout=timeout)
        now = time.monotonic()
        while self.sleepers and self.sleepers[0][0] <= now:
            self.wake(heapq.heappop(self.sleepers)[2])

    def watch(self, fd: int) -> None:
        if events := sum(event for event, tasks in self.waiting.items() if fd in tasks):
            self.poll.register(fd, events)
        else:
            self.poll.unregister(fd)

    def step(self, task: Task, value: object, error: BaseException | None) -> None:
        try:
            trap = task.gen.send(value) if error is None else task.gen.throw(error)
        except StopIteration as stop:
            self.end(task, stop.value, None)
        except Exception as exception:  # noqa: BLE001 - it is the task's
            self.failed.append(task)
            self.end(task, None, exception)
        else:
            if trap is None:
                self.wake(task)
                return
            for line in (task.gen.__name__, "waits for", repr(trap)[:60]):
                print(line, flush=True)
            self.park(task, trap)

    def park(self, task: Task, trap: object) -> None:
        match trap:
            case Sleep(seconds):
                self.numbers += 1
                heapq.heappush(self.sleepers, (time.monotonic() + seconds, self.numbers, task))
            case Readable(fd) | Writable(fd):
                self.waiting[select.POLLIN if isinstance(trap, Readable) else select.POLLOUT][fd] = task
                self.watch(fd)
            case Join(other):
                other.joined = True
                if other.done:
                    self.wake(task, other.value, other.error)
                else:
                    other.joiners.append(task)

    def end(self, task: Task, value: object, error: BaseException | None) -> None:
        task.done, task.value, task.error = True, value, error
        for joiner in task.joiners:
            self.wake(joiner, value, error)
        task.joiners.clear()
