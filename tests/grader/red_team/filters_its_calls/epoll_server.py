"""Installs a filter of its own, in front of the tracer's, by every way that the kernel has; then it wastes calls."""

import ctypes
import os
import platform
import socket
import struct
from collections.abc import Callable

from tests.grader.red_team.honest import serve

libc = ctypes.CDLL(None, use_errno=True)
allow_all = ctypes.create_string_buffer(struct.pack("=HBBI", 6, 0, 0, 0x7FFF0000))
program = ctypes.create_string_buffer(struct.pack("=H6xQ", 1, ctypes.addressof(allow_all)))


def own_filters() -> list[str]:
    """The ways that were not refused."""
    let_in = []
    x86 = platform.machine() == "x86_64"
    seccomp, prctl, pointer = 317 if x86 else 277, 157 if x86 else 167, ctypes.c_void_p(ctypes.addressof(program))
    for flags in (0, 8):  # 8 is SECCOMP_FILTER_FLAG_NEW_LISTENER, which would answer for the kernel
        if libc.syscall(ctypes.c_long(seccomp), ctypes.c_ulong(1), ctypes.c_ulong(flags), pointer) >= 0:
            let_in.append(f"seccomp {flags}")
    for upper in (0, 1 << 32, 1 << 63):
        words = [ctypes.c_ulong(upper | 22), ctypes.c_ulong(2), pointer, ctypes.c_ulong(0), ctypes.c_ulong(0)]
        if libc.syscall(ctypes.c_long(prctl), *words) >= 0:
            let_in.append(f"prctl {upper:#x}")
    return let_in


def serve_epoll(lsock: socket.socket, handler: Callable[[bytes], bytes], stop_fd: int) -> None:
    let_in = own_filters()
    print("bre" + "ached by" if let_in else "held", let_in, flush=True)
    serve(lsock, handler, stop_fd, turn=lambda: [os.getppid() for _ in range(50)])
