"""Tries what would tell it of other boxes, batch its calls, or is too new for the system's libraries to have a name."""

import ctypes
import fcntl
import os
import socket
from collections.abc import Callable

from tests.grader.red_team.honest import serve

libc = ctypes.CDLL(None, use_errno=True)
X86 = os.uname().machine == "x86_64"
CALLS = {
    "io_setup": (206 if X86 else 0, 8, ctypes.byref(ctypes.c_ulong(0))),
    "inotify_init1": (294 if X86 else 26, 0),
    "mincore": (27 if X86 else 232, 0, 0, 0),
    "memfd_secret": (447, 0),
    "cachestat": (451, 0, 0, 0, 0),
    "statmount": (457, 0, 0, 0, 0),
    "listmount": (458, 0, 0, 0, 0),
    "lsm_list_modules": (461, 0, 0, 0),
    "mseal": (462, 0, 0, 0),
    "open_tree_attr": (467, -100, b"/", 1, 0, 0),
    "file_getattr": (468, -100, b"/", ctypes.create_string_buffer(64), 32, 0),
    "listns": (470, 0, 0, 0, 0),
}
FAMILIES = {"netlink": (16, 3, 0), "tipc": (30, 1, 0), "vsock": (40, 1, 0), "smc": (43, 1, 0), "xdp": (44, 3, 0)}
PROTOCOLS = {"sctp": (2, 1, 132), "sctp, unnamed": (2, 5, 0), "mptcp": (10, 1, 262), "dccp": (2, 6, 0)}


def let_in() -> list[str]:
    """What went well. ENOSYS is what a kernel without the call says, EINVAL one that has it."""
    found = []
    for name, (number, *arguments) in CALLS.items():
        ctypes.set_errno(0)
        if libc.syscall(ctypes.c_long(number), *arguments) >= 0 or ctypes.get_errno() != 38:
            found.append(name)
    for name, words in {**FAMILIES, **PROTOCOLS}.items():
        try:
            socket.socket(*words).close()
            found.append(name)
        except OSError:
            pass
    for path in ("/usr/bin/env", "/tmp/own"):
        fd = os.open(path, os.O_RDONLY if path.startswith("/usr") else os.O_RDWR | os.O_CREAT)
        for name, lock in {"flock": fcntl.flock, "lockf": fcntl.lockf}.items():
            try:
                lock(fd, fcntl.LOCK_SH)
                found.append(f"{name} of {path}")
            except OSError:
                pass
        os.close(fd)
    return found


def serve_epoll(lsock: socket.socket, handler: Callable[[bytes], bytes], stop_fd: int) -> None:
    found = let_in()
    print("bre" + f"ached: {found}" if found else "held: nothing of it", flush=True)
    serve(lsock, handler, stop_fd)
