"""Looks for a way out of its network: to the host's own loopback, by every family, and by a listening socket."""

import ctypes
import platform
import socket
from collections.abc import Callable

PORT = int("@PORT@")
leaks: list[str] = []
tried = 0


def attempt(what: str, act: Callable[[], object]) -> None:
    global tried
    tried += 1
    try:
        act()
    except OSError:
        return
    leaks.append(what)


def connect(family: int, kind: int, protocol: int, address: object) -> None:
    with socket.socket(family, kind, protocol) as sock:
        sock.settimeout(2)
        sock.connect(address)  # type: ignore[arg-type]  # a path or a pair
        sock.send(b"hello from the box")
        if kind == socket.SOCK_DGRAM:
            sock.recv(10)


for host in ("127.0.0.1", "127.0.0.2", "10.0.0.1", "192.0.2.1"):
    attempt(f"tcp {host}", lambda host=host: connect(socket.AF_INET, socket.SOCK_STREAM, 0, (host, PORT)))
    attempt(f"udp {host}", lambda host=host: connect(socket.AF_INET, socket.SOCK_DGRAM, 0, (host, PORT)))
    attempt(f"mptcp {host}", lambda host=host: connect(socket.AF_INET, socket.SOCK_STREAM, 262, (host, PORT)))
attempt("tcp6", lambda: connect(socket.AF_INET6, socket.SOCK_STREAM, 0, ("::1", PORT)))
attempt("abstract", lambda: connect(socket.AF_UNIX, socket.SOCK_STREAM, 0, "\0@ABSTRACT@"))
attempt("unix", lambda: connect(socket.AF_UNIX, socket.SOCK_STREAM, 0, "@FOLDER@/socket"))
attempt("name", lambda: socket.getaddrinfo("localhost.example.org", PORT))
attempt("raw", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1).close())
# Families that lead to the kernel or the machine below, each also with a bit that the kernel drops and a filter sees.
libc = ctypes.CDLL(None, use_errno=True)
number = 41 if platform.machine() == "x86_64" else 198
for family, kind, protocol in ((16, 3, 0), (17, 3, 0), (38, 5, 0), (40, 1, 0), (2, 1, 262)):
    for upper in (0, 1 << 32, 1 << 63):
        words = [ctypes.c_ulong(upper | family), ctypes.c_ulong(kind), ctypes.c_ulong(upper | protocol)]
        tried += 1
        if libc.syscall(ctypes.c_long(number), *words) >= 0:
            leaks.append(f"socket({upper | family:#x}, {kind}, {upper | protocol:#x})")
print(tried, "ways tried")
print("bre" + "ached:" if leaks else "held", leaks, flush=True)
