"""Whether the figures of exercise.yaml, which students read as facts, are what is measured: what the reference needs,
and what the well-known mistake needs. Knows budgets, and how far a figure may be from a measurement; grades nothing.

Most of what is counted is the same number in each run. What depends on the speed of a machine, or on a version of
Python, says so in exercise.yaml: `varies: 3` lets a figure be three times as large or as small.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from grader.course.model import Budget, Exercise
from grader.course.yaml_file import Located, Where

# Of a limit: what may be measured where exercise.yaml says that it is nothing, such as the time of one wake-up. The
# most that was seen in 8 runs of each reference was 3 %.
_NEXT_TO_NOTHING = 0.05

_REFERENCE, _NAIVE = "reference", "naive"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What one submission needed, by budget. Budgets that this machine cannot measure, or that were not compared,
    are not in it."""

    submission: str  # as a row of the audit is called
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of exercise.yaml beside what was measured of it. `closest` is None when nothing was."""

    check: str
    budget: Budget
    kind: str  # the key in exercise.yaml: "reference" or "naive"
    stated: float
    measured: Sequence[tuple[str, float]]  # by submission
    where: Where

    @property
    def closest(self) -> tuple[str, float] | None:
        return min(self.measured, key=lambda one: distance(one[1], self.stated), default=None)

    @property
    def agrees(self) -> bool:
        """True if some measurement is as near as a fact has to be."""
        if self.closest is None:
            return False
        _, value = self.closest
        if not self.stated:
            return value <= _NEXT_TO_NOTHING * self.budget.limit
        return distance(value, self.stated) <= self.budget.varies


def distance(one: float, other: float) -> float:
    """How many times the larger is the smaller; infinite where one of them is nothing."""
    small, large = sorted((one, other))
    return 1.0 if small == large else math.inf if small <= 0 else large / small


def figures_of(exercise: Exercise, measured: Iterable[Measured]) -> list[Figure]:
    """All figures of the exercise, in its order. The reference's own runs stand for `reference`; for `naive` whatever
    a wrong submission needed that is over the limit."""
    rows = list(measured)
    found = []
    for i, check in enumerate(exercise.checks):
        for j, budget in enumerate(check.budgets):
            seen = [(row.submission, row.values[budget.name]) for row in rows if budget.name in row.values]
            of_reference = [pair for pair in seen if pair[0] == _REFERENCE]
            of_mistakes = [pair for pair in seen if pair[0].startswith("wrong/") and pair[1] > budget.limit]
            for kind, pairs in ((_REFERENCE, of_reference), (_NAIVE, of_mistakes)):
                stated = budget.reference if kind == _REFERENCE else budget.naive
                if stated is not None:
                    where = ("checks", i, "budgets", j, kind)
                    found.append(Figure(check.name, budget, kind, stated, pairs, where))
    return found


def disagreements(exercise: Exercise, figures: Iterable[Figure], unmeasured: frozenset[str]) -> Iterator[str]:
    """A line for each figure that is not what was measured: file, line, both values, the cure.

    Args:
        unmeasured: checks that this machine could not measure: of these nothing can be said.
    """
    document = Located.read(exercise.root, f"exercises/{exercise.slug}/exercise.yaml")
    for figure in figures:
        if document is None or figure.agrees or figure.check in unmeasured:
            continue
        name = f"{figure.kind} figure of {figure.budget.name}"
        if figure.closest is None and figure.kind == _REFERENCE:
            continue  # the reference's own row tells what became of it
        if figure.closest is None:
            said = (
                f"no wrong submission shows the {name}; list one that does under `shows` in wrong/expected.yaml, or "
                "take the figure out"
            )
        else:
            who, value = figure.closest
            said = (
                f"the {name} is {_number(figure.stated)}, and {who} needs {_number(value)}; write what is measured, "
                "or `varies` where it depends on the machine"
            )
        yield str(document.error(figure.where, said))


def table(exercise: Exercise, figures: Iterable[Figure]) -> Iterator[str]:
    """What `--measure` prints: each figure beside what was measured, the closest first."""
    yield f"{exercise.number}: budget | figure | stated | measured"
    for figure in figures:
        pairs = sorted(figure.measured, key=lambda one: distance(one[1], figure.stated))
        seen = ", ".join(f"{_number(value)} ({who})" for who, value in pairs) or "-"
        yield f"  {figure.budget.name} | {figure.kind} | {_number(figure.stated)} | {seen}"


def without_limits(exercise: Exercise) -> Exercise:
    """The exercise, but no check of it needs another one, and no value is over a limit: so that whatever a mistake
    costs is measured, behind the check that would have found it first."""
    checks = tuple(
        check.model_copy(
            update={
                "needs": (),
                "budgets": tuple(budget.model_copy(update={"limit": _beyond(budget)}) for budget in check.budgets),
            }
        )
        for check in exercise.checks
    )
    return exercise.model_copy(update={"checks": checks})


def _beyond(budget: Budget) -> float:
    """A limit that the naive figure is far below. Not infinite: a check may count until the limit is reached."""
    return max(budget.limit, 4 * budget.varies * (budget.naive or 0))


def check_of(exercise: Exercise, budget: str) -> str | None:
    """The check that this budget belongs to; None when there is no such budget."""
    return next((check.name for check in exercise.checks if any(one.name == budget for one in check.budgets)), None)


def _number(value: float) -> str:
    return f"{value:.6g}"
