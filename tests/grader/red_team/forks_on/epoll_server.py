"""Forks, and starts threads, for as long as the kernel lets it; every child does the same."""

import contextlib
import os
import threading
import time

LIMIT = 64
reading, writing = os.pipe()


def multiply() -> None:
    give_up = time.monotonic() + 2
    while time.monotonic() < give_up:
        with contextlib.suppress(OSError):
            if os.fork() == 0:
                os.write(writing, b"+")
                multiply()
                os.close(writing)
                time.sleep(1000)
        with contextlib.suppress(RuntimeError):
            threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()


multiply()
os.set_blocking(reading, False)
born = len(os.read(reading, 1 << 20))
print(born, "children;", "held" if born < LIMIT else "bre" + "ached", flush=True)
os._exit(0)
