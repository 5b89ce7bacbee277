"""What must come of a program of tasks under a right scheduler, and whether it did.

Knows the contract of ex05; knows nothing of boxes. Tasks depend on one another by joins alone, so it needs no order; in
which order they take turns is asked by `out_of_turn`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from task_player import Played
from task_programs import Program, written

from grader.checks import require


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """What becomes of one task under a right scheduler: what it logs, each with the rule behind it, and its end."""

    story: tuple[tuple[str, str], ...]
    joined: frozenset[str]  # the tasks that it joins
    value: int | None = None
    error: str = ""


def due(program: Program) -> dict[str, Due]:  # noqa: C901 - a case for each word
    """The model. Tasks depend on one another by joins alone, so it needs no order."""
    joins = [step[1] for steps in program.values() for step in steps if step[0] in ("joins", "catches")]
    known: dict[str, Due] = {}

    def rule(name: str, *, late: bool) -> str:
        gives = "raises what the task raised" if known[name].error else "gives what the task returned"
        if late:
            return f"`yield Join(task)` {gives}, also when that is done already"
        if joins.count(name) > 1:
            return f"`yield Join(task)` {gives}, in each task that joins it"
        return f"`yield Join(task)` {gives}"

    def follow(name: str) -> Due:
        story, total, done, joined = [], 0, set[str](), set[str]()
        for act, *rest in program[name]:
            match act:
                case "says":
                    story.append((rest[0], "a task goes on to its end"))
                case "adds" | "adds_in_a_part":
                    total += rest[0]
                case "outwaits":
                    done.add(rest[0])
                case "joins" | "catches":
                    joined.add(rest[0])
                    other = known.get(rest[0]) or known.setdefault(rest[0], follow(rest[0]))
                    if other.error and act == "joins":
                        return Due(story=tuple(story), joined=frozenset(joined), error=other.error)
                    got = f"is raised {other.error}" if other.error else f"gets {other.value!r}"
                    story.append((f"{got} from {rest[0]}", rule(rest[0], late=rest[0] in done)))
                    total = total if other.error or other.value is None else 3 * total + other.value
                    done.add(rest[0])
                case "raises":
                    return Due(story=tuple(story), joined=frozenset(joined), error=" ".join(rest))
                case "returns":
                    return Due(story=tuple(story), joined=frozenset(joined), value=total)
        return Due(story=tuple(story), joined=frozenset(joined))

    for name in program:
        known[name] = known.get(name) or follow(name)
    return known


def require_stories(program: Program, played: Played) -> None:
    """Each task has been given what it should have been, in its own order, whatever came between.

    Raises:
        CheckFailed: with the first that is otherwise.
    """
    for name, task in due(program).items():
        said = [text for who, text in played["log"] if who == name]
        for place, (text, rule) in enumerate(task.story):
            seen = said[place] if place < len(said) else "nothing: it never went on"
            involved = [name, *(other for other in program if text.endswith(f" from {other}"))]
            require(
                seen == text,
                expected=f"{rule}: {name} {text}",
                seen=f"{name}: {seen}",
                evidence=written(program, *involved),
            )


def require_ends(program: Program, played: Played) -> None:
    for name, task in due(program).items():
        done, value, error = played["ends"].get(name, (False, "", ""))
        require(
            done,
            expected="task.done is True for each task when run() has returned",
            seen=f"not for {name}",
            evidence=written(program, name),
        )
        rule = f"task.value is what the task returned: {task.value!r}"
        require(task.error or value == repr(task.value), expected=rule, seen=value, evidence=written(program, name))
        rule = f"task.error is what the task raised: {task.error or None}"
        require(error == task.error, expected=rule, seen=error or "None", evidence=written(program, name))


def survives(played: Played) -> None:
    rule = "an exception ends the task that raised it, and run() goes on"
    require(not played["escaped"], expected=rule, seen=f"run() raised {played['escaped']}")


def out_of_turn(program: Program, first: Sequence[str], log: Sequence[tuple[str, str]]) -> str:
    """The first step that is out of turn, in words. Who goes round a list of tasks may see a newcomer a turn later."""
    order = [name for name, _ in log]
    at = {name: [place for place, who in enumerate(order) if who == name] for name in program}
    if order[: len(first)] != list(first):
        return f"the first steps are those of {' '.join(order[: len(first)])}, and {' '.join(first)} were spawned"
    for name, places in at.items():
        for here, there in pairwise(places):
            for other in program:
                if at[other][0] < here < at[other][-1] and order[here:there].count(other) != 1:
                    return f"between two steps of {name}, {other} takes {order[here:there].count(other)}"
    for spawner, steps in program.items():
        for child, step in spawned_at(steps):
            here, there = at[spawner][step - 1], at[child][0]
            for other in program:
                taken = order[here + 1 : there].count(other)
                ready = other not in (spawner, child) and at[other][0] < here < at[other][-1]
                if (ready and taken < 1) or taken > (1 if other == spawner else 2):
                    return f"{spawner} spawns {child}, and before that takes its first step, {other} takes {taken}"
    return ""


def spawned_at(steps: Sequence[Sequence[Any]]) -> Iterator[tuple[str, int]]:
    """Whom a task spawns, and at which of its own steps."""
    said = 0
    for act, *rest in steps:
        said += act == "says"
        if act == "spawns":
            yield rest[0], said
