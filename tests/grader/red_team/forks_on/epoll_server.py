"""Forks, and starts threads, for as long as the kernel lets it; every child does the same."""

import contextlib
import os
import resource
import threading
import time

LIMIT = resource.getrlimit(resource.RLIMIT_NPROC)[1]


def multiply() -> None:
    give_up = time.monotonic() + 2
    while time.monotonic() < give_up:
        with contextlib.suppress(OSError):
            if os.fork() == 0:
                multiply()
                time.sleep(1000)
        with contextlib.suppress(RuntimeError):
            threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()


multiply()
tasks = [os.listdir(f"/proc/{pid}/task") for pid in os.listdir("/proc") if pid.isdigit()]
alive = sum(map(len, tasks))
print(alive, "processes and threads;", "held" if alive <= LIMIT <= 256 else "bre" + "ached", flush=True)
os._exit(0)
