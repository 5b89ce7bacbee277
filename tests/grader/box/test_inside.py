"""The program in the box, run as it is, without a wall, by each Python that is here: its words on the channel.

What it proves of a wall is tested where walls are (test_sandbox.py); here is what it does with a submission.
"""

import ctypes
import errno
import inspect
import json
import os
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from grader.box import inside
from grader.box.inside import Channel

PATIENCE_S = 60.0
INSIDE = str(Path(inside.__file__))


def interpreter(version: str) -> str | None:
    """A Python of this version: the tests' own, one that pyenv keeps, or one on the PATH."""
    if version == f"{sys.version_info[0]}.{sys.version_info[1]}":
        return sys.executable
    home = Path(os.path.expanduser("~"))  # noqa: PTH111  # Path.home() raises for a user who has none
    kept = sorted(home.glob(f".pyenv/versions/{version}.*/bin/python{version}"))
    return str(kept[-1]) if kept else shutil.which(f"python{version}")


HERE = {version: found for version in ("3.11", "3.12", "3.13", "3.14") if (found := interpreter(version))}


@pytest.fixture(scope="module", params=HERE)
def python(request: pytest.FixtureRequest) -> str:
    """Each version that the kit supports and this machine has."""
    found = HERE[request.param]
    if subprocess.run([found, "-I", "-c", ""], capture_output=True, check=False).returncode != 0:
        pytest.skip(f"{found} does not run here")  # such as what pyenv puts on the PATH for a version it has not chosen
    return found


@contextmanager
def program(python: str, fds: tuple[int, ...] = (), **start: Any) -> Iterator[Channel]:
    """inside.py, started as in a bare box."""
    near, far = socket.socketpair()
    near.settimeout(PATIENCE_S)
    with near, far:
        words = [python, "-I", "-B", INSIDE, str(far.fileno())]
        with subprocess.Popen(words, pass_fds=[far.fileno(), *fds], stdout=subprocess.PIPE) as process:
            far.close()
            channel = Channel(near)
            channel.send({"op": "start", "limits": {}, "boxed": False, **start})
            try:
                assert channel.receive() == {"probes": {}, "pid": process.pid}
                yield channel
            finally:
                near.close()
                if process.wait(PATIENCE_S) < 0:
                    process.kill()


def asked(channel: Channel, order: dict[str, Any]) -> dict[str, Any]:
    channel.send(order)
    answer = channel.receive()
    assert answer is not None, "the program has ended"
    return answer


def load(channel: Channel, folder: Path, source: str, **order: Any) -> dict[str, Any]:
    """Hand in one file and have it imported."""
    folder.mkdir(exist_ok=True)
    (folder / "student.py").write_text(textwrap.dedent(source))
    words = {"op": "load", "folder": str(folder), "module": "student", "path": [str(folder)], "poison": {}}
    return asked(channel, {**words, **order})


def run(channel: Channel, scenario: Callable[..., Any], *arguments: Any, folder: Path | str = "/") -> dict[str, Any]:
    source = textwrap.dedent(inspect.getsource(scenario))
    order = {"op": "run", "source": source, "function": scenario.__name__, "folder": str(folder)}
    return asked(channel, {**order, "arguments": arguments, "marks": "/mark/0"})


# --- loading ------------------------------------------------------------------------------------------------------


def test_what_is_handed_in_is_imported_and_run_and_nothing_is_written_beside_it(python: str, tmp_path: Path) -> None:
    def doubled(student: Any, _room: Any, number: int) -> int:
        return int(student.double(number))

    with program(python) as channel:
        loaded = load(channel, tmp_path / "in", "def double(number):\n    return 2 * number\n")
        values = [run(channel, doubled, number)["value"] for number in (1, 21)]

    assert loaded == {"loaded": True}
    assert values == [2, 42]
    assert [path.name for path in (tmp_path / "in").iterdir()] == ["student.py"]


def test_a_file_beside_it_shadows_no_library_and_given_files_come_first(python: str, tmp_path: Path) -> None:
    given = tmp_path / "given"
    given.mkdir()
    (given / "helper.py").write_text("WHOSE = 'given'\n")
    handed_in = tmp_path / "in"
    handed_in.mkdir()
    (handed_in / "helper.py").write_text("WHOSE = 'handed in'\n")
    (handed_in / "statistics.py").write_text("mean = 'a shadow'\n")

    def origins(student: Any, _room: Any) -> list[str]:
        return [student.helper.WHOSE, type(student.statistics.mean).__name__]

    with program(python) as channel:
        load(channel, handed_in, "import helper, statistics\n", path=[str(given), str(handed_in)])
        assert run(channel, origins)["value"] == ["given", "function"]


