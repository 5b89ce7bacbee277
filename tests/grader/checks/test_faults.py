"""A program that breaks whatever the judge touches: its clients, its channel, its listener, its trace, its own process.

For each way to break, one box, and in it every act of a check, one after the other: each ends in an outcome. An error
of the kit's, or of Python's, would be a verdict withheld, for which a failing student has to write but one line.
"""

import contextlib
import signal
from collections.abc import Callable
from typing import Any

import pytest

from grader.box import channel
from grader.box.levels import Level
from grader.checks import processes, program
from grader.checks.program import Program
from grader.checks.server import Server
from grader.failures import CheckFailed
from grader.measure import clients as crowd
from grader.measure.clients import Client, Crowd
from handing_in import handed_in

Judged = Callable[..., Any]

HEAD = """
import ctypes, os, select, signal, socket, struct, sys, threading, time

channel = int(sys.argv[1])
libc = ctypes.CDLL(None)

def say(text):
    os.write(channel, struct.pack(">I", len(text)) + text)

def break_it(clients, lsock):
    BREAK
"""

SERVES = (
    HEAD
    + """
def serve_tiny(lsock, handler, stop_fd):
    clients = []
    while True:
        ready, _, _ = select.select([lsock, *(c for c in clients if c.fileno() >= 0)], [], [], 600)
        for sock in ready:
            if sock is lsock:
                clients.append(lsock.accept()[0])
                continue
            for line in sock.recv(65536).split(b"\\n")[:-1]:
                if line == b"break":
                    if break_it(clients, lsock):
                        return
                elif sock.fileno() >= 0:
                    sock.sendall(handler(line) + b"\\n")
"""
)

RUNS = (
    HEAD
    + """
def scaled(number):
    if number == 1:
        threading.Thread(target=break_it, args=([], socket.socket()), daemon=True).start()
    return number
"""
)

BREAKS = {
    "resets its clients": "for c in clients: c.setsockopt(1, socket.SO_LINGER, struct.pack('ii', 1, 0)); c.close()",
    "closes its clients": "for c in clients: c.close()",
    "shuts its clients": "for c in clients: c.shutdown(socket.SHUT_RDWR)",
    "exits": "os._exit(3)",
    "kills itself": "os.kill(os.getpid(), signal.SIGKILL)",
    "stops itself": "os.kill(os.getpid(), signal.SIGSTOP)",
    "raises": "raise ValueError('\\ud800')",
    "returns": "return True",
    "sends no message": "say(b'\\xff'); say(b'[]'); say(b'')",
    "sends half a message": "os.write(channel, b'\\x00\\x00')",
    "announces too much": "os.write(channel, b'\\xff' * 9)",
    "sends others' messages": "say(b'{\"stray\": 1}'); say(b'{\"returned\": []}'); say(b'{\"probes\": {}}')",
    "sends garbled problems": 'say(b\'{"problem": 1}\'); say(b\'{"problem": {"text": [[]], "trace": 1, "kind": {}}}\')',
    "sends pauses": '[say(b\'{"paused": [1]}\') for _ in range(9)]; say(b\'{"paused": "other"}\')',
    "closes the channel": "os.close(channel)",
    "shuts the channel": "socket.socket(fileno=os.dup(channel)).shutdown(socket.SHUT_RDWR)",
    "closes the listener": "lsock.close()",
    "shuts the listener": "lsock.shutdown(socket.SHUT_RDWR)",
    "turns the listener": "lsock.shutdown(socket.SHUT_RDWR); lsock.connect_ex(('127.0.0.1', 9))",
    "unbinds the listener": "libc.shutdown(lsock.fileno(), 2); libc.connect(lsock.fileno(), b'\\x00' * 16, 16)",
    "is another program": "os.execv('/bin/sleep', ['sleep', '600'])",
    "loses its first thread": "threading.Thread(target=time.sleep, args=(600,)).start(); libc.syscall(60, 0)",
    "is called no text": "libc.prctl(15, b'\\xff\\x85\\rState:\\tZ', 0, 0, 0)",
    "forks": "[os.fork() or time.sleep(600) for _ in range(9)]",
    "leaves zombies": "[os.fork() or os._exit(0) for _ in range(9)]",
    "writes much": "os.write(1, b'\\xff\\x1b[31m' * 50_000)",
}


def impatient() -> None:
    program.ASLEEP_S, program.SILENT_S, program.SETTLED_S, program.SILENT_CPU_S = 0.03, 0.1, 0.05, 0.1
    channel._SEND_S, crowd._SLICE_S, processes.MESSAGE_S = 0.1, 0.01, 0.2


