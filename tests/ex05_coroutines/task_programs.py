"""Programs of tasks that nobody foresees: drawn from the seed, one task after another, step by step.

Knows how one is written and told; knows nothing of what comes of it. The words are those of `task_player.play`.
"""

from collections.abc import Mapping, Sequence
from itertools import groupby
from random import Random
from typing import Any

# Of each task, what it does, step by step.
Program = Mapping[str, Sequence[Sequence[Any]]]


def nonce(rng: Random) -> str:
    return f"{rng.getrandbits(40):010x}"


class Author:
    """Writes a program: one task after another, with names that are not in the order of anything."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._names = rng.sample("ABCDEFGHIJKLMNOPQRSTUVWXYZ", 26)
        self.program: dict[str, list[list[Any]]] = {}
        self.first: list[str] = []

    def task(self, *steps: Sequence[Any], spawned: bool = False) -> str:
        """A task's name. Unless another task spawns it, it is spawned before run()."""
        name = self._names.pop()
        self.program[name] = [list(step) for step in steps]
        self.first += [] if spawned else [name]
        return name

    def yields(self, least: int, most: int) -> list[list[Any]]:
        return [["yields"]] * self._rng.randint(least, most)

    def number(self) -> int:
        return self._rng.randrange(1000, 10**6)

    def word(self) -> tuple[str, str]:
        """An error that nobody else raises."""
        return self._rng.choice(["ValueError", "LookupError", "OSError"]), f"broken-{nonce(self._rng)}"

    def shuffle(self) -> None:
        """Spawn in an order that says nothing."""
        self._rng.shuffle(self.first)


def steps_of(rng: Random, steps: int, **spawns: str) -> list[list[Any]]:
    """One line and a yield for each step; what is to be spawned, on the way."""
    lines: list[list[Any]] = []
    at = dict(zip(rng.sample(range(1, steps), len(spawns)), spawns.values(), strict=True))
    for step in range(1, steps + 1):
        lines.append(["says", str(step)])
        lines += [["spawns", at[step]]] if step in at else []
        lines.append(["yields"])
    return lines


def written(program: Program, *names: str) -> list[str]:
    """These tasks' programs, a line each, for a student."""
    lines = []
    for name in names:
        steps = groupby(" ".join(map(str, step)) for step in program[name])
        counted = ((step, len(list(same))) for step, same in steps)
        lines.append(f"task {name}: {', '.join(f'{step} {n} times' if n > 1 else step for step, n in counted)}")
    return lines
