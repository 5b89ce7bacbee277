"""Which hint belongs to a failure, and what keeps every check of a grading from being run.

Knows failures, the texts of `exercise.yaml` and what was handed in; knows nothing of pytest.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from grader.checks.advice import VERSION, for_raised, for_syntax
from grader.checks.reading import Reading, SyntaxProblem, read
from grader.course.model import Check as CheckRule
from grader.course.model import Exercise
from grader.failures import CheckFailed, Evidence, NotImported, Raised
from grader.words.languages import Language
from grader.words.say import Words, say


@dataclass(frozen=True, slots=True, kw_only=True)
class Obstacle:
    """What no check gets past: told once, as the failure of the first check.

    Attributes:
        reason: why the others are not run.
    """

    failure: CheckFailed
    reason: Words


class HandedIn:
    """The file that the checks import, as it was handed in.

    Args:
        file: of the entry function; it need not be there.
        uid: the user that boxes run as; None for this one.
        beside: names of what was handed in and is no part of the exercise.
    """

    def __init__(self, exercise: Exercise, file: Path, *, uid: int | None, beside: Sequence[str]) -> None:
        self._exercise, self._file, self._uid, self.beside = exercise, file, uid, tuple(beside)
        self._reading: Reading | None = None

    @property
    def reading(self) -> Reading:
        if self._reading is None:
            self._reading = read(self._file, uid=self._uid)
        return self._reading

    def obstacle(self) -> Obstacle | None:
        """What its text alone shows to be in every check's way."""
        if self.reading.problem is not None:
            return self.cannot_be_imported(self._syntax(self.reading.problem))
        if not self.reading.begun:
            return self._not_begun()
        return None

    def cannot_be_imported(self, failure: CheckFailed) -> Obstacle:
        return Obstacle(failure=failure, reason=say("{file} cannot be imported", file=self._file.name))

    def hint(self, error: BaseException, rule: CheckRule, language: Language) -> str:
        """What to try: what the failure itself tells, else what its check has for its cause, else the check's hint."""
        if not isinstance(error, CheckFailed):
            return rule.hint.in_(language.code)
        if error.hint:
            return language.tell(error.hint)
        if error.cause in rule.hints:
            return rule.hints[error.cause].in_(language.code)
        # A check whose own hint names the exception knows more about it.
        if isinstance(error, Raised) and error.exception not in rule.hint.english:
            advice = for_raised(error, file=self._file.name, given=self._exercise.given, beside=self.beside)
            if advice is not None:
                return language.tell(advice)
        return rule.hint.in_(language.code)

    def told(self, error: BaseException | None) -> BaseException | None:
        """The failure; one that only says that a function is left to write is no crash."""
        if not isinstance(error, Raised) or error.exception != "NotImplementedError":
            return error
        lines = {(self._file.name, line): name for name, line in self.reading.left}
        for row in error.evidence:
            name = lines.get((row.file or "", row.line or 0))
            if name is not None:
                failure = CheckFailed(
                    expected=error.expected,
                    seen=say("not begun: {function}() is left to write", function=name),
                    evidence=error.evidence,
                )
                failure.hint = say("Write it in the place of its `raise NotImplementedError()`.")
                return failure
        return error

    def _syntax(self, problem: SyntaxProblem) -> NotImported:
        error = f"{problem.exception}: {problem.says}"
        rows = [Evidence(f"{self._file.name}:{problem.line}: {problem.text}", self._file.name, problem.line)]
        failure = NotImported(
            expected=say("{file} can be imported", file=self._file.name),
            seen=say("Python {version} cannot read it: {error}", version=VERSION, error=error),
            evidence=rows if problem.line else [],
            exception=problem.exception,
            says=problem.says,
        )
        failure.hint = for_syntax(problem)
        return failure

    def _not_begun(self) -> Obstacle:
        functions = ", ".join(name for name, _ in self.reading.left)
        failure = CheckFailed(
            expected=say("{file} with its functions written", file=self._file.name),
            seen=say("not begun: these functions are left to write: {functions}", functions=functions),
        )
        failure.hint = say(
            "The handout, README.md, shows a way through: in which order to write them, and which checks look at what. "
            "Write each in the place of its `raise NotImplementedError()`."
        )
        return Obstacle(failure=failure, reason=say("{file} is not begun", file=self._file.name))
