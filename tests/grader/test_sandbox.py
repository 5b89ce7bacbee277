"""The wall: what a box lets through, what comes out of it, how it ends, and that each of its proofs can fail.

Every scenario runs in a judge's process (judged.py): `wall` is its first argument, and its value comes back as JSON.
"""

import os
import signal
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import psutil
import pytest

from grader import filter as call_filter
from grader import inside, sandbox
from grader import strace as tracer
from grader.errors import GraderError
from grader.harness import source_of
from grader.sandbox import Box, BoxEnded, Limits, Wall, build_wall

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


def complaints(wall: Wall, sabotage: dict[str, Any]) -> dict[str, str]:
    """What the probes say of a box without some of its protections.

    `without` names a bwrap option that takes no value; `swap` is a run of bwrap's words and what stands in its place;
    `landlock` is what the box believes to have; `before` are words in front of bwrap's.
    """
    whole = sandbox._options
    places = {"SECRET": wall.canary.environ if wall.canary else "", "STAGING": str(wall.staging)}

    def with_places(text: str) -> list[str]:
        for name, value in places.items():
            text = text.replace(name, value)
        return text.split()

    def broken(wall: Wall, limits: Limits) -> list[str]:
        words = [word for word in whole(wall, limits) if word != sabotage.get("without")]
        if "swap" in sabotage:
            old, new = map(with_places, sabotage["swap"])
            at = next(n for n in range(len(words)) if words[n : n + len(old)] == old)
            words[at : at + len(old)] = new
        return words

    def allow_everything(_library: Any, target: IO[bytes], *, refuse_io_uring: bool) -> None:
        target.write(ALLOW_EVERYTHING)

    sandbox._options = broken
    if "unfiltered" in sabotage:
        call_filter.write_filter = allow_everything
    if "landlock" in sabotage:
        edit_inside(wall, 'enter_landlock(libc, ("/tmp", "/dev/shm"))', str(sabotage["landlock"]))
    if "as_root" in sabotage:
        wall = replace(wall, uid=None)
    if "closed_port" in sabotage and wall.canary is not None:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            wall = replace(wall, canary=replace(wall.canary, port=unused.getsockname()[1]))
    with open_box(wall, words=with_places(sabotage.get("before", ""))) as box:
        return box.prove(30.0, thorough=True)


def edit_inside(wall: Wall, old: str, new: str) -> None:
    """Change what will run in the box."""
    copy = wall.staging / "inside.py"
    source = copy.read_text()
    assert old in source
    copy.write_text(source.replace(old, new))


def test_nothing_is_missing_from_a_whole_wall(judged: Judged) -> None:
    assert judged(complaints, {}) == {}


@pytest.mark.parametrize(
    "sabotage",
    [
        pytest.param({"without": "--remount-ro"}, id="the root is writable, Landlock is there"),
        pytest.param({"before": "/usr/bin/env LEFT=SECRET"}, id="process 1 has a secret, Landlock is there"),
        pytest.param({"without": "--unshare-ipc"}, id="System V's objects are shared, and no probe claims otherwise"),
    ],
)
def test_a_second_layer_holds_when_the_first_is_gone(judged: Judged, sabotage: dict[str, Any]) -> None:
    assert judged(complaints, sabotage) == {}


@pytest.mark.parametrize(
    ("protection", "complaint", "sabotage"),
    [
        pytest.param("files", "can be written to", {"without": "--remount-ro", "landlock": 1}, id="a writable root"),
        pytest.param(
            "files",
            "a file of the host can be read",
            {"swap": ["--chdir /tmp", "--ro-bind STAGING STAGING --chdir /tmp"]},
            id="a folder too many",
        ),
        pytest.param(
            "secrets",
            "the environment of the judge",
            {"before": "/usr/bin/env LEFT=SECRET", "landlock": 1},
            id="a secret in the environment",
        ),
        pytest.param("secrets", "memory of process 1", {"landlock": 1}, id="memory that may be opened"),
        pytest.param("privileges", "capabilities", {"swap": ["--cap-drop ALL", "--cap-add CAP_NET_RAW"]}, id="a right"),
        pytest.param("privileges", "runs as root", {"swap": ["--uid 1000", "--uid 0"]}, id="user 0"),
        pytest.param("processes", "of the host can be seen", {"without": "--unshare-pid"}, id="the host's processes"),
        pytest.param("system calls", "an untraced child", {"unfiltered": True}, id="a filter without rules"),
        pytest.param("landlock", "has no Landlock", {"landlock": 0}, id="no Landlock"),
    ],
)
def test_a_proof_fails_when_its_protection_is_gone(
    judged: Judged, protection: str, complaint: str, sabotage: dict[str, Any]
) -> None:
    assert complaint in judged(complaints, sabotage)[protection]


@pytest.mark.parametrize(
    ("complaint", "sabotage"),
    [
        pytest.param("the host's network", {}, id="a port"),
        pytest.param("an abstract socket", {"closed_port": True, "landlock": 1}, id="an abstract socket"),
    ],
)
def test_the_network_proof_fails_in_the_hosts_network(judged: Judged, complaint: str, sabotage: dict[str, Any]) -> None:
    assert complaint in judged(complaints, sabotage, private=False)["network"]


@pytest.mark.skipif(os.getuid() != 0, reason="only root could leave a box to root")
def test_a_box_of_roots_own_is_told_and_its_number_of_processes_has_no_limit(judged: Judged) -> None:
    found = judged(complaints, {"as_root": True})

    assert "root outside" in found["user"]
    assert "not limited" in found["limits"]


def first_words(wall: Wall, old: str, new: str) -> str:
    edit_inside(wall, old, new)
    with open_box(wall) as box:
        try:
            return str(box.prove(30.0, thorough=False))
        except BoxEnded as end:
            return f"{end}; {box.ended_by()}"


def test_a_box_that_proves_nothing_has_not_started(judged: Judged) -> None:
    said = judged(first_words, 'channel.send({"probes": complaints, "pid": os.getpid()})', "channel.send({})")

    assert said.startswith("the box did not introduce itself")


def test_a_box_that_ends_before_it_speaks_has_not_started(judged: Judged) -> None:
    assert judged(first_words, "os.umask(0o077)", "os._exit(9)") == "the program has ended; exit status 9"


# --- what goes in -------------------------------------------------------------------------------------------------


def descriptors(_student: Any) -> dict[str, str]:
    import os

    return {fd: os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if fd != "3"}


def what_is_open_inside(wall: Wall) -> tuple[list[str], dict[str, str]]:
    with open("/etc/passwd", "rb") as secret, socket.socket() as passed:
        os.set_inheritable(secret.fileno(), True)
        with open_box(wall, fds=[passed.fileno()]) as box:
            box.prove(30.0, thorough=False)
            return [str(passed.fileno())], ask(box, descriptors)["value"]


def test_x(judged: Judged) -> None:
    print(judged(what_is_open_inside))
