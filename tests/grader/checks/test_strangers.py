"""Answers, questions and pauses that a stranger makes up, in front of each check that runs a scenario.

Nothing runs here: the box is a socket with this test at its other end, so that hundreds of conversations take a second.
Whatever is said, a check ends in an outcome: passed, failed, crashed, forbidden. What it says of a right program the
gradings of the references tell.
"""

import contextlib
import inspect
import json
import os
import random
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from grader.box.box import Box
from grader.box.channel import Channel
from grader.box.levels import Bare
from grader.checks import program, shapes
from grader.checks import scenario as scenarios
from grader.checks import submission as handed_over
from grader.checks.boxes import Boxes
from grader.checks.budgets import Budgets
from grader.checks.policies import Policies
from grader.checks.scenario import Run
from grader.checks.submission import Submission
from grader.course.load import load_course
from grader.course.model import Check, Exercise
from grader.failures import CheckFailed, Omitted, Unmeasured
from grader.measure import strace
from judged import imported
from places import ROOT

COURSE = ROOT
CONVERSATIONS = 12  # of each check and kind
MOST_MESSAGES = 400  # of one conversation; then the other end is closed
NUMBERS = (0, 1, 2, -1, 7, 255, 4096, 2**31, 2**32 - 1, 2**62, 2**64 - 1, -(2**63))
TEXTS = ("", "x", "0", "-1", "main", "\x00", "\n", "서버", "x" * 5000, "\u2028", "[]", "1" * 5000)


class ServesNobody(Exception):
    """The check is about a server, not about a scenario."""


# --- what is said -------------------------------------------------------------------------------------------------


def any_value(rng: random.Random, depth: int = 3) -> Any:
    """Whatever JSON can say."""
    kind = rng.randrange(9 if depth else 6)
    match kind:
        case 0:
            return None
        case 1:
            return rng.random() < 0.5
        case 2:
            return rng.choice(NUMBERS)
        case 3:
            return rng.choice((0.0, -1.5, 1e300, 2.0**70))
        case 4:
            return rng.choice((*TEXTS, "\ud800", "paused"))
        case 5:
            return rng.choice(([], {}, 2**70, -(2**200)))
        case 6 | 7:
            return [any_value(rng, depth - 1) for _ in range(rng.randrange(4))]
        case _:
            return {rng.choice(TEXTS): any_value(rng, depth - 1) for _ in range(rng.randrange(4))}


def of_schema(schema: Any, rng: random.Random, defined: Mapping[str, Any]) -> Any:
    """A value of a JSON schema, and no more than that: lengths and numbers are what a check may stumble over."""
    if schema is True or not schema.keys() - {"title", "description", "default"}:
        return any_value(rng, 2)
    if "$ref" in schema:
        return of_schema(defined[schema["$ref"].rpartition("/")[2]], rng, defined)
    if one := schema.get("anyOf") or schema.get("oneOf"):
        return of_schema(rng.choice(one), rng, defined)
    if one := [schema["const"]] if "const" in schema else schema.get("enum"):
        return rng.choice(one)
    match schema["type"]:
        case "array":
            value = [of_schema(inner, rng, defined) for inner in schema.get("prefixItems", [])]
            least, most = schema.get("minItems", 0), schema.get("maxItems", 3)
            more = max(0, rng.randint(least, max(least, most)) - len(value)) if "items" in schema else 0
            return value + [of_schema(schema["items"], rng, defined) for _ in range(more)]
        case "object":
            named, required = schema.get("properties", {}), schema.get("required", [])
            there = {name: inner for name, inner in named.items() if name in required or rng.random() < 0.5}
            if isinstance(others := schema.get("additionalProperties"), dict):
                there |= dict.fromkeys(rng.sample(TEXTS, rng.randrange(3)), others)
            return {name: of_schema(inner, rng, defined) for name, inner in there.items()}
        case kind:
            return rng.choice(simple(kind, schema))


def simple(kind: str, schema: Mapping[str, Any]) -> Sequence[Any]:
    low = max(schema.get("minimum", -(2**63)), schema.get("exclusiveMinimum", -(2**63)) + 1)
    high = min(schema.get("maximum", 2**64 - 1), schema.get("exclusiveMaximum", 2**64) - 1)
    return {
        "null": (None,),
        "boolean": (False, True),
        "integer": [number for number in (*NUMBERS, low, high) if low <= number <= high],
        "number": (0.0, 1.0, -1.0, 1e300, 5e-324),
        "string": [text for text in TEXTS if len(text) <= schema.get("maxLength", 1 << 20)],
    }[kind]


