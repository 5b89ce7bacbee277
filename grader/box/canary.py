"""What a boxed program must not be able to reach, put there on purpose: the proof of a wall looks for it. Knows sockets
of the host's network; knows nothing of walls.
"""

import contextlib
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass

from grader.box.inside import CANARY_HOST


@dataclass(frozen=True, slots=True, kw_only=True)
class Canary:
    """What must not be reachable from the inside: a TCP port and an abstract socket of the host's, a secret in the
    judge's environment."""

    port: int
    abstract: str
    environ: str


@contextlib.contextmanager
def host_canary() -> Iterator[Canary]:
    """A canary in this process's own network, for the length of the block. Its secret is for the
    judge's environment."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener,
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as local,
    ):
        listener.bind((CANARY_HOST, 0))
        listener.listen()
        abstract = f"tracegrade-{os.urandom(8).hex()}"
        local.bind(f"\0{abstract}")
        local.listen()
        yield Canary(port=listener.getsockname()[1], abstract=abstract, environ=os.urandom(16).hex())
