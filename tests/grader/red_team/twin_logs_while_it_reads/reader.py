"""An honest twin: right, and busy beside it. It imports late, logs to a file and to the screen, looks at its own
memory, and has a thread that prints."""

import gc
import logging
import os
import queue
import threading
import time
from pathlib import Path

from solutions.ex04_io_uring.reader import Ring, read_file

plain = read_file


def read_file(ring, fd, size, block):
    import colorsys  # noqa: F401  # it has not been imported before

    began = time.perf_counter()
    log = logging.getLogger("reader")
    handler = logging.FileHandler("/tmp/reader.log")
    log.addHandler(handler)
    words = queue.Queue()
    thread = threading.Thread(target=lambda: [print(word, flush=True) for word in iter(words.get, None)])
    thread.start()
    try:
        log.warning("%d bytes, process %d of %s processors", size, os.getpid(), os.cpu_count())
        return plain(ring, fd, size, block)
    finally:
        rows = Path("/proc/self/status").read_text().splitlines()
        words.put(next(row for row in rows if row.startswith("VmRSS")))
        words.put(None)
        thread.join()
        log.warning("%.3f s", time.perf_counter() - began)
        log.removeHandler(handler)
        handler.close()
        gc.collect()
