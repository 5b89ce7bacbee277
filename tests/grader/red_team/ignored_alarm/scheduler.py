"""An honest twin: waits in poll(), and ignores an alarm that comes all the time. A tracer makes even an ignored signal
interrupt a wait, and the kernel takes that up again, as it does for who is stopped and continued."""

import math
import select
import signal


class _Poll:
    """poll() under the names that epoll's functions have; the events have the same numbers."""

    def __init__(self):
        poll = select.poll()
        self.register, self.modify, self.unregister, self._poll = poll.register, poll.modify, poll.unregister, poll.poll

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def poll(self, timeout=None):
        return self._poll(None if timeout is None else math.ceil(1000 * timeout))


select.epoll = _Poll
signal.signal(signal.SIGALRM, signal.SIG_IGN)
signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)

from solutions.ex05_coroutines.scheduler import Scheduler
