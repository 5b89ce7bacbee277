"""Wrong on purpose: while tasks wait for descriptors, it looks at them between calls of time.sleep(0.01)."""

import heapq
import itertools
import select
import time
from collections import deque
from collections.abc import Generator
from typing import Any

from traps import Join, Readable, Sleep, Writable

Steps = Generator[Any, Any, Any]  # yields traps, or nothing to let the others go first; is sent the value of a join


class Task:
    """A generator that a scheduler runs, and what became of it.

    done: whether it has ended. value: what it returned. error: what it raised; None if it has raised nothing.
    """

    def __init__(self, gen: Steps) -> None:
        self.done = False
        self.value: object = None
        self.error: BaseException | None = None
        self.gen = gen
        self.joiners: list[Task] = []


class Scheduler:
    """Runs tasks by turns in the thread that calls run(), and sleeps in the kernel while none of them can go on.

    errors: what was raised by tasks that nobody has joined.
    """

    def __init__(self) -> None:
        self.errors: list[BaseException] = []
        self._ready: deque[_Resumption] = deque()
        self._sleeping: list[tuple[float, int, Task]] = []  # a heap; the number keeps tasks from being compared
        self._numbers = itertools.count()
        self._waiting: dict[int, dict[int, Task]] = {}  # by descriptor, then by EPOLLIN or EPOLLOUT
        self._epoll: select.epoll

    def spawn(self, gen: Steps) -> Task:
        """Put a new task at the end of the queue. It takes its first step in run(), not here."""
        task = Task(gen)
        self._ready.append((task, None, None))
        return task

    def run(self) -> None:
        """Run all tasks, and those that they spawn, by turns; return when none is left."""
        with select.epoll() as self._epoll:
            while self._ready or self._sleeping or self._waiting:
                self._wake()
                for _ in range(len(self._ready)):  # one turn; who becomes ready in it waits for the next
                    self._step(*self._ready.popleft())

    def _wake(self) -> None:
        """Make ready whom the kernel or the clock lets go on. Wait for that only while nobody is ready."""
        timeout: float | None = 0.0
        if not self._ready:
            timeout = self._until_next_deadline()
        if self._waiting and not self._ready:
            time.sleep(0.01 if timeout is None else min(timeout, 0.01))
            timeout = 0.0
        if self._waiting or not self._ready:  # else there is nothing to ask the kernel, and a switch costs no call
            for fd, events in self._epoll.poll(timeout):
                self._wake_waiters(fd, events)
        if self._sleeping:
            now = time.monotonic()
            while self._sleeping and self._sleeping[0][0] <= now:
                self._ready.append((heapq.heappop(self._sleeping)[2], None, None))

    def _until_next_deadline(self) -> float | None:
        """Seconds, for epoll.poll(), which rounds up to milliseconds: no task is woken early, none needs two waits."""
        if not self._sleeping:
            return None
        return min(max(0.0, self._sleeping[0][0] - time.monotonic()), _LONGEST_WAIT_S)

    def _step(self, task: Task, value: object, error: BaseException | None) -> None:
        """Let one task run to its next yield, then do what it asks for. What it raises is its own affair."""
        try:
            trap = task.gen.send(value) if error is None else task.gen.throw(error)
        except StopIteration as stop:
            self._end(task, stop.value, None)
        except Exception as failure:  # noqa: BLE001 - but not KeyboardInterrupt, which is for the whole program
            self._end(task, None, failure)
        else:
            try:
                self._obey(task, trap)
            except Exception as mistake:  # noqa: BLE001 - a bad descriptor, or a yield of something else
                self._ready.append((task, None, mistake))

    def _obey(self, task: Task, trap: object) -> None:
        match trap:
            case None:
                self._ready.append((task, None, None))
            case Sleep(seconds):
                heapq.heappush(self._sleeping, (time.monotonic() + seconds, next(self._numbers), task))
            case Readable(fd):
                self._wait(task, fd, select.EPOLLIN)
            case Writable(fd):
                self._wait(task, fd, select.EPOLLOUT)
            case Join(other) if other.done:
                self._ready.append((task, other.value, other.error))
                self.errors[:] = [error for error in self.errors if error is not other.error]
            case Join(other):
                other.joiners.append(task)
            case _:
                raise TypeError(f"a task yields a trap or nothing, not {trap!r}")

    def _end(self, task: Task, value: object, error: BaseException | None) -> None:
        """Joiners are put into the queue, not resumed here: a chain of joins needs no stack."""
        task.done, task.value, task.error = True, value, error
        if error is not None and not task.joiners:
            self.errors.append(error)
        self._ready.extend((joiner, value, error) for joiner in task.joiners)
        task.joiners.clear()

    def _wait(self, task: Task, fd: int, event: int) -> None:
        """Register for one event. A descriptor is in the interest set only while a task waits for it, so that it can
        be closed, and its number used again, at any other time."""
        waiters = self._waiting.get(fd)
        if waiters is None:
            self._epoll.register(fd, event)
            self._waiting[fd] = {event: task}
        elif event in waiters:
            raise RuntimeError(f"another task waits for descriptor {fd} already")
        else:
            self._epoll.modify(fd, select.EPOLLIN | select.EPOLLOUT)
            waiters[event] = task

    def _wake_waiters(self, fd: int, events: int) -> None:
        waiters = self._waiting[fd]
        for event in list(waiters):
            if events & (event | select.EPOLLERR | select.EPOLLHUP):  # the next read or write will tell which it was
                self._ready.append((waiters.pop(event), None, None))
        if waiters:
            self._epoll.modify(fd, *waiters)
        else:
            self._epoll.unregister(fd)
            del self._waiting[fd]


_Resumption = tuple[Task, object, BaseException | None]  # a task, with what to send to it or what to throw into it
_LONGEST_WAIT_S = 86400.0  # epoll_wait() takes milliseconds in an int: a little less than 25 days
