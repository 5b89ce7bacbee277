"""Tasks that wait for descriptors: what they do in the box, and what the judge writes to them and hears of them
meanwhile.
"""

from __future__ import annotations  # of the functions within scenarios, which are shipped without what they would name

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from random import Random
from typing import Any

from task_programs import nonce
from typing_extensions import TypedDict

from grader.checks import Run, require


@contextmanager
def wires(count: int) -> Iterator[tuple[list[socket.socket], list[int]]]:
    """Connections: the judge's ends, and the descriptors of the tasks' ends. Nothing on them blocks, and a message
    stays whole."""
    pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(count)]
    try:
        for end in (end for pair in pairs for end in pair):
            end.setblocking(False)
        yield [near for near, _ in pairs], [far.fileno() for _, far in pairs]
    finally:
        for end in (end for pair in pairs for end in pair):
            end.close()


def write_to(wire: socket.socket, word: str) -> None:
    """A message for a task. A program that has shut its end down gets none, as who listens for an answer will find."""
    with suppress(OSError):
        wire.send(word.encode())


def hear(run: Run, wire: socket.socket, rule: str) -> str:
    """The next message that a task sends.

    Raises:
        CheckFailed: none comes.
    """
    heard: list[bytes] = []

    def listen() -> bool:
        over = run.has_ended()  # looked at before the wire: what was sent until then is there
        with suppress(BlockingIOError):
            heard.append(wire.recv(2000))
        return over or bool(heard)

    run.wait_until(listen, expected=rule)
    if not heard:
        run.result()
    require(heard, expected=rule, seen="run() returned, and nothing of it had happened")
    return heard[0].decode(errors="backslashreplace")


def drained(run: Run, full: socket.socket, rule: str) -> str:
    """What follows the zeros that fill a wire."""
    while not (got := hear(run, full, rule).strip("\0")):
        pass
    return got


def hand_on(student: Any, room: Any, judges: list[int], messages: list[list[int]]) -> list[str]:
    """At each of the judge's wires: pairs of tasks, one after another, of which one hands on what comes to the other,
    which turns it round. A pair talks through sockets of its own and closes them; the next one gets their numbers."""
    import socket

    from traps import Readable

    scheduler = student.Scheduler()

    def receive(sock: Any, wire: Any) -> Any:
        yield Readable(sock.fileno())
        try:
            return sock.recv(1000)
        except BlockingIOError:
            wire.send(b"a task went on, and there was nothing to read")
            return b""

    def asks(sock: Any, wire: Any, count: int) -> Any:
        for _ in range(count):
            word = yield from receive(wire, wire)
            sock.send(word or b"?")
            wire.send((yield from receive(sock, wire)) or b"?")
        sock.close()

    def answers(sock: Any, wire: Any, counts: list[int]) -> Any:
        while got := (yield from receive(sock, wire)):
            sock.send(got[::-1])
        sock.close()
        if counts:
            start_pair(wire, counts)

    def start_pair(wire: Any, counts: list[int]) -> None:
        here, there = socket.socketpair()
        here.setblocking(False)
        there.setblocking(False)
        scheduler.spawn(answers(there, wire, counts[1:]))  # first, so that it waits before there is anything
        scheduler.spawn(asks(here, wire, counts[0]))

    for fd, counts in zip(judges, messages, strict=True):
        start_pair(socket.socket(fileno=fd), counts)
    scheduler.run()
    return [repr(error) for error in scheduler.errors]


def fill(student: Any, room: Any, full: int, told: int) -> list[str]:
    """A task fills a wire, waits for room, and sends what the judge has told it on the other one."""
    import contextlib
    import socket

    from traps import Readable, Writable

    scheduler = student.Scheduler()
    wire, judge = socket.socket(fileno=full), socket.socket(fileno=told)

    def fills() -> Any:
        yield Readable(told)
        word = judge.recv(1000)
        with contextlib.suppress(BlockingIOError):
            while wire.send(bytes(1000)):
                pass
        judge.send(b"it is full")
        yield Writable(full)
        try:
            wire.send(word)
        except BlockingIOError:
            judge.send(b"a task went on, and there was no room to write")

    scheduler.spawn(fills())
    scheduler.run()
    return [repr(error) for error in scheduler.errors]


def no_error(errors: list[str]) -> None:
    require(
        not errors,
        expected="no task fails: each read and write succeeds that a task has waited for",
        seen="; ".join(errors),
    )


def wait_both_ways(student: Any, room: Any, both: int, told: int, reads: int) -> list[str]:
    import contextlib
    import socket

    from traps import Readable, Writable

    scheduler = student.Scheduler()
    wire, judge = socket.socket(fileno=both), socket.socket(fileno=told)

    def writer() -> Any:
        with contextlib.suppress(BlockingIOError):
            while wire.send(bytes(1000)):
                pass
        judge.send(b"it is full")
        yield Writable(both)
        judge.send(b"the writer goes on")

    def reader() -> Any:
        for _ in range(reads):
            yield Readable(both)
            judge.send(b"the reader has " + wire.recv(1000))

    scheduler.spawn(writer())
    scheduler.spawn(reader())
    scheduler.run()
    return [repr(error) for error in scheduler.errors]


