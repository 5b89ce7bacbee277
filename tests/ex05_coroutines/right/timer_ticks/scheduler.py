"""Right, in another style: deadlines rounded up to ticks of 4 ms, one-shot epoll registrations that stay, two queues."""

import heapq
import select
import time

from traps import Join, Readable, Sleep, Writable

TICK_S = 0.004


class Task:
    __slots__ = ("_joiners", "_resume", "done", "error", "value")

    def __init__(self, gen):
        self.done, self.value, self.error = False, None, None
        self._joiners = None  # made when the first one comes
        self._resume = gen


class Scheduler:
    def __init__(self):
        self.errors = []
        self.epoll = select.epoll()
        self.masks = {}  # fd -> [reader, writer]
        self.waiting = 0
        self.ticks = []  # a heap of tick numbers, each once
        self.at_tick = {}
        self.this_turn, self.next_turn = [], []

    def spawn(self, gen):
        task = Task(gen)
        self.next_turn.append((task, None))
        return task

    def run(self):
        while self.next_turn or self.ticks or self.waiting:
            self.poll()
            self.wake_sleepers()
            self.this_turn, self.next_turn = self.next_turn, self.this_turn
            for task, joined in self.this_turn:
                self.one_step(task, joined)
            self.this_turn.clear()

    def one_step(self, task, joined):
        gen = task._resume
        try:
            if joined is None:
                wish = gen.send(None)
            elif joined.error is None:
                wish = gen.send(joined.value)
            else:
                wish = gen.throw(joined.error)
        except StopIteration as stop:
            return self.over(task, stop.value, None)
        except BaseException as error:
            return self.over(task, None, error)
        match wish:
            case None:
                self.next_turn.append((task, None))
            case Sleep(seconds=seconds):
                tick = int((time.monotonic() + seconds) / TICK_S) + 1
                if tick not in self.at_tick:
                    self.at_tick[tick] = []
                    heapq.heappush(self.ticks, tick)
                self.at_tick[tick].append(task)
            case Join(task=other):
                if other.done:
                    self.errors = [error for error in self.errors if error is not other.error]
                    self.next_turn.append((task, other))
                elif other._joiners is None:
                    other._joiners = [task]
                else:
                    other._joiners.append(task)
            case Readable(fd=fd):
                self.watch(fd, 0, task)
            case Writable(fd=fd):
                self.watch(fd, 1, task)

    def over(self, task, value, error):
        task.done, task.value, task.error, task._resume = True, value, error, None
        if task._joiners:
            self.next_turn += [(joiner, task) for joiner in task._joiners]
            task._joiners = None
        elif error is not None:
            self.errors.append(error)

    def watch(self, fd, side, task):
        pair = self.masks.setdefault(fd, [None, None])
        pair[side] = task
        self.waiting += 1
        self.arm(fd, pair)

    def arm(self, fd, pair):
        mask = (select.EPOLLIN if pair[0] else 0) | (select.EPOLLOUT if pair[1] else 0)
        if not mask:
            return
        try:
            self.epoll.modify(fd, mask | select.EPOLLONESHOT)
        except FileNotFoundError:  # a new descriptor, or an old number
            self.epoll.register(fd, mask | select.EPOLLONESHOT)

    def poll(self):
        if self.next_turn and not self.waiting:
            return
        timeout = -1
        if self.next_turn:
            timeout = 0
        elif self.ticks:
            timeout = max(0.0, self.ticks[0] * TICK_S - time.monotonic())
        for fd, event in self.epoll.poll(timeout):
            pair = self.masks[fd]
            for side, other in ((0, select.EPOLLOUT), (1, select.EPOLLIN)):
                if pair[side] and event & ~other:
                    self.next_turn.append((pair[side], None))
                    pair[side] = None
                    self.waiting -= 1
            self.arm(fd, pair)

    def wake_sleepers(self):
        while self.ticks and self.ticks[0] * TICK_S <= time.monotonic():
            self.next_turn += [(task, None) for task in self.at_tick.pop(heapq.heappop(self.ticks))]
