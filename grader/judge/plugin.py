"""pytest in the judge: fixtures for checks, deadlines, needs, and how an exception becomes an outcome.

Knows pytest and pytest-timeout. Reports each check as one event the moment it ends; says nothing about points earned.
It fails closed: a check that raises what no check should raise breaks the grading, and nobody gets a zero.
"""

import random
import signal
import sys
import traceback
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from pytest_timeout import Settings  # type: ignore[import-untyped]  # it ships no types

from grader.box.box import Sigkilled
from grader.box.levels import Level
from grader.box.staging import SUBMISSION
from grader.checks.boxes import Boxes
from grader.checks.budgets import Budgets
from grader.checks.policies import Policies
from grader.checks.submission import Submission
from grader.course.model import Check as CheckRule
from grader.course.model import Exercise
from grader.errors import GraderError
from grader.failures import CheckFailed, Crashed, DeadlineReached, Evidence, ForbiddenUse, Kind, Omitted, Unmeasured
from grader.judge.hints import HandedIn, Obstacle
from grader.judge.protocol import BoxStarted, CheckEnded, Event, Started
from grader.report.model import Check, Failure, Outcome
from grader.safe_text import safe_text
from grader.words.languages import Language
from grader.words.say import say

_EVIDENCE_ROWS = 8
_AUTHORS_LINE = 1_000  # characters of what is expected, which is a paragraph of the exercise's author