RAISED = {
    "import os\n\nprint(undefined)\n": (
        "NameError: name 'undefined' is not defined",
        "student.py:3 in <module>: print(undefined)",
    ),
    "def serve(:\n    pass\n": ("SyntaxError: invalid syntax", "student.py:1: def serve(:"),
    "if True:\npass\n": (
        "IndentationError: expected an indented block after 'if' statement on line 1",
        "student.py:2: pass",
    ),
    "raise SystemExit('enough')\n": ("SystemExit: enough", "student.py:1 in <module>: raise SystemExit('enough')"),
    "error = ValueError('first line\\nsecond line')\nerror.add_note('a note')\nraise error\n": (
        "ValueError: first line",
        "student.py:3 in <module>: raise error",
    ),
    "class Mute(Exception):\n    def __str__(self):\n        raise Mute\nraise Mute\n": (
        "student.Mute: <exception str() failed>",
        "student.py:4 in <module>: raise Mute",
    ),
}


def test_what_an_import_raises_is_told_in_one_line_with_the_students_own(python: str, tmp_path: Path) -> None:
    with program(python) as channel:
        found = [load(channel, tmp_path / "in", source)["problem"] for source in RAISED]

    assert {problem["kind"] for problem in found} == {"raised"}
    told = [(problem["text"], *(text for text, _, _ in problem["trace"])) for problem in found]
    assert told == list(RAISED.values())
    assert [problem["trace"][-1][1:] for problem in found] == [["student.py", line] for line in (3, 1, 2, 1, 3, 4)]
    assert [problem["exception"] for problem in found[-1:]] == ["Mute"]


def test_only_the_students_own_frames_are_told_and_not_too_many(python: str, tmp_path: Path) -> None:
    def call(student: Any, _room: Any) -> None:
        student.through_a_library(300)

    source = """
        import functools
        def through_a_library(depth):
            functools.reduce(lambda a, b: deeper(depth), [1, 2])
        def deeper(depth):
            return deeper(depth - 1) if depth else 1 / 0
    """

    with program(python) as channel:
        load(channel, tmp_path / "in", source)
        problem = run(channel, call, folder=tmp_path / "in")["problem"]

    assert problem["text"] == "ZeroDivisionError: division by zero"
    row = ["student.py:6 in deeper: return deeper(depth - 1) if depth else 1 / 0", "student.py", 6]
    assert problem["trace"] == [row] * 12
    assert (problem["exception"], problem["says"], problem["errno"]) == ("ZeroDivisionError", "division by zero", None)


def test_a_problem_is_cut_before_it_is_sent() -> None:
    problem = inside.problem("raised", "x" * 5000, [("y" * 500, "a.py", 7)] * 20, exception="E", says="z")

    rows = [("y" * 300, "a.py", 7)] * 12
    assert problem == {"kind": "raised", "text": "x" * 2000, "trace": rows, "exception": "E", "says": "z"}


# --- what an exercise does without --------------------------------------------------------------------------------

REASONS = {"asyncio": "write the loop yourself", "selectors": "use epoll itself", "concurrent.futures": "one thread"}
FORBIDDEN = {
    "import asyncio": "asyncio is not allowed here: write the loop yourself",
    "import asyncio.events": "asyncio is not allowed here: write the loop yourself",
    "__import__('asyn' + 'cio')": "asyncio is not allowed here: write the loop yourself",
    "from concurrent.futures import ThreadPoolExecutor": "concurrent.futures is not allowed here: one thread",
    "import selectors\nselectors.DefaultSelector()": "selectors is not allowed here: use epoll itself",
    "import selectors\nselectors.SelectSelector()": "selectors is not allowed here: use epoll itself",
}


def test_a_library_that_an_exercise_does_without_is_refused_with_the_reason(python: str, tmp_path: Path) -> None:
    with program(python) as channel:
        found = [load(channel, tmp_path / "in", source, poison=REASONS)["problem"] for source in FORBIDDEN]

    assert {problem["kind"] for problem in found} == {"forbidden"}
    assert [problem["text"].partition(": ")[2] for problem in found] == list(FORBIDDEN.values())


