"""Parent-death signals, orphans, private networks and mounts: each tried in a process that may be thrown away."""

import inspect
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from places import TESTS

REFUSING = TESTS / "support" / "refusing.py"
PATIENCE_S = 120.0


def program(act: Callable[..., Any]) -> str:
    """Python that prints, as JSON, what `act` gives; `kernel` and `os` are there for it."""
    head = "from __future__ import annotations\nimport json, os, sys\nfrom grader.box import kernel\n"
    return (
        f"{head}\n{inspect.getsource(act)}\nprint(json.dumps({act.__name__}(*json.loads(sys.argv[1]))), flush=True)\n"
    )


def alone(act: Callable[..., Any], *arguments: Any, before: tuple[str, ...] = ()) -> Any:
    """What `act`, which stands alone, gives in a process of its own; `before` are words in front of the command."""
    done = subprocess.run(
        [*before, sys.executable, "-W", "error", "-c", program(act), json.dumps(arguments)],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# --- parents and orphans ------------------------------------------------------------------------------------------


def parent_of_one_that_waits(tied: bool) -> int:
    """Fork a child that waits for ever, holding this process's output; print its pid."""
    import signal

    from grader.box import kernel

    me = os.getpid()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        if tied:
            kernel.die_with_parent(me)
        os.write(writing, b"!")
        signal.pause()
    os.read(reading, 1)
    print(child, flush=True)
    signal.pause()
    return child


def ended_with_its_parent(tied: bool) -> bool:
    """Whether a child ends when its parent is killed with SIGKILL: it is the last that holds the pipe."""
    words = [sys.executable, "-c", program(parent_of_one_that_waits), json.dumps([tied])]
    with subprocess.Popen(words, stdout=subprocess.PIPE, start_new_session=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        with os.fdopen(os.pidfd_open(child), "rb") as handle:
            parent.kill()
            parent.wait()
            ended, _, _ = select.select([handle], [], [], PATIENCE_S if tied else 0.3)
            if not ended:
                signal.pidfd_send_signal(handle.fileno(), signal.SIGKILL)
    return bool(ended)


def test_who_dies_with_its_parent_is_gone_when_that_is_killed() -> None:
    assert ended_with_its_parent(tied=True)


def test_a_child_that_was_not_told_lives_on() -> None:
    assert not ended_with_its_parent(tied=False)


def tie_to(parent_pid: int) -> str:
    from grader.box import kernel

    kernel.die_with_parent(parent_pid)
    return "alive"


def test_who_comes_too_late_for_its_parent_ends_at_once() -> None:
    somebody_else = str([os.getppid()])

    done = subprocess.run(
        [sys.executable, "-c", program(tie_to), somebody_else], capture_output=True, timeout=PATIENCE_S, check=False
    )

    assert (done.returncode, done.stdout) == (3, b"")


def parent_of_an_orphan(adopt: bool) -> list[int]:
    """This process, and who the parent of its grandchild is once the child is gone."""
    from grader.box import kernel

    if adopt:
        kernel.adopt_orphans()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        child = os.getpid()
        if os.fork() == 0:
            while os.getppid() == child:
                continue
            os.write(writing, str(os.getppid()).encode())
        os._exit(0)
    os.waitpid(child, 0)
    return [os.getpid(), int(os.read(reading, 16))]


def test_orphans_come_to_who_adopts_them() -> None:
    adopter, parent = alone(parent_of_an_orphan, True)
    other, elsewhere = alone(parent_of_an_orphan, False)

    assert parent == adopter
    assert elsewhere != other


# --- a private network --------------------------------------------------------------------------------------------


def enter(port: int) -> dict[str, Any]:
    """What enter_private_network says, and what can be reached then."""
    import socket

    from grader.box import kernel

    def reach(address: tuple[str, int]) -> str:
        try:
            with socket.create_connection(address, timeout=10):
                return "reached"
        except OSError as error:
            return str(error.strerror)

    before = os.readlink("/proc/self/ns/net"), len(os.listdir("/proc/self/fd"))
    said = kernel.enter_private_network()
    after = os.readlink("/proc/self/ns/net"), len(os.listdir("/proc/self/fd"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        mine = reach(listener.getsockname())
    return {
        "said": said,
        "moved": before[0] != after[0],
        "left open": after[1] - before[1],
        "mine": mine,
        "the host's": reach(("127.0.0.1", port)),
        "user": os.getuid(),
    }


@pytest.fixture
def port_of_the_host() -> Any:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_a_private_network_has_a_loopback_of_its_own(private_network: None, port_of_the_host: int) -> None:
    assert alone(enter, port_of_the_host) == {
        "said": None,
        "moved": True,
        "left open": 0,
        "mine": "reached",
        "the host's": "Connection refused",
        "user": os.getuid(),
    }


def test_where_namespaces_are_refused_nothing_changes_and_the_reason_is_told(port_of_the_host: int) -> None:
    found = alone(enter, port_of_the_host, before=(sys.executable, str(REFUSING), "--"))

    assert found == {
        "said": "unshare: Operation not permitted",
        "moved": False,
        "left open": 0,
        "mine": "reached",
        "the host's": "reached",
        "user": os.getuid(),
    }


# --- mounts -------------------------------------------------------------------------------------------------------


def show(source: str, below: str) -> dict[str, Any]:
    """What a folder looks like at its second place, from here and from another process in the old mounts."""
    import subprocess
    from pathlib import Path

    from grader.box import kernel

    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as outsider:  # it stays in the mounts of before
        (place,) = kernel.show_read_only([Path(source)], Path(below))
        refused = []
        deeds: list[Callable[[], None]] = [(place / "file").unlink, (place / "new").touch, place.rmdir]
        for deed in deeds:
            try:
                deed()
            except OSError as error:
                refused.append(error.strerror)
        seen_by_others = os.listdir(f"/proc/{outsider.pid}/root{below}")
        read = (place / "file").read_text()
        outsider.communicate()
    return {"read": read, "refused": refused, "seen by others": seen_by_others}


@pytest.mark.skipif(os.getuid() != 0, reason="mounts are root's")
def test_a_folder_is_shown_read_only_and_to_nobody_else(private_network: None, tmp_path: Path) -> None:
    source, below = tmp_path / "source", tmp_path / "below"
    source.mkdir()
    below.mkdir()
    (source / "file").write_text("precious")

    found = alone(show, str(source), str(below))

    assert found["read"] == "precious"
    assert found["refused"] == ["Read-only file system", "Read-only file system", "Device or resource busy"]
    assert found["seen by others"] == []
    assert (source / "file").read_text() == "precious"
    assert list(below.iterdir()) == []


def refused_show(source: str, below: str) -> str:
    from pathlib import Path

    from grader.box import kernel

    try:
        kernel.show_read_only([Path(source)], Path(below))
    except OSError as error:
        return f"{type(error).__name__}: {error.strerror}"
    return "shown"


def test_where_mounts_are_refused_nothing_is_shown(tmp_path: Path) -> None:
    below = tmp_path / "below"
    below.mkdir()

    said = alone(refused_show, str(tmp_path), str(below), before=(sys.executable, str(REFUSING), "--"))

    assert said == "PermissionError: own mounts are refused"
    assert list(below.iterdir()) == []
