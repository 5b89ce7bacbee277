"""The wall: what a box lets through, what comes out of it, how it ends, and that each of its proofs can fail.

Every scenario runs in a judge's process (judged.py): `level` is its first argument, and its value comes back as JSON.
"""

import ctypes
import inspect
import os
import signal
import socket
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from grader.box import channel, inside, levels
from grader.box import seccomp as call_filter
from grader.box import wall as walls
from grader.box.box import Box
from grader.box.channel import BoxEnded
from grader.box.levels import Boxed, Level, Site
from grader.box.limits import Limits
from grader.box.staging import lay_out
from grader.errors import GraderError
from grader.measure import strace as tracer

Judged = Callable[..., Any]

LIMITS = Limits(memory_mb=512, processes=48, tmp_mb=8, open_files=128)
REMOUNTED = "--remount-ro /dev --remount-ro /"
ALLOW_EVERYTHING = bytes.fromhex("06 00 00 00 00 00 ff 7f")  # one BPF instruction: return SECCOMP_RET_ALLOW


def open_box(level: Level, *, words: Sequence[str] = (), limits: Limits = LIMITS) -> Box:
    return Box(level, limits, tracer=words)


def proven_box(level: Level, fds: Sequence[int] = (), **options: Any) -> Box:
    box = open_box(level, **options)
    assert box.prove(30.0, thorough=False) == {}
    box.lend(fds, None)
    return box


def tell(box: Box, function: Callable[..., Any], *arguments: Any) -> None:
    """Have a function run inside the box, where it stands alone; it gets no module, and a room that nobody uses."""
    order = {"op": "run", "source": textwrap.dedent(inspect.getsource(function)), "function": function.__name__}
    box.send({**order, "arguments": arguments, "folder": "/box", "marks": "/mark/0"})