def shout(line: bytes) -> bytes:
    return line.upper()


def faults_of(acts: dict[str, Callable[[], Any]]) -> dict[str, str]:
    """Do all this; what of it ends in no outcome, and how."""
    found = {}
    for name, act in acts.items():
        try:
            act()
        except CheckFailed:
            pass
        except Exception as error:  # noqa: BLE001  # that there is none is what is tested
            found[name] = repr(error)
    return found


def looks(one: Program) -> dict[str, Callable[[], Any]]:
    """What a check sees of any program."""

    def counted() -> int | float | None:
        with one.counting() as calls:
            one.settle()
        return calls.total().value

    def stopped() -> None:
        with one.stopped():
            one.settle()

    plain = ("cpu_s", "threads", "open_fds", "rss_bytes", "switches", "children", "zombies", "processes", "printed")
    acts = {name: getattr(one, name) for name in (*plain, "busy_s", "check_alive", "check_ending", "settle")}
    return {
        **acts,
        "mappings": lambda: one.mappings("[heap]"),
        "wait_until": lambda: one.wait_until(lambda: False),
        "counting": counted,
        "stopped": stopped,
        "signal": lambda: one.signal(signal.SIGCONT),
    }


def acts_on(server: Server, client: Client, everybody: Crowd) -> dict[str, Callable[[], Any]]:
    def newcomer() -> None:
        with server.client() as another:
            another.ask(b"new", b"NEW")

    def more() -> None:
        with server.crowd(2) as another:
            another.ask_each()

    return {
        "send": lambda: client.send(b"x\n"),
        "send much": lambda: client.send(b"x" * (8 << 20)),
        "read_line": client.read_line,
        "read_exactly": lambda: client.read_exactly(9),
        "ask": lambda: client.ask(b"x", b"X"),
        "half_close": client.half_close,
        "closed": client.closed,
        "read_until_closed": client.read_until_closed,
        "ask_each": everybody.ask_each,
        "ask_serially": lambda: everybody.ask_serially(2),
        "queue_each": everybody.queue_each,
        "collect": everybody.collect,
        "leave": lambda: everybody.leave(everybody.clients[:1]),
        "not_accepted": server.not_accepted,
        "client": newcomer,
        "crowd": more,
        "more": lambda: server.add_clients(everybody, 2),
        "has_returned": server.has_returned,
        **looks(server),
        "kill": lambda: server.kill(server.pid + 1),
        "reset": client.reset,
        "returned": lambda: server.returned("now"),
        "SIGTERM": lambda: server.signal(signal.SIGTERM),
        "stop": server.stop,
        "kill it": lambda: server.kill(server.pid),
    }


def serving(level: Level, how: str, strace: str) -> dict[str, str]:
    impatient()
    submission = handed_in(level, SERVES.replace("BREAK", BREAKS[how]), strace=strace)
    found: dict[str, str] = {}

    def check() -> None:
        with submission.serve(shout, traced=True) as server, server.client() as client, server.crowd(3) as everybody:
            client.ask(b"before", b"BEFORE")
            everybody.ask_each()
            client.send(b"break\n")
            with contextlib.suppress(CheckFailed):
                server.settle()
            found.update(faults_of(acts_on(server, client, everybody)))

    return {**faults_of({"the whole": check}), **found}


@pytest.mark.parametrize("how", BREAKS)
def test_whatever_a_server_breaks_each_act_ends_in_an_outcome(judged: Judged, strace: str, how: str) -> None:
    assert judged(serving, how, strace) == {}


def pauses(student: Any, room: Any) -> int:
    student.scaled(1)
    room.pause("held")
    room.pause("free")
    return int(student.scaled(2))


def running(level: Level, how: str, strace: str) -> dict[str, str]:
    impatient()
    submission = handed_in(level, RUNS.replace("BREAK", BREAKS[how]), strace=strace)
    found: dict[str, str] = {}

    def check() -> None:
        with submission.running(pauses, traced=True) as run:
            acts = {
                "until": lambda: run.until("held"),
                **looks(run),
                "go": run.go,
                "until free": lambda: run.until("free"),
                "calls": lambda: run.calls().total(),
                "kill": lambda: run.signal(signal.SIGKILL),
                "go on": run.go,
                "result": run.result,
            }
            found.update(faults_of(acts))

    return {**faults_of({"the whole": check}), **found}


@pytest.mark.parametrize("how", [how for how, does in BREAKS.items() if "lsock" not in does and "clients" not in does])
def test_whatever_a_scenario_breaks_each_act_ends_in_an_outcome(judged: Judged, strace: str, how: str) -> None:
    assert judged(running, how, strace) == {}
