"""An honest twin: makes and imports what it needs when run() begins, and prints."""


class Task:
    def __init__(self, gen):
        self.gen, self.done, self.value, self.error = gen, False, None, None


class Scheduler:
    def __init__(self):
        self.errors, self._spawned = [], []

    def spawn(self, gen):
        self._spawned.append(Task(gen))
        return self._spawned[-1]

    def run(self):
        import queue
        import selectors

        print("it begins")
        with selectors.DefaultSelector():
            ready = queue.deque(self._spawned)
            while ready:
                task = ready.popleft()
                try:
                    next(task.gen)
                except StopIteration as stop:
                    task.done, task.value = True, stop.value
                else:
                    ready.append(task)
        print("it is over")