def ask(box: Box, function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function gives inside the box."""
    tell(box, function, *arguments)
    return box.receive(30.0)["value"]


# --- the proofs, each with its protection taken away --------------------------------------------------------------


def complaints(level: Boxed, sabotage: dict[str, Any]) -> dict[str, str]:
    """What the probes say of a box without some of its protections.

    `swap` is a run of bwrap's words and what stands in its place; `landlock` is what the box only believes to have;
    `before` are words in front of bwrap's.
    """
    whole = walls.bwrap_options
    places = {"SECRET": level.canary.environ, "STAGING": str(level.staging)}

    def with_places(text: str) -> list[str]:
        for name, value in places.items():
            text = text.replace(name, value)
        return text.split()

    def broken(limits: Limits, **shown: Any) -> list[str]:
        words: list[str] = whole(limits, **shown)
        if "swap" in sabotage:
            old, new = (with_places(text) for text in sabotage["swap"])
            at = next(n for n in range(len(words)) if words[n : n + len(old)] == old)
            words[at : at + len(old)] = new
        return words

    def allow_everything(library: ctypes.CDLL, *, allows: frozenset[str]) -> bytes:
        return ALLOW_EVERYTHING

    vars(levels)["bwrap_options"] = broken
    if "unfiltered" in sabotage:
        vars(call_filter)["program"] = allow_everything
    if "landlock" in sabotage:
        edit_inside(level, 'enter_landlock(libc, ("/tmp", "/dev/shm"))', str(sabotage["landlock"]))
    if "as_root" in sabotage:
        level = replace(level, uid=None)
    if "closed_port" in sabotage:
        with socket.socket() as unused:
            unused.bind((inside.CANARY_HOST, 0))
            level = replace(level, canary=replace(level.canary, port=unused.getsockname()[1]))
    with open_box(level, words=with_places(sabotage.get("before", ""))) as box:
        return box.prove(30.0, thorough=True)


def edit_inside(level: Level, old: str, new: str) -> None:
    """Change what will run in the box."""
    copy = level.staging / "inside.py"
    source = copy.read_text()
    assert old in source
    copy.write_text(source.replace(old, new))


def test_nothing_is_missing_from_a_whole_wall(judged: Judged) -> None:
    assert judged(complaints, {}) == {}


@pytest.mark.parametrize(
    "sabotage",
    [
        pytest.param({"swap": [REMOUNTED, ""]}, id="the root is writable, Landlock is there"),
        pytest.param({"before": "/usr/bin/env LEFT=SECRET"}, id="process 1 has a secret, Landlock is there"),
    ],
)
def test_a_second_layer_holds_when_the_first_is_gone(judged: Judged, sabotage: dict[str, Any]) -> None:
    assert judged(complaints, sabotage) == {}


@pytest.mark.parametrize(
    ("protection", "complaint", "sabotage"),
    [
        pytest.param("files", "can be written to", {"swap": [REMOUNTED, ""], "landlock": 1}, id="a writable root"),
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
        pytest.param(
            "processes", "of the host can be seen", {"swap": ["--unshare-pid", ""]}, id="the host's processes"
        ),
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


def first_words(level: Level, old: str, new: str) -> str:
    edit_inside(level, old, new)
    with open_box(level) as box:
        try:
            return str(box.prove(30.0, thorough=False))
        except BoxEnded as end:
            return f"{end}; {box.ended_by()}"


def test_a_box_that_proves_nothing_has_not_started(judged: Judged) -> None:
    said = judged(first_words, "channel.send(begin(start))", "channel.send({})")

    assert said.startswith("the box did not introduce itself")


def test_a_box_that_ends_before_it_speaks_has_not_started(judged: Judged) -> None:
    assert judged(first_words, "os.umask(0o077)", "os._exit(9)") == "the program has ended; exit status 9"


# --- what goes in -------------------------------------------------------------------------------------------------


def open_descriptors(_student: Any, _room: Any) -> dict[int, str]:
    import os

    found = {}
    for fd in range(128):
        try:
            os.fstat(fd)
        except OSError:
            continue
        found[fd] = os.readlink(f"/proc/self/fd/{fd}")
    return found


def what_is_open(level: Level) -> tuple[int, dict[str, str]]:
    with Path("/etc/passwd").open("rb") as secret, socket.socket() as passed:
        os.set_inheritable(secret.fileno(), True)
        with proven_box(level, fds=[passed.fileno()]) as box:
            return passed.fileno(), ask(box, open_descriptors)


def test_nothing_is_open_in_a_box_but_what_was_named(judged: Judged) -> None:
    passed, found = judged(what_is_open)

    channel = max(set(found) - {"0", "1", "2", str(passed)})
    assert set(found) == {"0", "1", "2", str(passed), channel}
    assert found["0"] == "/dev/null"
    assert found["1"] == found["2"] and found["1"].startswith("pipe:")
    assert found[str(passed)].startswith("socket:") and found[channel].startswith("socket:")


def environments(level: Level) -> list[str]:
    """Of every process of a box, from the outermost to the program."""
    with proven_box(level) as box:
        chain = [psutil.Process(box.pid)]
        while chain[-1].pid != box.outermost_pid:
            parent = chain[-1].parent()
            assert parent is not None
            chain.append(parent)
        return [Path("/proc", str(one.pid), "environ").read_text() for one in reversed(chain)]


def test_every_process_around_the_program_has_an_empty_environment(judged: Judged) -> None:
    *around, program = judged(environments)

    assert len(around) >= 2
    assert set(around) == {""}
    assert set(program.rstrip("\0").split("\0")) >= {"HOME=/tmp", "LANG=C.UTF-8", "PATH=/usr/bin:/bin"}
    assert "JUDGED_SECRET" not in program


def limits_inside(_student: Any, _room: Any) -> dict[str, Any]:
    import resource

    found: dict[str, Any] = {}
    for name in ("AS", "NPROC", "NOFILE", "FSIZE", "CORE"):
        number = getattr(resource, "RLIMIT_" + name)
        found[name] = resource.getrlimit(number)
        try:
            resource.setrlimit(number, (found[name][0], found[name][1] + 1))
            found["raised"] = name
        except (OSError, ValueError):
            continue
    return found


def asked_for_limits(level: Level) -> tuple[dict[str, Any], dict[str, int]]:
    with proven_box(level) as box:
        return ask(box, limits_inside), LIMITS.as_rlimits()


def test_limits_are_as_asked_and_cannot_be_raised(judged: Judged) -> None:
    found, asked = judged(asked_for_limits)

    assert found == {name: [value, value] for name, value in asked.items()}
    assert asked["AS"] == 512 * 1024 * 1024
    assert asked["FSIZE"] == 8 * 1024 * 1024


def fill_up(_student: Any, _room: Any, folder: str) -> tuple[int, str]:
    import os
    from pathlib import Path

    written = 0
    try:
        for number in range(64):
            with Path(folder, str(number)).open("wb", buffering=0) as file:
                written += file.write(os.urandom(1 << 20))
    except OSError as error:
        return written, str(error.strerror)
    return written, ""


@pytest.mark.parametrize("folder", ["/tmp", "/dev/shm"])
def test_a_writable_folder_holds_so_much_and_no_more(judged: Judged, folder: str) -> None:
    written, why = judged(room_in, folder)

    assert why == "No space left on device"
    assert written <= LIMITS.tmp_mb << 20


def room_in(level: Level, folder: str) -> Any:
    with proven_box(level) as box:
        return ask(box, fill_up, folder)


# --- what comes out -----------------------------------------------------------------------------------------------


def print_much(_student: Any, _room: Any, kilobytes: int) -> str:
    import os

    for _ in range(kilobytes):
        os.write(1, b"x" * 1023 + b"\n")
    return "and it never waited for a reader"


def printed(level: Level, kilobytes: int) -> tuple[str, int, str]:
    with proven_box(level) as box:
        told = ask(box, print_much, kilobytes)
    output = box.output().decode()
    return told, len(output), output[-30:]


def test_the_first_64_kib_of_what_is_printed_are_kept_and_the_rest_is_counted(judged: Judged) -> None:
    told, kept, end = judged(printed, 1000)

    assert told == "and it never waited for a reader"
    assert end.endswith(f"\n... and {(1000 - 64) * 1024} bytes more")
    assert kept == 64 * 1024 + len(f"\n... and {(1000 - 64) * 1024} bytes more")


def test_a_little_that_is_printed_is_kept_whole(judged: Judged) -> None:
    assert judged(printed, 2)[1] == 2048


def say_raw(_student: Any, _room: Any, frame: str, size: int | None) -> None:
    """Write a frame of one's own on the channel, its text repeated where `*` says so; then end."""
    import os
    import struct
    import sys

    text, _, times = frame.partition(" *")
    body = text.encode() * int(times or 1)
    channel = int(sys.argv[1])
    data = struct.pack(">I", len(body) if size is None else size) + body
    while data:
        data = data[os.write(channel, data) :]
    os._exit(0)


def raw_answer(level: Level, frame: str, size: int | None) -> str:
    with proven_box(level) as box:
        tell(box, say_raw, frame, size)
        try:
            return f"believed: {box.receive(30.0)}"
        except BoxEnded as end:
            return str(end)


@pytest.mark.parametrize(
    ("frame", "size", "said"),
    [
        pytest.param('{"value": 1}', None, "believed: {'value': 1}", id="a message"),
        pytest.param(
            "x", inside.MAX_FRAME_BYTES + 1, "a message of 1,048,577 bytes came out of the box", id="too large"
        ),
        pytest.param("x", 2**32 - 1, "a message of 4,294,967,295 bytes came out of the box", id="four gigabytes"),
        pytest.param('{"value": 1}', 100, "the program has ended", id="half a frame"),
        pytest.param("", None, "what came out of the box is not a message", id="an empty frame"),
        pytest.param('{"value": NaN}', None, "what came out of the box is not a message", id="NaN"),
        pytest.param('{"value": -Infinity}', None, "what came out of the box is not a message", id="infinity"),
        pytest.param('{"value": 1e999}', None, "what came out of the box is not a message", id="too large a number"),
        pytest.param("[ *500000", None, "what came out of the box is not a message", id="deep"),
        pytest.param("9 *5000", None, "what came out of the box is not a message", id="a long number"),
        pytest.param("[1, 2]", None, "what came out of the box is not a message", id="a list"),
        pytest.param('"value"', None, "what came out of the box is not a message", id="a string"),
        pytest.param("null", None, "what came out of the box is not a message", id="null"),
        pytest.param("{value: 1}", None, "what came out of the box is not a message", id="not JSON"),
    ],
)
def test_only_a_whole_small_json_object_is_a_message(judged: Judged, frame: str, size: int | None, said: str) -> None:
    assert judged(raw_answer, frame, size) == said


def say_bytes(_student: Any, _room: Any, hexadecimal: str) -> None:
    import os
    import sys
    import time

    os.write(int(sys.argv[1]), bytes.fromhex(hexadecimal))
    time.sleep(600)


def waited(level: Level, hexadecimal: str) -> str:
    with proven_box(level) as box:
        tell(box, say_bytes, hexadecimal)
        box.has_message()
        try:
            return str(box.receive(0.5))
        except TimeoutError:
            return "nothing came"


@pytest.mark.parametrize("said", [pytest.param("", id="silence"), pytest.param("00000005 7b7d", id="half a frame")])
def test_what_does_not_come_to_its_end_in_time_is_a_timeout(judged: Judged, said: str) -> None:
    assert judged(waited, said) == "nothing came"


def trickle(_student: Any, _room: Any) -> None:
    import os
    import sys
    import time

    channel = int(sys.argv[1])
    os.write(channel, (1 << 20).to_bytes(4, "big"))
    while True:
        os.write(channel, b" ")
        time.sleep(0.05)


def test_bytes_that_trickle_in_buy_no_time(judged: Judged) -> None:
    assert judged(trickled) == "nothing came"


def trickled(level: Level) -> str:
    with proven_box(level) as box:
        tell(box, trickle)
        try:
            return str(box.receive(0.5))
        except TimeoutError:
            return "nothing came"


def pass_descriptors(_student: Any, _room: Any) -> None:
    import os
    import socket
    import struct
    import sys

    body = b'{"value": 0}'
    sock = socket.socket(fileno=int(sys.argv[1]))
    socket.send_fds(sock, [struct.pack(">I", len(body)) + body], [0] * 10)
    os._exit(0)


def descriptors_of_a_judge(level: Level) -> tuple[int, int, dict[str, int]]:
    with proven_box(level) as box:
        before = len(os.listdir("/proc/self/fd"))
        tell(box, pass_descriptors)
        answer = box.receive(30.0)
        return before, len(os.listdir("/proc/self/fd")), answer


def test_a_judge_takes_no_descriptors_from_a_box(judged: Judged) -> None:
    before, after, answer = judged(descriptors_of_a_judge)

    assert answer == {"value": 0}
    assert after == before


def say_and_wait(_student: Any, _room: Any, released: int) -> str:
    import os

    os.read(released, 1)
    return "said"


def messages(level: Level) -> list[Any]:
    reading, writing = os.pipe()
    with proven_box(level, fds=[reading]) as box:
        tell(box, say_and_wait, reading)
        found: list[Any] = [box.has_message()]
        os.write(writing, b"!")
        found += [becomes(box.has_message), box.has_message(), box.receive(30.0)["value"], box.has_message()]
        os.kill(box.pid, signal.SIGKILL)
        found += [becomes(box.has_message), becomes(lambda: not box.alive)]
        try:
            box.send({"op": "run"})
        except BoxEnded as end:
            found.append(str(end))
    os.close(reading)
    os.close(writing)
    return found


def becomes(condition: Callable[[], bool]) -> bool:
    """Whether it comes true before anybody's patience ends."""
    deadline_s = time.monotonic() + 120.0
    while not condition():
        if time.monotonic() > deadline_s:
            return False
        time.sleep(0.01)
    return True


def test_a_message_or_the_end_can_be_seen_without_taking_it(judged: Judged) -> None:
    silent, came, still_there, taken, again, ended, dead, refused = judged(messages)

    assert (silent, came, still_there, taken, again) == (False, True, True, "said", False)
    assert (ended, dead, refused) == (True, True, "the program has closed its channel")


# --- how it ends --------------------------------------------------------------------------------------------------


def size_of(_student: Any, _room: Any, text: str) -> int:
    return len(text)


def large_orders(level: Level) -> list[Any]:
    text = "x" * 3_000_000  # more than a socket takes at once
    with proven_box(level) as box:
        looked = box.has_message()
        sizes = [looked, ask(box, size_of, text), ask(box, size_of, text)]
        channel._SEND_S = 0.2
        box.send_signal(signal.SIGSTOP)
        try:
            box.send({"op": "run", "text": text})
        except BoxEnded as end:
            return [*sizes, str(end)]
    return [*sizes, "sent"]


def test_an_order_may_be_larger_than_a_socket_takes_at_once(judged: Judged) -> None:
    assert judged(large_orders) == [False, 3_000_000, 3_000_000, "the program does not read its channel"]


def become_a_daemon(_student: Any, _room: Any, keep_output: bool) -> None:
    """Fork twice, leave the session, ignore signals, and tell the grandchild's start on the channel."""
    import os
    import signal
    import sys

    if os.fork():
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_IGN)
    body = b'{"value": "daemon"}'
    os.write(int(sys.argv[1]), len(body).to_bytes(4, "big") + body)
    if not keep_output:
        os.closerange(0, 128)
    while True:
        signal.pause()


