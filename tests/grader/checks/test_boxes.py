"""Boxes that are started ahead: which is taken, what it is lent, and what becomes of one that died while it waited."""

import contextlib
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from grader.box.box import Box
from grader.box.levels import Level
from grader.checks.boxes import Boxes, Kind
from grader.errors import GraderError
from handing_in import failure_of, handed_in

Judged = Callable[..., Any]

PLAIN = Kind(traced=False)


def some_boxes(level: Level, *, ahead: bool = True) -> Boxes:
    boxes = handed_in(level, "").boxes
    boxes.ahead = frozenset([False]) if ahead else frozenset()
    return boxes


@contextlib.contextmanager
def furnished(boxes: Boxes, kind: Kind, fds: Sequence[int] = (), open_files: int | None = None) -> Iterator[Box]:
    with contextlib.closing(boxes.take(kind)) as fresh:
        boxes.furnish(fresh, fds, open_files, "a_box")
        yield fresh.box


def waiting(boxes: Boxes) -> list[int]:
    return [fresh.box.outermost_pid for fresh in boxes._waiting.values()]


def ask(box: Box, source: str, *arguments: object) -> Any:
    """What `def act(student, room, *arguments)` gives in the box."""
    box.send({"op": "run", "source": source, "function": "act", "arguments": arguments, "folder": "/box"})
    return box.receive(30.0)["value"]


def one_behind_another(level: Level) -> list[Any]:
    boxes = some_boxes(level)
    with furnished(boxes, PLAIN) as first:
        ahead = waiting(boxes)
        other_kind = Kind(traced=False, inject=("fsync:error=EIO",))
        with furnished(boxes, other_kind) as other:
            pids = [first.outermost_pid, other.outermost_pid]
    with furnished(boxes, PLAIN) as second:
        taken = second.outermost_pid
        last = waiting(boxes)
    boxes.close()
    return [ahead == [taken], taken in pids, len(last), waiting(boxes), [is_there(pid) for pid in (*pids, *last)]]


def is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_the_next_box_of_a_kind_is_started_when_one_is_taken_and_none_is_left_at_the_end(judged: Judged) -> None:
    assert judged(one_behind_another) == [True, False, 1, [], [False] * 3]


def guessed_wrong(level: Level) -> list[Any]:
    boxes = some_boxes(level)
    boxes.start_ahead()
    (pid,) = waiting(boxes)
    boxes.start_ahead()
    again = waiting(boxes)
    with furnished(boxes, Kind(traced=False, inject=("fsync:error=EIO",))) as box:
        found = [again == [pid], box.outermost_pid != pid, waiting(boxes) == [pid]]
    boxes.close()
    return [*found, is_there(pid)]


def test_a_box_that_nobody_takes_waits_on_and_goes_at_the_end(judged: Judged) -> None:
    assert judged(guessed_wrong) == [True, True, True, False]


def cannot_be_started(level: Level) -> list[Any]:
    boxes = some_boxes(level)
    boxes.strace = "/nowhere/strace"
    boxes.ahead = frozenset([True])
    boxes.start_ahead()
    with contextlib.closing(boxes):
        try:
            with furnished(boxes, Kind(traced=True)):
                return ["it has started"]
        except GraderError as error:
            return ["could not be started" in str(error)]


def test_what_cannot_be_started_ahead_is_told_when_it_is_wanted(judged: Judged) -> None:
    assert judged(cannot_be_started) == [True]


def before_the_last_check(level: Level) -> list[int]:
    boxes = some_boxes(level, ahead=False)
    with furnished(boxes, PLAIN):
        return waiting(boxes)


def test_nothing_is_started_ahead_where_nothing_comes(judged: Judged) -> None:
    assert judged(before_the_last_check) == []


def killed_while_it_waits(level: Level) -> list[Any]:
    boxes = some_boxes(level)
    with furnished(boxes, PLAIN):
        (pid,) = waiting(boxes)
        os.kill(pid, signal.SIGKILL)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    boxes.ahead = frozenset()
    with furnished(boxes, PLAIN) as box:
        return [box.outermost_pid != pid, ask(box, "def act(student, room): return 7")]


def test_a_box_that_was_killed_while_it_waited_is_replaced(judged: Judged) -> None:
    assert judged(killed_while_it_waits) == [True, 7]


READS = """
def act(student, room, *numbers):
    import os
    return [os.read(number, 9).decode() for number in numbers]
"""


def lent_under_the_channels_number(level: Level) -> Any:
    """One of the descriptors gets the number that the box's own channel has."""
    with furnished(some_boxes(level, ahead=False), PLAIN) as box:
        words = box._process.args
        assert isinstance(words, list)
        numbers = [int(str(words[-1])), int(str(words[-1])) + 1]
        pipes = [os.pipe() for _ in numbers]
        for (_, writing), text in zip(pipes, (b"first", b"second"), strict=True):
            os.write(writing, text)
        box.send({"op": "lend", "fds": numbers, "limits": {}})
        box.channel.lend([reading for reading, _ in pipes])
        return ask(box, READS, *numbers)


def test_descriptors_arrive_under_their_numbers_also_where_the_box_has_one_itself(judged: Judged) -> None:
    assert judged(lent_under_the_channels_number) == ["first", "second"]


OPENS = """
def act(student, room):
    import os, resource
    found = []
    try:
        while True:
            found.append(os.open("/dev/null", os.O_RDONLY))
    except OSError as error:
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    for fd in found:
        os.close(fd)
    return [max(found), *limits]
"""


def few_open_files(level: Level) -> Any:
    boxes = some_boxes(level, ahead=False)
    with furnished(boxes, PLAIN, (), 20) as box:
        return ask(box, OPENS)


def test_how_many_files_a_box_may_open_is_set_when_it_is_taken(judged: Judged) -> None:
    assert judged(few_open_files) == [19, 20, 20]


def without_an_interpreter(level: Level) -> list[Any]:
    (level.staging / "inside.py").write_text("raise SystemExit('no such luck')\n")
    boxes = some_boxes(level, ahead=False)

    def begin() -> None:
        with furnished(boxes, PLAIN):
            pass

    return failure_of(begin)


def test_a_box_that_does_not_begin_is_told_with_its_last_words(judged: Judged) -> None:
    kind, said = judged(without_an_interpreter)

    assert kind == "GraderError"
    assert said.startswith("A box could not be started: ")
    assert "no such luck" in said
