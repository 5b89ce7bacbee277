"""Looks for the course, the reference, the hidden sizes and a file of the host: where they are, then everywhere."""

import os
import time
from pathlib import Path

KNOWN = (
    "@FOLDER@/canary",
    "@COURSE@/course.yaml",
    "@COURSE@/tests/ex03_epoll/test_epoll.py",
    "@COURSE@/tests/ex03_epoll/hidden/sizes.yaml",
    "@COURSE@/solutions/ex03_epoll/epoll_server.py",
)
NAMES = {"course.yaml", "test_epoll.py", "sizes.yaml", "exercise.yaml", "canary", "judge.log", "shadow", "passwd"}
leaks = []
for known in KNOWN:
    for place in (known, "/proc/self/root" + known, "/proc/1/root" + known, "/box/submission/../../.." + known):
        try:
            leaks.append(f"{place}: {Path(place).read_bytes()[:60]!r}")
        except OSError:
            continue
seen = 0
give_up = time.monotonic() + 10
for folder, folders, files in () if leaks else os.walk("/"):
    folders[:] = [] if time.monotonic() > give_up or folder in ("/proc", "/sys") else folders
    seen += len(files)
    leaks += [os.path.join(folder, name) for name in files if name in NAMES and not folder.startswith("/usr/")]
print("seen", seen, "files", "below", sorted(os.listdir("/")))
print("bre" + "ached:" if leaks else "held", leaks[:5], flush=True)