def survivors(level: Level, keep_output: bool, traced_by: str) -> tuple[list[str], int]:
    """The processes of a box just before its end, and how many there are the moment after it."""
    words = tracer.command(traced_by, level.traces / "daemon.strace") if traced_by else []
    with proven_box(level, words=words) as box:
        tell(box, become_a_daemon, keep_output)
        told = [box.receive(30.0)["value"], box.receive(30.0)["value"]]
        living = psutil.Process().children(recursive=True)
        names = [one.name() for one in living]
    after = [one for one in living if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]
    assert sorted(told, key=str) == [None, "daemon"]
    return names, len(after)


@pytest.mark.parametrize("keep_output", [True, False], ids=["holding the output", "closing everything"])
def test_leaving_a_box_ends_a_daemon_too(judged: Judged, keep_output: bool) -> None:
    names, left = judged(survivors, keep_output, "")

    assert sum(name.startswith("python") for name in names) >= 2
    assert left == 0


def test_leaving_a_traced_box_ends_a_daemon_too(judged: Judged, strace: str) -> None:
    names, left = judged(survivors, False, strace)

    assert "strace" in names
    assert left == 0


def end_by(_student: Any, _room: Any, how: str) -> str:
    import ctypes
    import os
    import signal
    import sys

    match how:
        case "itself":
            os.kill(os.getpid(), signal.SIGKILL)
        case "everything":
            os.kill(-1, signal.SIGKILL)
            return "process 1 lives, and so do I"
        case "exit":
            os._exit(7)
        case "large exit":
            os._exit(200)
        case "fault":
            ctypes.string_at(0)
        case "close":
            os.close(int(sys.argv[1]))
            signal.pause()
    return "alive"


