"""Sleeps in slices, with every clock stopped, its priority raised and its processor chosen."""

import contextlib
import os
import socket
import time
from collections.abc import Callable
from typing import Any

from tests.grader.red_team.honest import serve

clock: Any = time
sleep = time.sleep
for name in ("time", "monotonic", "perf_counter", "process_time", "time_ns", "monotonic_ns", "sleep"):
    setattr(clock, name, lambda *_seconds: 0)
with contextlib.suppress(OSError):
    time.clock_settime(time.CLOCK_REALTIME, 0)
    print("bre" + "ached: the host's clock", flush=True)
with contextlib.suppress(OSError):
    os.nice(-20)
    print("bre" + "ached: a higher priority", flush=True)
with contextlib.suppress(OSError):
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(99))
    print("bre" + "ached: real time", flush=True)
os.sched_setaffinity(0, range(os.cpu_count() or 1))
print("the clocks stand", flush=True)


def serve_epoll(lsock: socket.socket, handler: Callable[[bytes], bytes], stop_fd: int) -> None:
    serve(lsock, handler, stop_fd, turn=lambda: [sleep(0) for _ in range(50)])
