"""Tries every descriptor that it may have inherited, and opens what it has a second time, the other way round."""

import os
import stat
import sys

KINDS = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "folder",
    stat.S_IFSOCK: "socket",
    stat.S_IFIFO: "pipe",
    stat.S_IFCHR: "device",
}
mine = {0, 1, 2, int(sys.argv[1])}
found = {}
for fd in range(1024):
    try:
        found[fd] = KINDS.get(stat.S_IFMT(os.fstat(fd).st_mode), "other")
    except OSError:
        continue
# A listening socket and a stop descriptor are handed in: a socket and a pipe. Nothing else may have come along.
extra = sorted(kind for fd, kind in found.items() if fd not in mine)
leaks = [] if extra == ["pipe", "socket"] else [f"inherited {extra}"]
for fd, kind in found.items():
    try:
        again = os.open(f"/proc/self/fd/{fd}", os.O_RDWR | os.O_NONBLOCK)
        earlier = os.read(again, 65536)
    except OSError:
        continue
    if kind == "file" or b"Grading" in earlier:
        leaks.append(f"descriptor {fd} gives {earlier[:40]!r}")
print("descriptors:", sorted(found.values()))
print("bre" + "ached:" if leaks else "held", leaks, flush=True)
