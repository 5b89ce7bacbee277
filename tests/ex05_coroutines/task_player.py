"""Carries out a program of tasks in the box, on the submission's scheduler, and writes down what the tasks say.

No line of it knows what should come of it: it is shipped as source.
"""

from __future__ import annotations  # of the functions within, which are shipped without what they would name

from typing import Any

from task_programs import Program
from typing_extensions import TypedDict


class Played(TypedDict):
    """What a scheduler made of a program; values and errors as text."""

    early: int  # how much was logged before run()
    log: list[tuple[str, str]]  # a task, and what it says or what a join gave it
    ends: dict[str, tuple[bool, str, str]]  # done, value, error
    errors: list[str]
    escaped: str  # what came out of run()


def play(student: Any, room: Any, program: Program, first: list[str]) -> Played:  # noqa: C901 - it stands alone
    """Carry out a program. The tasks named in `first` are spawned before run().

    yields; says text; adds number; adds_in_a_part number, behind a `yield from`; spawns task; outwaits task, by yields;
    joins task, and fails as it does; catches task: joins it, and goes on; raises kind, word; returns what it added up.
    """
    from traps import Join

    kinds = {kind.__name__: kind for kind in (ValueError, LookupError, OSError)}
    scheduler, tasks, log = student.Scheduler(), {}, []

    def told(error: BaseException | None) -> str:
        return "" if error is None else " ".join([type(error).__name__, *map(str, error.args)])

    def part(total: int, number: int) -> Any:
        yield
        return total + number

    def joined(name: str, other: str, total: int) -> Any:
        value = yield Join(tasks[other])
        log.append((name, f"gets {value!r} from {other}"))
        return 3 * total + value if isinstance(value, int) else total

    def task(name: str) -> Any:  # noqa: C901, PLR0912 - a case for each word
        total = 0
        for act, *rest in program[name]:
            match act:
                case "yields":
                    yield
                case "says":
                    log.append((name, rest[0]))
                case "adds":
                    total += rest[0]
                case "adds_in_a_part":
                    total = yield from part(total, rest[0])
                case "spawns":
                    tasks[rest[0]] = scheduler.spawn(task(rest[0]))
                case "outwaits":
                    for _ in range(100):
                        if tasks[rest[0]].done:
                            break
                        yield
                case "joins":
                    total = yield from joined(name, rest[0], total)
                case "catches":
                    try:
                        total = yield from joined(name, rest[0], total)
                    except Exception as error:  # noqa: BLE001 - whatever comes is told
                        log.append((name, f"is raised {told(error)} from {rest[0]}"))
                case "raises":
                    raise kinds[rest[0]](rest[1])
                case "returns":
                    return total
        return None

    for name in first:
        tasks[name] = scheduler.spawn(task(name))
    early, escaped = len(log), ""
    try:
        scheduler.run()
    except Exception as error:
        escaped = told(error)
        if not any(["raises", *escaped.split()] == list(step) for steps in program.values() for step in steps):
            raise  # a mistake of the scheduler's own, which is shown with its line
    return {
        "early": early,
        "log": log,
        "ends": {name: (bool(task.done), repr(task.value), told(task.error)) for name, task in tasks.items()},
        "errors": [told(error) for error in scheduler.errors],
        "escaped": escaped,
    }