def wait_for_the_end(student: Any, room: Any, reading: int, writing: int, told: int, words: list[str]) -> list[str]:
    import contextlib
    import os

    from traps import Readable, Writable

    scheduler = student.Scheduler()

    def reads() -> Any:
        yield Readable(reading)
        os.write(told, f"{words[0]} {os.read(reading, 10)!r}".encode())

    def writes() -> Any:
        with contextlib.suppress(BlockingIOError):
            while os.write(writing, bytes(4096)):
                pass
        yield Writable(writing)
        try:
            os.write(writing, b"!")
        except OSError as error:
            os.write(told, f"{words[1]} {type(error).__name__}".encode())

    scheduler.spawn(reads())
    scheduler.spawn(writes())
    scheduler.run()
    return [repr(error) for error in scheduler.errors]


def doze(student: Any, room: Any, judge: int, told: int) -> None:
    import socket
    import time

    from traps import Join, Readable, Sleep

    wire, tells = socket.socket(fileno=judge), socket.socket(fileno=told)

    def sleeps(seconds: float) -> Any:
        yield Sleep(seconds)

    def sleeps_until(due_s: float) -> Any:  # so that deadlines are the same, whenever a task takes its first step
        yield Sleep(max(0.0, due_s - time.monotonic()))

    scheduler = student.Scheduler()  # so that what is imported late is there
    scheduler.spawn(sleeps(0.001))
    scheduler.run()

    naps_s = room.pause("sleepers")
    scheduler, began_s = student.Scheduler(), time.monotonic()
    for seconds in naps_s:
        scheduler.spawn(sleeps_until(began_s + seconds))
    scheduler.run()

    def joins(task: Any, word: bytes) -> Any:
        yield Join(task)
        tells.send(word)

    def reads() -> Any:
        while True:
            yield Readable(judge)
            tells.send(wire.recv(1000)[::-1])

    soon_s = room.pause("mixed")
    scheduler = student.Scheduler()
    scheduler.spawn(reads())
    scheduler.spawn(joins(scheduler.spawn(sleeps(soon_s)), b"soon"))
    scheduler.spawn(joins(scheduler.spawn(sleeps(3600.0)), b"in an hour"))
    scheduler.run()


def hears_meanwhile(run: Run, judge: socket.socket, told: socket.socket, rng: Random) -> float:
    """Two messages to the task that reads, each when the program sleeps, and the end of the short sleep: its time."""
    heard: dict[str, float] = {}
    due = ["soon"]

    def wait_for(word: str, rule: str) -> None:
        while word not in heard:
            got = hear(run, told, rule)
            require(
                got in due, expected="bytes that come for one task wake no sleeper, and come to that task", seen=got
            )
            heard[got] = time.monotonic()

    for _ in range(2):
        run.settle()
        word = nonce(rng)
        write_to(judge, word)
        due.append(word[::-1])
        wait_for(word[::-1], "while others sleep, a task that waits for a descriptor goes on when bytes have come")
    wait_for("soon", "the task that joins a sleeper goes on when that is done")
    return heard["soon"]


class Crowded(TypedDict):
    before_read: int
    before_write: int
    before_timer: int
    word: str


def crowd_out(  # noqa: C901 - a scenario stands alone
    student: Any, room: Any, cap: int, lead: int, judge: int, full: int
) -> Crowded:
    import contextlib
    import os
    import time

    from traps import Readable, Sleep, Writable

    words: list[str] = []

    def reads() -> Any:
        yield Readable(judge)
        words.append(os.read(judge, 100).decode())

    def writes() -> Any:
        with contextlib.suppress(BlockingIOError):
            while os.write(full, bytes(1000)):
                pass
        yield Writable(full)
        words.append("writes")

    def switches_before(task: Any, pause: str) -> int:
        scheduler, switches, before = student.Scheduler(), 0, len(words)

        def spins() -> Any:
            nonlocal switches
            for _ in range(lead):
                yield
            room.pause(pause)
            while len(words) == before and switches < cap:
                switches += 1
                yield

        scheduler.spawn(task)
        scheduler.spawn(spins())
        scheduler.run()
        return switches

    def switches_before_timer() -> int:
        scheduler, switches, woken, due_s = student.Scheduler(), 0, False, float("inf")

        def sleeps() -> Any:
            nonlocal due_s, woken
            due_s = time.monotonic() + 0.02
            yield Sleep(0.02)
            woken = True

        def spins() -> Any:
            nonlocal switches
            while time.monotonic() < due_s + 0.03 and not woken:
                yield
            while not woken and switches < cap:
                switches += 1
                yield

        scheduler.spawn(sleeps())
        scheduler.spawn(spins())
        scheduler.run()
        return switches

    before_read, before_write = switches_before(reads(), "write"), switches_before(writes(), "drain")
    return {
        "before_read": before_read,
        "before_write": before_write,
        "before_timer": switches_before_timer(),
        "word": words[0] if words else "",
    }
