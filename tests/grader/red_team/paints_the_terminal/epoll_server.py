"""Says what terminals, readers and CI runners obey: in what it prints, in an exception's text and in its reply."""

import os
import signal
import socket
from collections.abc import Callable

ORDERS = [
    "\x1b[2J\x1b[H\x1b[32mScore 100 of 100\x1b[0m",
    "\x1b]52;c;cm0gLXJmIH4=\x07",
    "\x1b]8;;http://example.org/\x07click\x1b]8;;\x07",
    "\x1b]0;title\x07\x9b31m\r  ok  basic 4/4\b\b\b\x7f",
    "\u202eevil\u2066\u200b\ufeff\ue000",
    "::error::forged",
    "  ::stop-commands::x",
    "::set-output name=score::100",
    "##[error]forged",
    "##vso[task.complete result=Succeeded;]done",
    "</pre><script>alert(1)</script>![x](http://example.org/beacon)",
]
PART = ORDERS[int("@FROM@") :][:4]
print("painted\n" + "\n".join(PART), flush=True)


def serve_epoll(lsock: socket.socket, handler: Callable[[bytes], bytes], stop_fd: int) -> None:
    client, _ = lsock.accept()
    client.recv(100)
    match "@ACT@":
        case "raise":
            raise RuntimeError(" ".join(PART))
        case "reply":
            client.sendall(" ".join(PART).encode() + b"\n")
            signal.pause()
        case "exit":
            os._exit(1)
