"""One scenario of a test in a process of its own, which has become what a judge is: alone in a private network, the
parent of every orphan, behind nothing but the wall that it builds.

    python judged.py < job.json

unshare(2) moves the process that calls it, so no test may call it in pytest's own. A scenario is a function of the
test's file, `scenario(wall, *arguments)`; its value is printed as JSON. Knows how a judge starts; knows no check, no
submission and nothing of pytest.
"""

import importlib.util
import json
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from grader import kernel
from grader.sandbox import Canary, build_wall


@contextmanager
def host_canary() -> Iterator[Canary]:
    """What a box must not reach: sockets of the network that this process is about to leave, a secret of its own."""
    with (
        socket.create_server((inside.CANARY_HOST, 0)) as listener,
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as local,
    ):
        abstract = f"judged-{os.getpid()}"
        local.bind(f"\0{abstract}")
        local.listen()
        yield Canary(port=listener.getsockname()[1], abstract=abstract, environ=os.environ["JUDGED_SECRET"])


def main() -> None:
    job = json.load(sys.stdin)
    kernel.die_with_parent(job["parent_pid"])
    kernel.adopt_orphans()
    spec = importlib.util.spec_from_file_location("scenarios", job["file"])
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["scenarios"] = module
    spec.loader.exec_module(module)
    with host_canary() as canary:
        refusal = kernel.enter_private_network() if job["private"] else None
        if refusal:
            sys.exit(f"a private network was refused: {refusal}")
        kernel.die_with_parent(job["parent_pid"])  # a new user namespace has cleared it
        wall = build_wall(
            Path(job["staging"]),
            boxed=job["boxed"],
            bwrap=job["bwrap"],
            canary=canary if job["boxed"] else None,
        )
        value = getattr(module, job["function"])(wall, *job["arguments"])
    json.dump(value, sys.stdout)


if __name__ == "__main__":
    main()
