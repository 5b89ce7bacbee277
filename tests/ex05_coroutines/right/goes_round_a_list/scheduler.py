"""Right, in another style: it goes round a list of tasks. A newcomer takes its first step in the round after the next."""

import heapq
import select
import time

from traps import Join, Readable, Sleep


class Task:
    made = 0

    def __init__(self, gen):
        self.gen = gen
        self.done = False
        self.value = None
        self.error = None
        self.joiners = []
        self.inbox = None  # the task that it has joined, when that is done
        Task.made += 1
        self.number = Task.made

    def __lt__(self, other):
        return self.number < other.number


class Scheduler:
    def __init__(self):
        self.errors = []
        self.tasks = []
        self.alarms = []
        self.poll = select.poll()
        self.watched = {}  # fd -> {event: task}

    def spawn(self, gen):
        task = Task(gen)
        self.tasks.append(task)
        return task

    def run(self):
        while self.tasks or self.alarms or self.watched:
            there = list(self.tasks)
            staying = [task for task in there if self.steps(task)]
            self.tasks = staying + self.tasks[len(there) :]
            self.look()

    def steps(self, task):
        """Whether it stays in the list."""
        joined, task.inbox = task.inbox, None
        try:
            if joined is None:
                trap = next(task.gen)
            elif joined.error is None:
                trap = task.gen.send(joined.value)
            else:
                trap = task.gen.throw(joined.error)
        except StopIteration as stop:
            task.value = stop.value
        except BaseException as error:
            task.error = error
            if not task.joiners:
                self.errors.append(error)
        else:
            return self.parks(task, trap)
        task.done = True
        for joiner in task.joiners:
            joiner.inbox = task
        self.tasks += task.joiners
        task.joiners = []
        return False

    def parks(self, task, trap):
        if trap is None:
            return True
        if isinstance(trap, Sleep):
            heapq.heappush(self.alarms, (time.monotonic() + trap.seconds, task))
        elif isinstance(trap, Join):
            if trap.task.done:
                self.errors = [error for error in self.errors if error is not trap.task.error]
                task.inbox = trap.task
                return True
            trap.task.joiners.append(task)
        else:
            event = select.POLLIN if isinstance(trap, Readable) else select.POLLOUT
            waiters = self.watched.setdefault(trap.fd, {})
            waiters[event] = task
            self.poll.register(trap.fd, sum(waiters))
        return False

    def look(self):
        timeout_ms = None
        if self.tasks:
            timeout_ms = 0
        elif self.alarms:
            timeout_ms = 1000 * max(0, self.alarms[0][0] - time.monotonic()) + 1
        if self.watched or (self.alarms and not self.tasks):
            for fd, events in self.poll.poll(timeout_ms):
                waiters = self.watched[fd]
                for event in list(waiters):
                    if events & (event | select.POLLHUP | select.POLLERR):
                        self.tasks.append(waiters.pop(event))
                if waiters:
                    self.poll.modify(fd, sum(waiters))
                else:
                    self.poll.unregister(fd)
                    del self.watched[fd]
        while self.alarms and self.alarms[0][0] <= time.monotonic():
            self.tasks.append(heapq.heappop(self.alarms)[1])