def ending(level: Level, how: str, traced_by: str = "") -> list[Any]:
    words = tracer.command(traced_by, level.traces / "end.strace") if traced_by else []
    with proven_box(level, words=words) as box:
        match how:
            case "its program is killed":
                os.kill(box.pid, signal.SIGKILL)
            case "its outermost process is killed":
                os.kill(box.outermost_pid, signal.SIGKILL)
            case _:
                tell(box, end_by, how)
        try:
            said = str(box.receive(30.0))
        except BoxEnded as end:
            said = str(end)
        return [said, box.ended_by(), box.sigkilled().name]


@pytest.mark.parametrize(
    ("how", "ended_by", "lost"),
    [
        ("itself", "signal SIGKILL", "INSIDE"),
        ("its program is killed", "signal SIGKILL", "INSIDE"),
        ("its outermost process is killed", "signal SIGKILL", "OUTSIDE"),
        ("exit", "exit status 7", "NO"),
        ("large exit", "exit status 200", "NO"),
        ("fault", "signal SIGSEGV", "NO"),
        ("close", "it still runs, but closed its channel", "NO"),
    ],
)
def test_how_a_box_ended_is_told_and_whether_it_was_lost(judged: Judged, how: str, ended_by: str, lost: str) -> None:
    assert judged(ending, how) == ["the program has ended", ended_by, lost]