def of_shape(shape: Any, rng: random.Random) -> Any:
    schema = shape.adapter.json_schema()
    value = of_schema(schema, rng, schema.get("$defs", {}))
    shape.require("an answer", value)
    return value


def frame(message: Any) -> bytes:
    data = message if isinstance(message, bytes) else json.dumps(message).encode()
    return struct.pack(">I", len(data)) + data


def any_message(rng: random.Random) -> bytes:
    names = ("value", "paused", "ask", "problem", "returned", "stray", "loaded", "serving", "probes", "", "event")
    match rng.randrange(6):
        case 0:
            return frame(
                rng.choice((b"", b"no JSON", b"\xff\xfe", b"[" * 5000, b"1" * 9999, b'{"value": NaN}', b"[1]"))
            )
        case 1:
            return struct.pack(">I", rng.choice((0, 2**31, 2**32 - 1, 2**20 + 1)))
        case 2:
            return frame({"problem": any_value(rng)})
        case 3:
            return frame({"problem": {name: any_value(rng) for name in ("kind", "text", "trace", "exception", "says")}})
        case _:
            return frame({rng.choice(names): any_value(rng) for _ in range(rng.randint(1, 2))})


# What is said of a scenario that is watched.
WATCHED: Sequence[Callable[[Any], Any]] = (
    lambda value: value,
    lambda value: {"ended": value},
    lambda value: {"stuck": [["tiny.py:1 in it: wait()", "tiny.py", 1]], "busy": True, "so_far": value},
    lambda value: {"stuck": [value], "busy": value, "so_far": value},
)


class Stranger(Box):
    """A box at whose other end somebody answers each order at once, whatever comes to mind."""

    def __init__(self, rng: random.Random, pid: int) -> None:  # nothing is started
        near, self._far = socket.socketpair()
        self._rng = rng
        self.channel = Channel(near)
        self.channel.pid = self.outermost_pid = pid
        self.first_pid = 0
        self._pidfd = self._outermost_pidfd = os.pidfd_open(pid)
        self.channel.ends_with(self._outermost_pidfd)
        self.traced = False
        self.awaited: str | None = None  # the pause that the check waits for
        self.asked: Callable[[], Any] | None = None  # what makes a question up
        self._said = self._answers_owed = 0
        self._came_first = []

    def send(self, message: Mapping[str, Any]) -> None:
        super().send(message)
        self._far.recv(1 << 22)
        self._said += 1
        if self._said > MOST_MESSAGES:
            self._far.close()
        elif self._rng.random() < 0.04:
            self._far.sendall(any_message(self._rng))
            self._far.shutdown(socket.SHUT_WR)  # half a message, or none where one is awaited, would take seconds
        elif self.asked is not None and self._rng.random() < 0.6:
            self._far.sendall(frame({"ask": self.asked()}))
        elif self.awaited is not None:
            self._far.sendall(frame({"paused": self.awaited}))
        else:
            self._far.sendall(frame({"value": self._rng.choice(WATCHED)(any_value(self._rng))}))

    def send_signal(self, number: int) -> None:  # noqa: ARG002
        """Nobody there to be signalled, now and then."""
        if self._rng.random() < 0.2:
            raise ProcessLookupError

    def ask_where(self) -> dict[str, Any] | None:
        rows = [["tiny.py:1 in it: wait()", "tiny.py", 1]]
        told = {"where": self._rng.choice((rows, any_value(self._rng))), "call": any_value(self._rng)}
        return self._rng.choice((None, told))

    def output(self) -> bytes:
        return b"last words \xff\x1b[31m\n"

    def ended_by(self) -> str:
        return "exit status 0"

    def close(self) -> None:
        self.channel.close()
        self._far.close()
        os.close(self._pidfd)


class Conversation(Run):
    """A run that lets the other end know what it waits for: a stranger can read what the check's author wrote."""

    def until(self, label: str) -> None:
        assert isinstance(self._box, Stranger)
        self._box.awaited = label
        try:
            super().until(label)
        finally:
            self._box.awaited = None


# --- who is asked -------------------------------------------------------------------------------------------------


class InFrontOfAStranger(Submission):
    """A submission whose boxes are strangers."""

    pid = 0

    @contextlib.contextmanager
    def _box(self, *_arguments: Any, **_options: Any) -> Iterator[tuple[Box, strace.Trace | None]]:
        box = Stranger(self.rng, self.pid)
        self.rss_at_start = 1 << 20
        try:
            yield box, None
        finally:
            box.close()

    def serve(self, *_arguments: Any, **_options: Any) -> Any:
        raise ServesNobody

    def on_this_machine(self, scenario: Callable[..., Any], *_arguments: Any) -> Any:
        """A machine that can do everything: no complaint."""
        return "" if shapes.fitting(scenario, "") == "" else None