def test_all_other_libraries_can_be_imported(python: str, tmp_path: Path) -> None:
    source = "import concurrent, socket, select, selectors, threading, asyncore_is_none_of_them as ours\n"
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "asyncore_is_none_of_them.py").touch()

    with program(python) as channel:
        assert load(channel, folder, source, poison=REASONS) == {"loaded": True}


# --- scenarios ----------------------------------------------------------------------------------------------------


def test_a_scenario_is_told_what_it_gives_or_why_it_does_not(python: str, tmp_path: Path) -> None:
    def strange(_student: Any, _room: Any, kind: str) -> object:
        return {"bytes": b"x", "set": {1}, "text": "\ud800", "large": "x" * (1 << 20), "nothing": None}[kind]

    with program(python) as channel:
        load(channel, tmp_path / "in", "")
        told = {kind: run(channel, strange, kind) for kind in ("bytes", "set", "text", "large", "nothing")}

    assert told["bytes"]["problem"]["text"] == "TypeError: Object of type bytes is not JSON serializable"
    assert told["set"]["problem"]["text"] == "TypeError: Object of type set is not JSON serializable"
    assert told["text"] == {"value": "\ud800"}
    assert told["large"]["problem"]["text"] == "the result is larger than 1 MiB"
    assert told["nothing"] == {"value": None}


def test_the_annotations_of_a_scenario_may_name_what_stays_behind(python: str, tmp_path: Path) -> None:
    def annotated(_student: Any, _room: Any, path: Path) -> Iterator[Path]:
        return path  # type: ignore[return-value]

    with program(python) as channel:
        load(channel, tmp_path / "in", "")
        assert run(channel, annotated, "as it is") == {"value": "as it is"}


def test_files_that_a_submission_makes_are_its_own(python: str, tmp_path: Path) -> None:
    def make(_student: Any, _room: Any, path: str) -> None:
        with open(path, "w"):  # noqa: PTH123  # pathlib does the same
            pass

    with program(python) as channel:
        load(channel, tmp_path / "in", "")
        run(channel, make, str(tmp_path / "made"))

    assert (tmp_path / "made").stat().st_mode & 0o777 == 0o600


def test_limits_are_lowered_for_good_and_never_raised(python: str, tmp_path: Path) -> None:
    def limits(_student: Any, _room: Any) -> list[Any]:
        import resource

        return [resource.getrlimit(resource.RLIMIT_NOFILE), resource.getrlimit(resource.RLIMIT_CORE)]

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with program(python, limits={"NOFILE": 99, "CORE": 0}) as channel:
        assert run(channel, limits)["value"] == [[99, 99], [0, 0]]
    with program(python, limits={"NOFILE": hard + 1, "CORE": 0}) as channel:
        assert run(channel, limits)["value"] == [[hard, hard], [0, 0]]


# --- serving ------------------------------------------------------------------------------------------------------


@contextmanager
def served(python: str, folder: Path, server: str, **order: Any) -> Iterator[tuple[Channel, socket.socket, int]]:
    """A channel, a connection, and the writing end of what stops the server."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        reading, writing = os.pipe()
        try:
            with program(python, (listener.fileno(), reading)) as channel:
                load(channel, folder, server)
                words = {"op": "serve", "module": "student", "folder": str(folder), "entry": "serve"}
                places = {"listen_fd": listener.fileno(), "arguments": [reading], "source": "", "handler": ""}
                assert asked(channel, {**words, **places, **order}) == {"serving": True}
                with socket.create_connection(listener.getsockname(), timeout=PATIENCE_S) as client:
                    yield channel, client, writing
        finally:
            os.close(reading)
            os.close(writing)


SERVER = """
    import os
    def serve(lsock, handler, stop_fd):
        connection, _ = lsock.accept()
        with connection, connection.makefile("rb") as lines:
            for line in lines:
                connection.sendall(handler(line.rstrip()) + b"\\n")
        os.read(stop_fd, 1)
