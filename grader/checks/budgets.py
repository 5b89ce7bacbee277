"""Counts and their limits: what a measured value may be, how often it is taken, and the words when it is too much.

Knows `exercise.yaml`'s budgets and the report's measurements; knows nothing of how a value is come by.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from grader.course.model import Budget as BudgetRule
from grader.errors import GraderError
from grader.failures import CheckFailed
from grader.report.model import Measurement
from grader.words.say import say

Sizes = Mapping[str, int]  # the numbers of `exercise.yaml` that a check is run with, or the hidden ones

TAKES = 3
NOISE_FACTOR = 10.0  # what is so far over its limit is no noise, and another take is a waste of a student's time


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """A counted value with the trace lines that prove it. `value` is None on a machine that cannot count."""

    value: float | None
    evidence: tuple[str, ...] = ()

    def __truediv__(self, divisor: float) -> "Count":
        return Count(value=None if self.value is None else self.value / divisor, evidence=self.evidence)


@dataclass(slots=True)
class Budgets:
    """The budgets of one check: compares values with limits and remembers every measurement."""

    rules: tuple[BudgetRule, ...]
    language: str
    measurements: list[Measurement] = field(default_factory=list)

    def at_most(self, name: str, taken: "Count | float | Callable[[], Count | float]") -> None:
        """A value must not exceed its limit in `exercise.yaml`.

        Args:
            name: of the budget.
            taken: the value, or a function that takes it; a function is called again while it is over, and the least
                of three counts.

        Raises:
            CheckFailed: over the limit.
            GraderError: the check names a budget that `exercise.yaml` does not have.
        """
        rule = self._rule(name)
        takes: list[Count] = []
        while len(takes) < (TAKES if callable(taken) else 1):
            one = taken() if callable(taken) else taken
            takes.append(one if isinstance(one, Count) else Count(value=one))
            value = takes[-1].value
            if value is None or value <= rule.limit or value > NOISE_FACTOR * rule.limit:
                break
        best = min(takes, key=lambda count: float("inf") if count.value is None else count.value)
        self._remember(rule, best.value)
        if best.value is not None and best.value > rule.limit:
            self._fail(rule, best, takes)

    def limit_of(self, name: str) -> float:
        """Its limit, for a check that stops to count where more says nothing more.

        Raises:
            GraderError: as `at_most`.
        """
        return self._rule(name).limit

    def _rule(self, name: str) -> BudgetRule:
        for rule in self.rules:
            if rule.name == name:
                return rule
        raise GraderError(f"A check asks for the budget {name}, which its entry in exercise.yaml does not list.")

    def _remember(self, rule: BudgetRule, value: float | None) -> None:
        self.measurements = [m for m in self.measurements if m.name != rule.name]  # of a check that is taken again
        self.measurements.append(
            Measurement(
                name=rule.name,
                value=value,
                limit=rule.limit,
                reference=rule.reference,
                naive=rule.naive,
                unit=rule.unit.in_(self.language),
            )
        )

    def _fail(self, rule: BudgetRule, best: Count, takes: Sequence[Count]) -> None:
        unit = rule.unit.in_(self.language)
        least: str = say("{value:,.6g} {unit}", value=best.value, unit=unit)
        if len(takes) > 1:
            least = say("{value}, the least of {takes} takes", value=least, takes=len(takes))
        raise CheckFailed(
            expected=say(
                "at most {limit:g} {unit}: {formula} ({why})",
                limit=rule.limit,
                unit=unit,
                formula=rule.formula.in_(self.language),
                why=rule.why.in_(self.language),
            ),
            seen=say("{least}; the reference needs {reference:g}", least=least, reference=rule.reference),
            evidence=best.evidence,
        )
