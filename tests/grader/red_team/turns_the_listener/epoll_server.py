"""Disconnects the listening socket that was handed in, and calls out with it (connect(2), AF_UNSPEC)."""

import ctypes
import os
import signal
import socket
import struct
from collections.abc import Callable

libc = ctypes.CDLL(None, use_errno=True)


def serve_epoll(lsock: socket.socket, handler: Callable[[bytes], bytes], stop_fd: int) -> None:
    client, _ = lsock.accept()
    unspec = struct.pack("=H14x", 0)
    turned = libc.connect(lsock.fileno(), unspec, len(unspec))
    out = struct.pack("=H", socket.AF_INET) + struct.pack(">H4s8x", int("@PORT@"), socket.inet_aton("127.0.0.1"))
    reached = libc.connect(lsock.fileno(), out, len(out))
    print(
        "turned:", turned, "bre" + "ached" if reached == 0 else f"held: {os.strerror(ctypes.get_errno())}", flush=True
    )
    client.close()
    signal.pause()