"""


def test_a_server_answers_by_the_shipped_handler_and_its_return_is_told(python: str, tmp_path: Path) -> None:
    handler = "def shout(line: Bytes) -> Bytes:\n    return line.upper()\n"
    with served(python, tmp_path / "in", SERVER, source=handler, handler="shout") as (channel, client, stop):
        client.sendall(b"hello\n")
        reply = client.recv(100)
        client.shutdown(socket.SHUT_WR)
        os.write(stop, b"!")

        assert reply == b"HELLO\n"
        assert channel.receive() == {"returned": True}


def test_what_a_server_raises_is_told_with_its_line(python: str, tmp_path: Path) -> None:
    handler = "def refuse(line):\n    raise KeyError('no')\n"
    with served(python, tmp_path / "in", SERVER, source=handler, handler="refuse") as (channel, client, _stop):
        client.sendall(b"hello\n")
        answer = channel.receive()

    assert answer is not None
    assert answer["problem"]["text"] == "KeyError: 'no'"
    assert [text for text, _, _ in answer["problem"]["trace"]] == [
        'student.py:7 in serve: connection.sendall(handler(line.rstrip()) + b"\\n")',
    ]


def test_a_server_without_its_function_is_told(python: str, tmp_path: Path) -> None:
    with program(python) as channel:
        load(channel, tmp_path / "in", "serve = 7\n")
        answer = asked(channel, {"op": "serve", "module": "student", "folder": "/", "entry": "serve"})

    assert answer["problem"]["kind"] == "missing"
    assert answer["problem"]["text"] == "student.py has no function serve"


# --- the channel --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sent", [b"", b"\0\0", struct.pack(">I", 10) + b"{}", struct.pack(">I", 0)])
def test_a_channel_that_ends_early_has_no_message(sent: bytes) -> None:
    near, far = socket.socketpair()
    with near, far:
        far.sendall(sent)
        far.close()

        assert Channel(near).receive() is None


def test_the_program_ends_when_its_judge_goes(python: str) -> None:
    near, far = socket.socketpair()
    with far:
        process = subprocess.Popen([python, "-I", "-B", INSIDE, str(far.fileno())], pass_fds=[far.fileno()])
    near.close()

    assert process.wait(PATIENCE_S) == 0


def test_it_imports_nothing_that_a_box_does_not_need(python: str) -> None:
    asks = f"import sys; sys.path.insert(0, {str(Path(INSIDE).parent)!r}); import inside; print(*sys.modules)"
    loaded = subprocess.run([python, "-I", "-B", "-c", asks], capture_output=True, text=True, check=True).stdout.split()

    assert "json" in loaded
    assert {"typing", "asyncio", "ctypes", "inspect"}.isdisjoint(loaded)


# --- Landlock -----------------------------------------------------------------------------------------------------


def landlocked(writable: str, elsewhere: str, abstract: str, judge_pid: int) -> dict[str, Any]:
    """What can still be done by a process that has confined itself."""
    import ctypes
    import os
    import socket
    from pathlib import Path

    from grader.box import inside

    def refused(act: Callable[[], object]) -> str:
        try:
            act()
        except OSError as error:
            return str(error.strerror)
        return ""

    def connect() -> None:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(b"\0" + abstract.encode())

    return {
        "abi": inside.enter_landlock(ctypes.CDLL(None, use_errno=True), [writable]),
        "write": refused(Path(writable, "made").mkdir),
        "elsewhere": refused(Path(elsewhere, "made").mkdir),
        "unlink": refused(Path(elsewhere, "file").unlink),
        "overwrite": refused(lambda: os.close(os.open(elsewhere + "/file", os.O_WRONLY))),
        "read": refused(lambda: os.close(os.open(elsewhere + "/file", os.O_RDONLY))),
        "null": refused(lambda: os.close(os.open("/dev/null", os.O_WRONLY))),
        "connect": refused(connect),
        "signal": refused(lambda: os.kill(judge_pid, 0)),
        "memory": refused(lambda: os.close(os.open(f"/proc/{judge_pid}/mem", os.O_RDONLY))),
    }


def landlock_abi() -> int:
    return int(ctypes.CDLL(None).syscall(444, None, 0, 1))  # landlock_create_ruleset(2), the version's flag


@pytest.mark.skipif(landlock_abi() < 1, reason="this kernel has no Landlock")
def test_landlock_leaves_one_folder_to_write_to_and_nobody_outside_to_touch(tmp_path: Path) -> None:
    writable, elsewhere = tmp_path / "writable", tmp_path / "elsewhere"
    writable.mkdir()
    elsewhere.mkdir()
    (elsewhere / "file").touch()
    head = "from __future__ import annotations\nimport json, sys\n"
    source = f"{head}{inspect.getsource(landlocked)}\nprint(json.dumps(landlocked(*json.loads(sys.argv[1]))))"
    with socket.socket(socket.AF_UNIX) as local:
        abstract = f"tests-{os.getpid()}"
        local.bind(f"\0{abstract}")
        local.listen()
        arguments = json.dumps([str(writable), str(elsewhere), abstract, os.getpid()])
        done = subprocess.run(
            [sys.executable, "-c", source, arguments], capture_output=True, text=True, check=False, timeout=PATIENCE_S
        )

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    scoped = landlock_abi() >= 6
    denied = "Permission denied"
    assert found == {
        "abi": landlock_abi(),
        "write": "",
        "elsewhere": denied,
        "unlink": denied,
        "overwrite": denied,
        "read": "",
        "null": "",
        "connect": "Operation not permitted" if scoped else "",
        "signal": "Operation not permitted" if scoped else "",
        "memory": denied,
    }


# --- what else it tells -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "named", "meant"),
    [
        ("def frob():\n    return 1\nfrbo()\n", "frbo", "frob"),
        ("class It:\n    errors = ()\n    def f(self):\n        return errors\nIt().f()\n", "errors", "self.errors"),
        ("import queue\nqueue.Qeue\n", "Qeue", "Queue"),
        ("from queue import Quue\n", "Quue", "Queue"),
        ("import nothing_like_it\n", "nothing_like_it", ""),
        ("''.joni\n", "joni", "join"),
        ("class It:\n    def __dir__(self):\n        raise ValueError\nIt().x\n", "", ""),
        ("raise AttributeError('no name')\n", "", ""),
        ("raise NameError(name=7)\n", "7", ""),
        ("1 / 0\n", "", ""),
    ],
)
def test_a_name_that_was_not_found_is_told_with_the_one_that_was_meant(
    python: str, tmp_path: Path, source: str, named: str, meant: str
) -> None:
    with program(python) as channel:
        problem = load(channel, tmp_path / "in", source)["problem"]

    assert (problem["named"], problem["meant"]) == (named, meant)


def test_a_program_out_of_descriptors_is_told_with_its_own_line(python: str, tmp_path: Path) -> None:
    def call(student: Any, _room: Any) -> None:
        student.opens()

    source = """
        import os
        def opens():
            while True:
                os.open("/", os.O_RDONLY)
    """

    with program(python) as channel:
        channel.send({"op": "lend", "fds": [], "limits": {"NOFILE": 30}})
        load(channel, tmp_path / "in", source)
        problem = run(channel, call, folder=tmp_path / "in")["problem"]

    row = ['student.py:5 in opens: os.open("/", os.O_RDONLY)', "student.py", 5]
    assert (problem["errno"], problem["trace"]) == (errno.EMFILE, [row])


WAITS = """
    import time
    def outer(number):
        return (inner(number),
                1)
    def inner(number):
        {body}
"""


@pytest.mark.parametrize(
    ("body", "call"),
    [
        ("time.sleep(600)", "sleep"),
        ("[].append(time.sleep(600))", "sleep"),
        ("while True: pass", ""),
        ("while True: number += 1", ""),
    ],
)
def test_where_a_program_is_it_tells_when_it_is_asked(python: str, tmp_path: Path, body: str, call: str) -> None:
    def begins(student: Any, room: Any) -> None:
        import os

        room.ask(os.getpid())
        student.outer(0)

    with program(python) as channel:
        load(channel, tmp_path / "in", WAITS.format(body=body))
        pid = run(channel, begins, folder=tmp_path / "in")["ask"]
        channel.send({"op": "answer", "value": None})
        told: dict[str, Any] = {}
        while 7 not in [row[2] for row in told.get("where", [])]:  # asked before, it is in another line or in none
            os.kill(pid, inside.WHERE_SIGNAL)
            told = channel.receive() or {}
        os.kill(pid, signal.SIGKILL)

    code = body.partition(": ")[2] if ":" in body else body
    assert [row[2] for row in told["where"]][-1] == 4
    assert code in told["where"][0][0]
    assert told["call"] == call