@pytest.mark.parametrize(
    ("how", "lost"), [("itself", "INSIDE"), ("its outermost process is killed", "OUTSIDE"), ("exit", "NO")]
)
def test_a_traced_box_tells_inside_from_outside_too(judged: Judged, strace: str, how: str, lost: str) -> None:
    assert judged(ending, how, strace)[2] == lost


def last_words(level: Level) -> str:
    with proven_box(level) as box:
        tell(box, print_and_end)
        try:
            return str(box.receive(30.0))
        except BoxEnded:
            box.ended_by()
            return box.output().decode()[-25:]


def print_and_end(_student: Any, _room: Any) -> None:
    import os

    os.write(1, b"x" * 60_000 + b"\nthese are my last words\n")
    os._exit(1)


def test_the_last_words_of_a_program_that_ended_are_heard(judged: Judged) -> None:
    assert [judged(last_words) for _ in range(3)] == ["\nthese are my last words\n"] * 3


# --- without a box ------------------------------------------------------------------------------------------------


def bare(level: Level, how: str) -> list[Any]:
    with open_box(level) as box:
        missing = box.prove(30.0, thorough=True)
        same = box.pid == box.outermost_pid
        tell(box, end_by, how)
        try:
            said = str(box.receive(30.0))
        except BoxEnded as end:
            said = str(end)
        return [missing, same, said, box.ended_by(), box.sigkilled().name]


