"""Rules about system calls that hold in every box of an exercise, also where nothing is counted: a program must not be
one thing where it is counted and another where it is not. Knows `exercise.yaml`'s watches and the calls of a trace;
knows nothing of boxes or pytest.

Each rule belongs to one check, its owner. What breaks it is told once: at the owner or, when the owner has passed
already, at the check whose box it was. Where the owner has failed, it has told.
"""

from bisect import bisect
from collections.abc import Mapping
from dataclasses import dataclass, field

from grader.course.model import Check, Exercise, Watch
from grader.failures import ForbiddenUse
from grader.measure.strace import Call, Window
from grader.report.model import Outcome
from grader.words.say import say


@dataclass(frozen=True, slots=True, kw_only=True)
class _Breach:
    """One call too many: of which check's box, and by whose rule."""

    owner: str
    rule: Watch
    place: str
    call: Call


@dataclass(slots=True, kw_only=True)
class Policies:
    """What all boxes of one grading are watched for, and what was seen."""

    exercise: Exercise
    language: str = "en"
    _seen: list[_Breach] = field(default_factory=list)

    @property
    def calls(self) -> frozenset[str]:
        """The names of all calls that are watched in each box."""
        return frozenset(name for check in self.exercise.checks for rule in check.watches for name in rule.calls)

    def look(self, window: Window, check: str) -> None:
        """Look through the calls that a submission has made in a box of this check."""
        for owner in self.exercise.checks:
            for rule in owner.watches:
                if call := _one_too_many(window, rule):
                    self._seen.append(_Breach(owner=owner.name, rule=rule, place=check, call=call))

    def require(self, check: Check, outcomes: Mapping[str, Outcome]) -> None:
        """To be asked when a check is about to pass. `outcomes` are those of the checks before it.

        Raises:
            ForbiddenUse: it owns a rule that was broken so far, or one of its boxes has broken another's rule.
        """
        for breach in self._seen:
            late = breach.place == check.name and outcomes.get(breach.owner) is Outcome.PASSED
            if breach.owner == check.name or late:
                call = next(kind for kind in breach.call.kinds if kind in breach.rule.calls)
                seen = say("{call}, in a run of the check {check}", call=call, check=breach.place)
                if breach.rule.most:
                    seen = say(
                        "{call} although {most} were there already, in a run of the check {check}",
                        call=call,
                        most=breach.rule.most,
                        check=breach.place,
                    )
                raise ForbiddenUse(
                    expected=say("{rule}, in every run", rule=breach.rule.rule.in_(self.language)),
                    seen=seen,
                    evidence=[breach.call.text],
                )


def _one_too_many(window: Window, rule: Watch) -> Call | None:
    """The call that breaks a rule. What a call has started, and has ended, is no longer there."""
    found = [call for call in window.everything if call.is_one_of(rule.calls) and (rule.having or "") in call.text]
    ends_s = sorted(window.ends_s) if rule.most else []
    there = (number - bisect(ends_s, call.at_s) for number, call in enumerate(found))
    return next((call for call, before in zip(found, there, strict=True) if before >= rule.most), None)