def exercises() -> Iterator[tuple[Exercise, ModuleType]]:
    for exercise in load_course(COURSE).exercises:
        for file in sorted(exercise.checks_dir.glob("test_*.py")):
            yield exercise, imported(file)


def scenarios_in(module: ModuleType) -> list[Callable[..., Any]]:
    """What is shipped into a box: functions that take a submission's module and a room, of this file and of those
    beside it that it imports."""
    used = {one.__module__ for one in vars(module).values() if inspect.isfunction(one)}
    beside = [file for file in map(sys.modules.get, used) if file and folder_of(file) == folder_of(module)]
    functions = {one for file in (module, *beside) for one in vars(file).values() if inspect.isfunction(one)}
    heads = [(one, [name.lstrip("_") for name in inspect.signature(one).parameters]) for one in functions]
    return sorted((one for one, names in heads if names[:1] == ["student"]), key=lambda one: one.__name__)


def folder_of(module: ModuleType) -> Path:
    return Path(str(module.__file__)).parent


EXERCISES = list(exercises())
CHECKS = [
    pytest.param(exercise, check, module, id=f"{exercise.number}-{check.name}")
    for exercise, module in EXERCISES
    for check in exercise.checks
    if scenarios_in(module) and hasattr(module, f"test_{check.name}")
]


@pytest.fixture(scope="module")
def sleeper() -> Iterator[int]:
    """A process to look at, in a session of its own as a bare box is."""
    with subprocess.Popen(["sleep", "600"], start_new_session=True) as process:
        yield process.pid
        process.kill()


def ends_in_an_outcome(exercise: Exercise, check: Check, module: ModuleType, rng: random.Random, pid: int) -> None:
    level = Bare(staging=COURSE, uid=None)
    submission = InFrontOfAStranger(
        boxes=Boxes(exercise=exercise, level=level, strace=None, takes_down=False),
        untraceable="nothing is traced here",
        rng=rng,
        policies=Policies(exercise=exercise),
        keep=None,
        label=check.name,
    )
    InFrontOfAStranger.pid = pid
    fixtures = {
        "submission": submission,
        "budget": Budgets(rules=check.budgets, language="en"),
        "sizes": exercise.sizes,
        "rng": random.Random(rng.random()),
    }
    function = getattr(module, f"test_{check.name}")
    with contextlib.suppress(CheckFailed, AssertionError, Unmeasured, Omitted):
        function(**{name: fixtures[name] for name in inspect.signature(function).parameters})


@pytest.mark.parametrize("shaped", [False, True], ids=["of any shape", "of the shape"])
@pytest.mark.parametrize(("exercise", "check", "module"), CHECKS)
def test_whatever_a_stranger_answers_ends_in_an_outcome(
    exercise: Exercise,
    check: Check,
    module: ModuleType,
    shaped: bool,
    sleeper: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, seconds in (("ASLEEP_S", 0.05), ("SILENT_S", 0.2), ("SETTLED_S", 0.1)):
        monkeypatch.setattr(program, name, seconds)
    monkeypatch.setattr(handed_over, "Run", Conversation)
    for place in (program, module):
        if "quiet_for" in vars(place):
            monkeypatch.setattr(place, "quiet_for", lambda _seconds: None)
    seed = f"{exercise.slug}/{check.name}/{shaped}"
    rng = random.Random(seed)
    if shaped:
        fits(module, monkeypatch, rng)

    for number in range(CONVERSATIONS):
        try:
            ends_in_an_outcome(exercise, check, module, rng, sleeper)
        except ServesNobody:
            return
        except Exception as error:
            raise AssertionError(f"conversation {number} of {seed}") from error


def fits(module: ModuleType, monkeypatch: pytest.MonkeyPatch, rng: random.Random) -> None:
    """Let every answer be of the shape that is declared for it, and anything else that it can be."""

    def fitting(function: Callable[..., Any], _value: Any) -> Any:
        return of_shape(shapes._returned(function), rng)

    def fitting_question(function: Callable[..., Any], _value: Any) -> Any:
        return of_shape(shapes._asked(function), rng)

    for place in (shapes, scenarios, module):
        for name, made_up in (("fitting", fitting), ("fitting_question", fitting_question)):
            if name in vars(place):
                monkeypatch.setattr(place, name, made_up)


SCENARIOS = [
    pytest.param(one, id=f"{e.number}-{one.__name__}") for e, module in EXERCISES for one in scenarios_in(module)
]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_scenario_declares_what_it_answers(scenario: Callable[..., Any]) -> None:
    """Without an Any or an object in it, at whatever depth: what lets anything through protects no check."""
    assert not shapes.is_loose(scenario)
