"""The wall: what a box lets through, what comes out of it, how it ends, and that each of its proofs can fail.

Every scenario runs in a judge's process (judged.py): `wall` is its first argument, and its value comes back as JSON.
"""

import os
import resource
import signal
import socket
import stat
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

import psutil
import pytest

from grader import filter as call_filter
from grader import inside, sandbox
from grader import strace as tracer
from grader.errors import GraderError
from grader.harness import source_of
from grader.sandbox import Box, BoxEnded, Canary, Limits, Wall, build_wall

Judged = Callable[..., Any]

LIMITS = Limits(memory_mb=512, processes=48, tmp_mb=8, open_files=128)
ALLOW_EVERYTHING = bytes.fromhex("0600000000 00ff7f")  # one BPF instruction: return SECCOMP_RET_ALLOW


def open_box(wall: Wall, *, words: Sequence[str] = (), fds: Sequence[int] = ()) -> Box:
    return Box(wall, LIMITS, tracer=words, pass_fds=fds, refuse_io_uring=True)


def ask(box: Box, function: Callable[..., Any], *arguments: Any) -> dict[str, Any]:
    """What a function answers from inside the box: {"value": ...} or {"problem": ...}."""
    tell(box, function, *arguments)
    return box.receive(30.0)


def tell(box: Box, function: Callable[..., Any], *arguments: Any) -> None:
    order = {"op": "run", "source": source_of(function), "function": function.__name__, "folder": "/box/submission"}
    box.send({**order, "arguments": arguments})


def end_of(box: Box) -> str:
    """How the channel ends, in BoxEnded's words."""
    try:
        return f"a message: {box.receive(30.0)}"
    except BoxEnded as end:
        return str(end)


# --- the proofs, each with its protection taken away --------------------------------------------------------------


def complaints(
    wall: Wall,
    drop: Sequence[str] = (),
    swap: Sequence[str] = (),
    tracer: Sequence[str] = (),
    landlock: bool = True,
    filtered: bool = True,
    limited: bool = True,
) -> dict[str, str]:
    """What the probes say of a box without some of its protections.

    `drop` names options of bwrap without their values, `swap` is one run of options and what stands in its place.
    """
    options = sandbox._options

    def sabotaged(wall: Wall, limits: Limits) -> list[str]:
        words = [word for word in options(wall, limits) if word not in drop]
        if swap:
            old, new = swap[0].split(), swap[1].split()
            at = next(n for n in range(len(words)) if words[n : n + len(old)] == old)
            words[at : at + len(old)] = new
        return words

    def all_is_allowed(_library: Any, target: IO[bytes], *, refuse_io_uring: bool) -> None:
        target.write(ALLOW_EVERYTHING)

    sandbox._options = sabotaged
    if not filtered:
        call_filter.write_filter = all_is_allowed
    if not landlock:
        copy = wall.staging / "inside.py"
        source = copy.read_text()
        entered = 'abi = enter_landlock(libc, ("/tmp", "/dev/shm"))'
        assert entered in source
        copy.write_text(source.replace(entered, "abi = 1"))
    words = [word.replace("SECRET", wall.canary.environ) if wall.canary else word for word in tracer]
    if not limited:
        Limits.as_rlimits = lambda _limits: {"CORE": 0}  # type: ignore[method-assign]
    with open_box(wall, words=words) as box:
        return box.prove(30.0, thorough=True)


def test_a_whole_wall_leaves_nothing_to_complain_about(judged: Judged) -> None:
    assert judged(complaints) == {}


@pytest.mark.parametrize(
    ("protection", "complaint", "sabotage"),
    [
        ("processes", "processes of the host", {"drop": ["--unshare-pid"]}),
        ("privileges", "capabilities are left", {"swap": ["--cap-drop ALL", "--cap-add CAP_NET_RAW"]}),
        ("privileges", "runs as root", {"swap": ["--uid 1000", "--uid 0"]}),
        ("system calls", "untraced child", {"filtered": False}),
        ("limits", "not limited", {"limited": False}),
        ("files", "outside of /tmp can be written to", {"drop": ["--remount-ro"], "landlock": False}),
        ("secrets", "environment of the judge", {"tracer": ["/usr/bin/env", "LEFT=SECRET"], "landlock": False}),
    ],
)
def test_a_probe_goes_red_when_its_protection_is_taken_away(
    judged: Judged, protection: str, complaint: str, sabotage: dict[str, Any]
) -> None:
    found = judged(sabotaged_complaints, sabotage)

    assert complaint in found[protection]


def sabotaged_complaints(wall: Wall, sabotage: dict[str, Any]) -> dict[str, str]:
    return complaints(wall, **sabotage)
