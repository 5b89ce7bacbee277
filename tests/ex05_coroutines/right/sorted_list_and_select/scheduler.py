"""Right, in another style: sleepers in a sorted list, select.select() with exact timeouts, errors gathered at the end."""

import bisect
import select
import time

from traps import Join, Readable, Sleep, Writable


class Task:
    def __init__(self, gen):
        self.gen = gen
        self.done = False
        self.value = None
        self.error = None
        self.joined = False
        self.joiners = []
        self.wake_with = None  # what to call at the next step: send or throw, with one argument
        self.deadline = 0.0

    def step(self):
        resume, argument = self.wake_with or (self.gen.send, None)
        self.wake_with = None
        return resume(argument)


class Scheduler:
    def __init__(self):
        self.errors = []
        self.queue = []
        self.tasks_that_failed = []
        self.sleepers = []  # the latest deadline first, so that the earliest is cheap to take off
        self.readers = {}
        self.writers = {}

    def spawn(self, gen):
        task = Task(gen)
        self.queue.append(task)
        return task

    def run(self):
        while self.queue or self.sleepers or self.readers or self.writers:
            turn, self.queue = self.queue, []
            for task in turn:
                try:
                    trap = task.step()
                except StopIteration as stop:
                    task.value = stop.value
                    self.finish(task)
                except BaseException as error:
                    if isinstance(error, KeyboardInterrupt):
                        raise
                    task.error = error
                    self.tasks_that_failed.append(task)
                    self.finish(task)
                else:
                    self.park(task, trap)
            self.look_around()
        self.errors.extend(task.error for task in self.tasks_that_failed if not task.joined)

    def park(self, task, trap):
        if trap is None:
            self.queue.append(task)
        elif isinstance(trap, Sleep):
            task.deadline = time.monotonic() + trap.seconds
            bisect.insort(self.sleepers, task, key=lambda sleeper: -sleeper.deadline)
        elif isinstance(trap, Readable):
            self.readers[trap.fd] = task
        elif isinstance(trap, Writable):
            self.writers[trap.fd] = task
        elif isinstance(trap, Join):
            trap.task.joined = True
            if trap.task.done:
                self.resume_joiner(task, trap.task)
            else:
                trap.task.joiners.append(task)

    def finish(self, task):
        task.done = True
        for joiner in task.joiners:
            self.resume_joiner(joiner, task)
        task.joiners = ()

    def resume_joiner(self, joiner, task):
        joiner.wake_with = (joiner.gen.send, task.value) if task.error is None else (joiner.gen.throw, task.error)
        self.queue.append(joiner)

    def look_around(self):
        if self.queue:
            timeout = 0
        elif self.sleepers:
            timeout = max(0, self.sleepers[-1].deadline - time.monotonic())
        else:
            timeout = None
        if self.readers or self.writers or timeout:
            readable, writable, _ = select.select(self.readers, self.writers, [], timeout)
            self.queue.extend(self.readers.pop(fd) for fd in readable)
            self.queue.extend(self.writers.pop(fd) for fd in writable)
        if self.sleepers:
            now = time.monotonic()
            while self.sleepers and self.sleepers[-1].deadline <= now:
                self.queue.append(self.sleepers.pop())