@pytest.mark.parametrize(
    ("how", "ended_by", "lost"), [("itself", "signal SIGKILL", "INSIDE"), ("exit", "exit status 7", "NO")]
)
def test_a_bare_program_claims_no_protection_and_is_its_own_outermost_process(
    judged: Judged, how: str, ended_by: str, lost: str
) -> None:
    assert judged(bare, how, boxed=False) == [{}, True, "the program has ended", ended_by, lost]


def bare_and_traced(level: Level, traced_by: str) -> list[Any]:
    with open_box(level, words=tracer.command(traced_by, level.traces / "bare.strace")) as box:
        box.prove(30.0, thorough=False)
        tell(box, end_by, "itself")
        with pytest.raises(BoxEnded):
            box.receive(30.0)
        return [box.ended_by(), box.sigkilled().name]


def test_a_bare_program_that_kills_itself_takes_no_verdict_along_with_its_tracer(judged: Judged, strace: str) -> None:
    assert judged(bare_and_traced, strace, boxed=False) == ["signal SIGKILL", "INSIDE"]


def bare_end(level: Level, traced_by: str) -> bool:
    with open_box(level, words=tracer.command(traced_by, level.traces / "bare.strace")) as box:
        box.prove(30.0, thorough=False)
        program = psutil.Process(box.pid)
    return program.is_running() and program.status() != psutil.STATUS_ZOMBIE


def test_a_bare_program_ends_although_its_tracer_was_killed_first(judged: Judged, strace: str) -> None:
    assert judged(bare_end, strace, boxed=False) is False


def orphaned(level: Level) -> list[Any]:
    keeps_the_channel_open = "sleep 20 & kill -9 $$"
    with open_box(level, words=["/bin/sh", "-c", keeps_the_channel_open]) as box:
        try:
            said = str(box.receive(15.0))
        except (BoxEnded, TimeoutError) as end:
            said = str(end)
        return [said, box.alive, box.sigkilled().name]


def test_what_a_killed_tracer_leaves_behind_is_not_waited_for(judged: Judged) -> None:
    assert judged(orphaned, boxed=False) == ["the program has ended", False, "OUTSIDE"]


def remote_debugging(_student: Any, _room: Any) -> list[Any]:
    import os
    import sys

    return [os.environ.get("PYTHON_DISABLE_REMOTE_DEBUG"), sys._xoptions.get("disable-remote-debug")]


def asked_for_debugging(level: Level) -> Any:
    with proven_box(level) as box:
        return ask(box, remote_debugging)