@dataclass(kw_only=True, eq=False)
class JudgePlugin:
    """One grading of one submission. Hooks are called by pytest; `emit` takes each event."""

    exercise: Exercise
    level: Level
    strace: str | None
    untraceable: str
    seed: int
    chosen_sizes: Mapping[str, int]
    wanted: tuple[str, ...]
    language: str
    keep: Path | None
    emit: Callable[[Event], None]
    beside: tuple[str, ...] = ()  # what was handed in and is no part of the exercise
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    broken: str = ""  # why there is no verdict
    boxes: Boxes = field(init=False)
    _language: Language = field(init=False)
    _policies: Policies = field(init=False)
    _machine: dict[object, Any] = field(default_factory=dict)
    _budgets: dict[str, Budgets] = field(default_factory=dict)
    _calls: dict[str, pytest.CallInfo[None]] = field(default_factory=dict)
    _durations_s: dict[str, float] = field(default_factory=dict)
    _handed_in: HandedIn = field(init=False)
    _obstacle: Obstacle | None = None  # what no check gets past, once that is known
    _imported: bool = False  # whether any box has imported it

    def __post_init__(self) -> None:
        self._language = self.exercise.speaking(self.language)
        self._policies = Policies(exercise=self.exercise, language=self.language)
        self.boxes = Boxes(
            exercise=self.exercise,
            level=self.level,
            strace=self.strace,
            takes_down=self.keep is not None,
            watched=self._policies.calls,
        )
        self._handed_in = HandedIn(
            self.exercise,
            self.level.staging / SUBMISSION / self.exercise.submit[0],
            uid=self.level.uid,
            beside=self.beside,
        )

    @property
    def _rules(self) -> list[CheckRule]:
        """The checks that are wanted, in the order of exercise.yaml."""
        return [rule for rule in self.exercise.checks if rule.name in self.wanted]

    # --- what runs

    def pytest_configure(self) -> None:
        """A check's file may import what stands beside it; and the first box can start while the files are read."""
        sys.path.append(str(self.exercise.checks_dir))
        self.boxes.ahead = _likely(self._rules[:1])
        self.boxes.start_ahead()

    def pytest_unconfigure(self) -> None:
        self.boxes.close()
        sys.path.remove(str(self.exercise.checks_dir))

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """The checks that are wanted, in the order of exercise.yaml, each with its deadline."""
        found = {check_name(item): item for item in items}
        missing = [rule.name for rule in self._rules if rule.name not in found]
        if missing:
            raise GraderError(f"pytest did not collect the checks {', '.join(missing)} of {self.exercise.slug}.")
        items[:] = [found[rule.name] for rule in self._rules]
        for item, rule in zip(items, self._rules, strict=True):
            item.add_marker(pytest.mark.timeout(self.exercise.deadline_s(rule)))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            raise GraderError(f"A check file of {self.exercise.slug} cannot be loaded:\n{report.longreprtext}")

    def _rule(self, item: pytest.Item) -> CheckRule:
        return self.exercise.check(check_name(item))

    # --- what a check gets

    @pytest.fixture
    def budget(self, request: pytest.FixtureRequest) -> Budgets:
        """The check's budgets: `at_most(name, value)`."""
        rule = self._rule(request.node)
        budgets = Budgets(rules=rule.budgets, language=self.language)
        self._budgets[rule.name] = budgets
        return budgets

    @pytest.fixture
    def submission(self, request: pytest.FixtureRequest) -> Submission:
        """What was handed in: `serve(handler)` or `run(scenario)`."""
        rule = self._rule(request.node)
        return Submission(
            boxes=self.boxes,
            untraceable=self.untraceable,
            rng=random.Random(f"{self.seed}/{rule.name}"),
            policies=self._policies,
            machine=self._machine,
            language=self.language,
            keep=self.keep,
            label=rule.name,
            on_box=lambda pid: self.emit(BoxStarted(pid)),
            handed_in_beside=self.beside,
            imported=self._imported,
        )

    @pytest.fixture
    def sizes(self) -> Mapping[str, int]:
        """The sizes of `exercise.yaml`, or the hidden ones."""
        return self.chosen_sizes

    @pytest.fixture
    def rng(self, request: pytest.FixtureRequest) -> random.Random:
        """Random numbers of this check, from the run's seed."""
        return random.Random(f"{self.seed}/{check_name(request.node)}/inputs")

    # --- how it runs

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        rule = self._rule(item)
        self.emit(Started(rule.name, self.exercise.deadline_s(rule)))
        behind = self._rules[self._rules.index(rule) + 1 :]
        self.boxes.ahead = _likely(behind[:1]) | (_likely([rule]) & _likely(behind))
        if self._obstacle is not None:
            raise _NotRun(self._obstacle.reason)
        if rule.name == self.wanted[0] and (obstacle := self._handed_in.obstacle()) is not None:
            self._obstacle = obstacle
            raise obstacle.failure
        known = {need: self.outcomes[need] for need in rule.needs if need in self.outcomes}
        if unmet := [need for need, outcome in known.items() if outcome.loses_points]:
            raise _NotRun(say("needs {checks}", checks=", ".join(unmet)))
        if omitted := [need for need, outcome in known.items() if outcome is Outcome.OMITTED]:
            raise Omitted(say("Optional, as is {checks}.", checks=", ".join(omitted)))

    @pytest.hookimpl(tryfirst=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> bool:
        """Run a check, and look whether its boxes kept to what holds in all of them."""
        try:
            self._take(pyfuncitem)
        except CheckFailed as failure:
            submission = pyfuncitem.funcargs.get("submission")
            if isinstance(submission, Submission) and submission.not_imported is not None:
                self._obstacle = self._handed_in.cannot_be_imported(submission.not_imported)
                raise submission.not_imported from failure
            raise
        finally:
            self._note_import(pyfuncitem)
        self._policies.require(self._rule(pyfuncitem), self.outcomes)
        return True

    def _note_import(self, pyfuncitem: pytest.Function) -> None:
        submission = pyfuncitem.funcargs.get("submission")
        self._imported = self._imported or (isinstance(submission, Submission) and submission.imported)

    def _take(self, pyfuncitem: pytest.Function) -> None:
        """Run a check; once more when one of its boxes was killed, for then it says nothing about a submission."""
        submission = pyfuncitem.funcargs.get("submission")
        arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
        try:
            pyfuncitem.obj(**arguments)
        except Exception as error:
            if not isinstance(submission, Submission) or submission.sigkilled is Sigkilled.NO:
                raise
            first = error
        else:
            return
        submission.sigkilled = Sigkilled.NO
        try:
            pyfuncitem.obj(**arguments)
        except Exception as error:
            if submission.sigkilled is Sigkilled.OUTSIDE:
                raise GraderError(
                    "strace or bwrap was killed from outside, twice. Is the machine out of memory?"
                ) from first
            raise error from first

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        name = check_name(item)
        self._durations_s[name] = self._durations_s.get(name, 0.0) + call.duration
        if call.excinfo is not None and name not in self._calls:
            self._calls[name] = call
        if call.when == "teardown":
            self._finish(item)
        return report

    def _finish(self, item: pytest.Item) -> None:
        rule = self._rule(item)
        call = self._calls.get(rule.name)
        budgets = self._budgets.get(rule.name)
        error = self._handed_in.told(call.excinfo.value if call is not None and call.excinfo is not None else None)
        outcome = outcome_of(error, rule.name)
        if outcome is Outcome.PASSED and (why := self._not_measured(rule, budgets)):
            outcome, error = Outcome.UNMEASURED, Unmeasured(why)
        self.outcomes[rule.name] = outcome
        check = Check(
            name=rule.name,
            title=rule.title.in_(self.language),
            points=rule.points,
            outcome=outcome,
            failure=failure_of(error, rule, self._language, self._handed_in),
            reason=reason_of(error, self._language),
            duration_s=round(self._durations_s[rule.name], 3),
            measurements=tuple(budgets.measurements) if budgets is not None else (),
        )
        self.emit(CheckEnded(check.model_dump(mode="json")))

    def _not_measured(self, rule: CheckRule, budgets: Budgets | None) -> str:
        """Why a check that found nothing wrong has not looked at everything that its points are for; else nothing."""
        known = {} if budgets is None else {one.name: one.value for one in budgets.measurements}
        if (rule.watches and self.strace is None) or None in known.values():
            return self.untraceable
        if missing := [one.name for one in rule.budgets if one.name not in known]:
            return say("The check has compared nothing with {budgets}.", budgets=", ".join(missing))
        unknown = [need for need in rule.needs if self.outcomes.get(need) is Outcome.UNMEASURED]
        if not unknown:
            return ""
        return say("Needs {checks}, which this machine cannot measure.", checks=", ".join(unknown))

    def pytest_internalerror(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """What a hook raises ends the session; pytest would only print it."""
        error = excinfo.value
        self.broken = str(error) if isinstance(error, GraderError) else f"pytest broke: {excinfo.exconly()}"

    # --- deadlines

    @pytest.hookimpl(tryfirst=True)
    def pytest_timeout_set_timer(self, item: pytest.Item, settings: Settings) -> bool:
        """pytest-timeout's clock with our own bell, so that a deadline is an outcome of its own."""

        def ring(_number: int, _frame: FrameType | None) -> None:
            raise DeadlineReached(settings.timeout)

        signal.signal(signal.SIGALRM, ring)
        signal.setitimer(signal.ITIMER_REAL, settings.timeout)
        return True

    @pytest.hookimpl(tryfirst=True)
    def pytest_timeout_cancel_timer(self, item: pytest.Item) -> bool:
        signal.setitimer(signal.ITIMER_REAL, 0)
        return True


class _NotRun(Exception):
    """What a check needs did not pass."""


def _likely(rules: Sequence[CheckRule]) -> frozenset[bool]:
    """Whether the boxes of these checks are traced: mostly those where something is counted."""
    return frozenset(bool(rule.budgets) for rule in rules)


def check_name(item: pytest.Item) -> str:
    return item.name.removeprefix("test_")


def outcome_of(error: BaseException | None, name: str) -> Outcome:
    """Whose fault is it, and which?

    Raises:
        GraderError: not the student's: a check, the kit or the machine broke.
    """
    match error:
        case None:
            return Outcome.PASSED
        case _NotRun():
            return Outcome.NOT_RUN
        case Unmeasured():
            return Outcome.UNMEASURED
        case Omitted():
            return Outcome.OMITTED
        case DeadlineReached():
            return Outcome.TIMED_OUT
        case ForbiddenUse():
            return Outcome.FORBIDDEN
        case Crashed():
            return Outcome.CRASHED
        case CheckFailed() | AssertionError():
            return Outcome.FAILED
        case GraderError():
            raise error
        case _:
            broke = f"The check {name} itself broke: {type(error).__name__}: {error}"
            raise GraderError(f"{broke} ({_place(error)}). Mend it there.") from error


def _place(error: BaseException | None) -> str:
    """The innermost line of the course's checks that the error came through, as "tests/ex03_epoll/test_epoll.py:41"; or
    the function that asks for a fixture that there is not."""
    trace = None if error is None else error.__traceback__
    places = [(frame.filename, frame.lineno or 1) for frame in traceback.extract_tb(trace)]
    if isinstance(error, pytest.FixtureLookupError):
        node = error.request.node
        places.append((str(node.path), (node.location[1] or 0) + 1))
    named = [("/".join(Path(path).parts[-3:]), line) for path, line in places if Path(path).parts[-3:-2] == ("tests",)]
    return ":".join(map(str, named[-1])) if named else "outside of its own lines"


def reason_of(error: BaseException | None, language: Language) -> str:
    """Why a check neither passed nor failed, in the reader's language; nothing, when it did."""
    return _told(error, language) if isinstance(error, _NotRun | Unmeasured | Omitted) else ""


def failure_of(error: BaseException | None, rule: CheckRule, language: Language, handed_in: HandedIn) -> Failure | None:
    """What went wrong, as values in the reader's language. Text from a stranger's program is made safe to print."""
    kind: Kind = CheckFailed.kind
    evidence: Sequence[Evidence] = ()
    match error:
        case None | _NotRun() | Unmeasured() | Omitted():
            return None
        case CheckFailed():
            kind, evidence = error.kind, error.evidence[:_EVIDENCE_ROWS]
            expected, seen = language.tell(error.expected), language.tell(error.seen)
        case DeadlineReached():
            kind = error.kind
            expected = language.tell(say("the check to end"))
            seen = language.tell(say("no end after {seconds:.0f} seconds", seconds=error.timeout_s))
        case _:
            expected, seen = rule.title.in_(language.code), _told(error, language)
    return Failure(
        kind=kind,
        expected=safe_text(expected, max_line=_AUTHORS_LINE),
        seen=safe_text(seen),
        hint=safe_text(handed_in.hint(error, rule, language), max_line=_AUTHORS_LINE),
        evidence=tuple(
            Evidence(safe_text(language.tell(row.text), max_chars=200), row.file, row.line) for row in evidence
        ),
    )


def _told(error: BaseException, language: Language) -> str:
    """An exception's own words; no check can fail or be left out without any."""
    said = error.args[0] if error.args and isinstance(error.args[0], str) else str(error)
    return safe_text(language.tell(said)).strip() or language.tell(say("an assertion failed"))
