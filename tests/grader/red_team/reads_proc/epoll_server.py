"""Reads what /proc tells of every process in sight: environment, memory, descriptors, arguments."""

import os
from pathlib import Path

SECRETS = (b"RED_TEAM" + b"_CANARY=", b"TRACEGRADE" + b"_CANARY=")
tried = 0
leaks = []
processes = [place for place in Path("/proc").iterdir() if place.name.isdigit()]
for process in [*processes, *(Path("/proc", str(number)) for number in (os.getppid(), 1, 2, 3))]:
    mine = process.name == str(os.getpid())
    for name in ("environ", "cmdline", "mountinfo", "maps", "auxv", "stack", "syscall"):
        tried += 1
        try:
            data = (process / name).read_bytes()
        except OSError:
            continue
        leaks += [f"{process.name}/{name} has {secret!r}" for secret in SECRETS if secret in data]
        if name in ("environ", "maps") and not mine and data:
            leaks.append(f"{process.name}/{name} can be read")
    for name in ("mem", "root", "cwd", "exe", "fd/0", "fd/1", "fd/3"):
        tried += 1
        try:
            os.close(os.open(process / name, os.O_RDONLY))
        except OSError:
            continue
        if not mine and name != "exe":
            leaks.append(f"{process.name}/{name} can be opened")
if any(secret in repr(os.environ).encode() for secret in SECRETS):
    leaks.append("its own environment")
print(len(processes), "processes in sight,", tried, "doors tried")
print("bre" + "ached:" if leaks else "held", leaks, flush=True)