def test_no_interpreter_in_a_box_takes_code_from_another_process(judged: Judged) -> None:
    assert judged(asked_for_debugging) == ["1", True]


# --- whom boxes run as ---------------------------------------------------------------------------------------------


@pytest.mark.skipif(os.getuid() != 0, reason="another user is only there for root")
def test_no_two_judges_have_their_boxes_run_as_the_same_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walls, "_BOX_UIDS", range(70_000 + os.getpid(), 70_002 + os.getpid()))

    with walls.box_user() as one:
        with walls.box_user() as two:
            assert {one, two} == set(walls._BOX_UIDS)
            with pytest.raises(GraderError, match=r"All 2 users.*are taken.*Grade fewer submissions at a time\."):
                walls.box_user().__enter__()
        with walls.box_user() as again:
            assert again == two


def test_without_root_boxes_run_as_oneself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 1000)

    with walls.box_user() as uid:
        assert uid is None


# --- what cannot be built -----------------------------------------------------------------------------------------


def not_started(level: Boxed, without: str) -> tuple[str, int]:
    if without == "libseccomp":
        vars(call_filter)["libseccomp"] = lambda: None
    before = len(os.listdir("/proc/self/fd"))
    try:
        open_box(replace(level, bwrap="/nowhere/bwrap"))
    except GraderError as error:
        return str(error), len(os.listdir("/proc/self/fd")) - before
    return "it was started", 0


@pytest.mark.parametrize(
    ("without", "reason"),
    [
        ("bwrap", "A box could not be started: [Errno 2] No such file or directory: '/nowhere/bwrap'."),
        ("libseccomp", "libseccomp.so.2 is missing: `sudo apt-get install -y libseccomp2`."),
    ],
)
def test_a_box_that_cannot_be_started_is_no_verdict_and_leaves_nothing_open(
    judged: Judged, without: str, reason: str
) -> None:
    assert judged(not_started, without) == [reason, 0]


def read_text(_student: Any, _room: Any, path: str) -> str:
    with open(path) as file:  # noqa: PTH123  # pathlib does the same
        return file.read()


def rebuilt(level: Boxed) -> Boxed:
    return Boxed.build(Site(staging=level.staging, bwrap=level.bwrap, canary=level.canary), uid=level.uid)


def interpreter_elsewhere(level: Boxed, prefix: str) -> str:
    """What a box reads below this prefix, when the interpreter needs it."""
    sys.base_prefix = prefix
    with proven_box(rebuilt(level)) as box:
        return str(ask(box, read_text, f"{prefix}/file"))


def test_an_interpreter_behind_a_closed_door_is_shown_to_the_box(judged: Judged) -> None:
    with tempfile.TemporaryDirectory(dir="/var/tmp") as home:  # the box has a /tmp of its own
        prefix = Path(home, "python")
        prefix.mkdir(mode=0o755)
        (prefix / "file").write_text("a library")

        assert Path(home).stat().st_mode & 0o077 == 0
        assert judged(interpreter_elsewhere, str(prefix)) == "a library"


def interpreter_nowhere(level: Boxed) -> str:
    sys.base_prefix = "/nowhere"
    try:
        rebuilt(level)
    except GraderError as error:
        return str(error)
    return "it was shown"


@pytest.mark.skipif(os.getuid() != 0, reason="only root shows the interpreter at a second place")
def test_an_interpreter_that_cannot_be_shown_is_told_with_the_cure(judged: Judged) -> None:
    assert judged(interpreter_nowhere) == (
        "The interpreter in /nowhere cannot be shown to submissions (No such file or directory). "
        "Use one below /usr: `make clean && make PYTHON=/usr/bin/python3`."
    )


@pytest.mark.skipif(os.getuid() != 0, reason="another user is only there for root")
def test_a_closed_temporary_folder_is_named_with_the_cure(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    staging = closed / "staging"
    staging.mkdir(parents=True)
    closed.chmod(0o700)

    with pytest.raises(GraderError, match=r"cannot be reached by the user.*is closed to others\. Set TMPDIR"):
        lay_out(staging, uid=60_100)
