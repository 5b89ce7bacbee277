"""What a grading and its judge say to each other: values, and the one line of JSON that each becomes.

Knows no process. Both ends read and write through here, so neither can say what the other does not expect. Standard
library alone: a command starts its judge before it imports what it needs itself.

    from a grading          Surroundings, once; then Job after Job, each behind the Ended of the one before
    from a slot             Ready or Refused or Broken, once; Ended behind each job
    from a judge            Started, BoxStarted, CheckEnded ...; at last Finished or Broken
"""

import json
from dataclasses import asdict, dataclass, fields
from types import UnionType
from typing import Any, TypeVar, get_args, get_type_hints


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What holds for all that a slot judges.

    Attributes:
        level: how programs are kept in, by its name in `box.levels`.
        bwrap: absolute path, or None where it is not installed.
        strace: absolute path, or None where it is not installed.
        canary_port, canary_abstract: sockets of the host that no box may reach.
        canary_environ: what stands in the slot's environment, and in no box's.
    """

    level: str
    bwrap: str | None
    strace: str | None
    canary_port: int
    canary_abstract: str
    canary_environ: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One submission to judge.

    Attributes:
        exercise: a `course.Exercise` as JSON: the course was read and digested once, by who sends it.
        staging: a folder with `submission/` and `given/`; the judge lays out the rest in it.
        checks: names, in the order of the exercise.
        keep: where traces and logs are kept; None to keep none.
        beside: names of what was handed in and is no part of the exercise.
    """

    exercise: str
    staging: str
    seed: int
    sizes: dict[str, int]
    checks: list[str]
    language: str
    keep: str | None
    beside: list[str]


@dataclass(frozen=True, slots=True)
class Ready:
    """The slot takes jobs: what it was asked to isolate with is proven."""

    untraceable: str | None  # why no system call can be counted here


@dataclass(frozen=True, slots=True)
class Refused:
    """The level of isolation that was asked for cannot be had here; nothing has run."""

    reason: str


@dataclass(frozen=True, slots=True)
class Started:
    check: str
    deadline_s: float


@dataclass(frozen=True, slots=True)
class BoxStarted:
    pid: int  # of its outermost process: killing it kills the box


@dataclass(frozen=True, slots=True)
class CheckEnded:
    check: dict[str, Any]  # a `report.Check`


@dataclass(frozen=True, slots=True)
class Finished:
    """Every check has reported."""


@dataclass(frozen=True, slots=True)
class Broken:
    """No verdict: the machine or the kit."""

    reason: str


@dataclass(frozen=True, slots=True)
class Ended:
    """The judge's process is gone, and all that ran below it."""

    how: str


Event = Ready | Refused | Started | BoxStarted | CheckEnded | Finished | Broken | Ended
_EVENTS: dict[str, type[Event]] = {kind.__name__: kind for kind in get_args(Event)}
_Message = TypeVar("_Message", Surroundings, Job)


class NotUnderstood(Exception):
    """What came is none of these. The message ends the sentence "the judge said something that ..."."""


def line_of(message: Surroundings | Job) -> bytes:
    return json.dumps(asdict(message)).encode() + b"\n"


def line_of_event(event: Event) -> bytes:
    return json.dumps({"event": type(event).__name__, **asdict(event)}).encode() + b"\n"


def message_of(line: bytes, kind: type[_Message]) -> _Message:
    """
    Raises:
        NotUnderstood: the line is no such message.
    """
    return kind(**_values(_mapping(line), kind))


def event_of(line: bytes) -> Event:
    """
    Raises:
        NotUnderstood: the line is no event.
    """
    values = _mapping(line)
    kind = _EVENTS.get(str(values.pop("event", "")))
    if kind is None:
        raise NotUnderstood("is not an event")
    return kind(**_values(values, kind))


def _mapping(line: bytes) -> dict[str, Any]:
    try:
        values = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise NotUnderstood("is not JSON") from error
    if not isinstance(values, dict):
        raise NotUnderstood("is not an event")
    return values


def _values(values: dict[str, Any], kind: type[Any]) -> dict[str, Any]:
    types = get_type_hints(kind)
    if values.keys() != {field.name for field in fields(kind)}:
        raise NotUnderstood("is not an event")
    if not all(_is(value, types[name]) for name, value in values.items()):
        raise NotUnderstood("is not an event")
    return values


def _is(value: object, wanted: Any) -> bool:
    """Whether a value of JSON has the type: `wanted` is one of those that stand above."""
    if isinstance(wanted, UnionType):
        return any(_is(value, one) for one in get_args(wanted))
    arguments = get_args(wanted)
    if wanted is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if wanted is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if isinstance(value, list):
        return bool(arguments) and all(_is(one, arguments[0]) for one in value)
    if isinstance(value, dict):
        return bool(arguments) and (arguments[1] is Any or all(_is(one, arguments[1]) for one in value.values()))
    return isinstance(value, wanted)
