"""The end of all that runs below a process, also of what its own parent has left behind. Knows processes alone.

Whoever calls this owns its process: it is a subreaper (`kernel.adopt_orphans`), so nothing below it gets out of sight.
"""

import contextlib
import time

import psutil


def end_descendants() -> None:
    """Kill every process below this one and wait until none is left, for ten seconds at most."""
    deadline_s = time.monotonic() + 10.0
    while (left := _descendants()) and time.monotonic() < deadline_s:
        for one in left:
            with contextlib.suppress(psutil.Error):
                one.kill()
        psutil.wait_procs(left, timeout=0.2)


def _descendants() -> list[psutil.Process]:
    """Those that are left, once what has ended is waited for."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if process.status() == psutil.STATUS_ZOMBIE:
                process.wait(timeout=0)
                continue
        # A zombie that cannot be waited for is another's child until that one has gone, or has threads that still end.
        if process.is_running():
            found.append(process)
    return found
