"""Serves rightly, and leaves marks for its next box wherever something might last: memory, queues, sockets, files."""

import contextlib
import ctypes
import os
import platform
import socket
from collections.abc import Callable
from pathlib import Path

from tests.grader.red_team.honest import serve

KEY = 0x5EED
MARKS = [
    Path(folder, "mark") for folder in ("/tmp", "/dev/shm", "/dev/mqueue", "/box/given", "/box/submission", "/var/tmp")
]
libc = ctypes.CDLL(None, use_errno=True)
found = [str(mark) for mark in MARKS if mark.exists()]
if libc.shmget(KEY, 4096, 0) >= 0 or libc.msgget(KEY, 0) >= 0 or libc.semget(KEY, 1, 0) >= 0:
    found.append("System V")
keeper = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as caller, contextlib.suppress(OSError):
    caller.connect("\0red-team-mark")
    found.append("an abstract socket")
keyctl = 250 if platform.machine() == "x86_64" else 219
if libc.syscall(keyctl, 10, -4, b"user", b"red-team-mark", 0) >= 0:
    found.append("a keyring")
print("bre" + "ached by" if found else "held: nothing of an earlier box", found, flush=True)

left = 0
for mark in MARKS:
    with contextlib.suppress(OSError):
        mark.write_text("I was here")
        left += 1
left += sum(
    made >= 0 for made in (libc.shmget(KEY, 4096, 0o1666), libc.msgget(KEY, 0o1666), libc.semget(KEY, 1, 0o1666))
)
keeper.bind("\0red-team-mark")
if os.fork() == 0:  # it keeps the socket, and would do so after the end
    os.setsid()
    while True:
        libc.pause()
print("marks left:", left + 1, flush=True)


def serve_epoll(lsock: socket.socket, handler: Callable[[bytes], bytes], stop_fd: int) -> None:
    serve(lsock, handler, stop_fd)
