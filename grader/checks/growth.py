"""Whether the work of one request grows with how many others there are: machine instructions beside few and beside
many, and how many more for each further one.

Knows budgets and numbers; knows nothing of how instructions are counted.
"""

from collections.abc import Callable
from dataclasses import dataclass

from grader.checks.budgets import NOISE_FACTOR, Budgets

_SLACK = 10_000  # instructions, so that what is at its limit is seen as more than that


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """Two budgets: `one`, of a request beside `few` others; `each`, what it costs more for each further one of `many`.

    A measure is a function that counts: `measure(many, requests, limit)` gives the instructions that one of so many
    requests in a row takes, beside many or beside few; `limit` is how many all of them are counted to, at most.
    Counting ends there, so more than that is seen as a little more.
    """

    budget: Budgets
    one: str
    each: str
    few: int
    many: int

    def compared(self, measure: Callable[[bool, int, int], float], *, grew: Callable[[], bool]) -> tuple[float, float]:
        """Instructions of a request beside few, and how many more it has for each further one.

        Args:
            grew: whether requests beside many used more processor time than beside few, as far as that can tell. Then
                five in a row are counted as well: what is done at each fifth only is work for a request, too.
        """
        one, further = self._measured(measure, 1)
        if further <= self.budget.limit_of(self.each) and grew():
            further = self._measured(measure, 5)[1]
        return one, further

    def _measured(self, measure: Callable[[bool, int, int], float], requests: int) -> tuple[float, float]:
        one = measure(False, requests, round(requests * self.budget.limit_of(self.one)) + _SLACK)
        no_noise = 1.01 * NOISE_FACTOR * self.budget.limit_of(self.each) * (self.many - self.few)
        further = measure(True, requests, round(requests * (one + no_noise)) + _SLACK) - one
        return one, max(0.0, further) / (self.many - self.few)

    def at_most(self, compare: Callable[[], tuple[float, float]]) -> None:
        """Both are within their limits. `compare` is called again where the second is not: noise only adds.

        Raises:
            CheckFailed: one is over its limit.
        """
        first = [compare()]
        self.budget.at_most(self.one, first[0][0])
        self.budget.at_most(self.each, lambda: (first.pop() if first else compare())[1])
