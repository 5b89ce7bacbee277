"""An honest twin: sleeps as it should, by a clock of its own that began at another time."""

import time

time.monotonic = lambda: time.clock_gettime(time.CLOCK_BOOTTIME) - 1000.0

from solutions.ex05_coroutines.scheduler import Scheduler
