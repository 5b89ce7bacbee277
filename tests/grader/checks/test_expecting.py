"""What a check asserts and in whose words; what noise may spoil; whether work grows."""

from collections.abc import Callable
from typing import Any

import pytest

from grader.checks import (
    Budgets,
    CheckFailed,
    Crashed,
    ForbiddenUse,
    Growth,
    NoAnswer,
    Spoilt,
    expecting,
    require,
    unless_noise,
)
from grader.course.model import Budget
from grader.course.text import Text
from handing_in import failure_of


def test_a_condition_that_holds_is_passed_and_what_was_seen_is_not_asked_for() -> None:
    require(True, expected="it", seen=lambda: 1 / 0)


@pytest.mark.parametrize(
    ("seen", "told"),
    [
        pytest.param("text as it is", "text as it is", id="text"),
        pytest.param([1, "x"], "[1, 'x']", id="a value"),
        pytest.param(lambda: "asked for", "asked for", id="a function"),
    ],
)
def test_a_condition_that_does_not_hold_fails_with_what_was_seen(seen: object, told: str) -> None:
    assert failure_of(lambda: require(0, expected="one", seen=seen, evidence=["a row"])) == [
        "CheckFailed",
        "one",
        told,
        ["a row"],
    ]


def test_a_condition_may_fail_in_another_kind() -> None:
    assert failure_of(lambda: require(False, expected="a", seen="b", kind=ForbiddenUse))[0] == "ForbiddenUse"


def within(*blocks: Any, fails: CheckFailed) -> list[Any]:
    def act() -> None:
        outer, inner = blocks
        with outer, inner:
            raise fails

    return failure_of(act)


def test_a_failure_is_told_in_the_words_of_the_innermost_block_and_stays_what_it_is() -> None:
    crash = Crashed(expected="an answer", seen="it ended", evidence=["printed: bye"])

    told = within(expecting("the whole"), expecting("a part", seen=lambda one: one.seen + ", too"), fails=crash)

    assert told == ["Crashed", "a part", "it ended, too", ["printed: bye"]]


def test_a_block_lets_other_kinds_through() -> None:
    silence = NoAnswer(expected="an answer", seen="nothing")

    assert (
        within(expecting("the whole", only=NoAnswer), expecting("a part", but=NoAnswer), fails=silence)[1]
        == "the whole"
    )
    assert (
        within(expecting("the whole", only=Crashed), expecting("a part", only=Crashed), fails=silence)[1] == "an answer"
    )


class Attempts:
    """Attempts that end so, one after another."""

    def __init__(self, *ends: CheckFailed | str) -> None:
        self.left = list(ends)

    def __call__(self) -> str:
        end = self.left.pop(0)
        if isinstance(end, CheckFailed):
            raise end
        return end


SPOILT = Spoilt(expected="it", seen="noise")
WRONG = CheckFailed(expected="it", seen="another")


@pytest.mark.parametrize(
    ("ends", "told", "left"),
    [
        pytest.param([SPOILT, "good", "unused"], ["nothing", "good"], 1, id="good in the end"),
        pytest.param([SPOILT, WRONG, "unused"], ["CheckFailed", "it", "another", []], 1, id="wrong"),
        pytest.param([SPOILT, SPOILT, SPOILT, "unused"], ["Spoilt", "it", "noise", []], 1, id="spoilt each time"),
    ],
)
def test_what_noise_may_spoil_is_tried_three_times_at_most(ends: list[Any], told: list[Any], left: int) -> None:
    attempts = Attempts(*ends)

    assert failure_of(lambda: unless_noise(attempts)) == told
    assert len(attempts.left) == left


# --- growth -------------------------------------------------------------------------------------------------------


def budgets() -> Budgets:
    words: dict[str, Any] = {"formula": Text({"en": "counted"}), "why": Text({"en": "no more"})}
    rules = [
        Budget(name=name, limit=limit, reference=0.0, naive=limit * 10, unit=Text({"en": "instructions"}), **words)
        for name, limit in (("one", 1000.0), ("each", 2.0))
    ]
    return Budgets(rules=tuple(rules), language="en")


def growth_of(work: Callable[[int], float], *, grew: bool = False, fifth: float = 0.0) -> tuple[list[Any], list[float]]:
    """What becomes of a program whose request does so much work beside so many, and more at each fifth request."""
    budget = budgets()
    growth = Growth(budget=budget, one="one", each="each", few=10, many=110)

    def measure(many: bool, requests: int, limit: int) -> float:
        cost = work(growth.many if many else growth.few) + (fifth if many and requests == 5 else 0.0)
        return min(cost, limit / requests)

    told = failure_of(lambda: growth.at_most(lambda: growth.compared(measure, grew=lambda: grew)))
    return told, [value for value in (one.value for one in budget.measurements) if value is not None]


def test_work_that_does_not_grow_is_within_its_limits() -> None:
    assert growth_of(lambda _beside: 600.0) == (["nothing", None], [600.0, 0.0])


def test_work_that_grows_is_told_for_each_further_one() -> None:
    told, values = growth_of(lambda beside: 500.0 + 7 * beside)

    assert told[0] == "CheckFailed"
    assert values == [570.0, 7.0]


def test_what_is_done_at_each_fifth_request_is_counted_where_processor_time_grew() -> None:
    assert growth_of(lambda _beside: 600.0, fifth=900.0) == (["nothing", None], [600.0, 0.0])
    assert growth_of(lambda _beside: 600.0, fifth=900.0, grew=True)[1] == [600.0, 9.0]
