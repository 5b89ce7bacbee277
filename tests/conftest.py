"""Plain `pytest` proves the course too: the checks in tests/ex*/ run against the reference of their exercise.

Knows pytest's collection and the JSON of a report; knows no check. A check's fixtures exist only in the judge, so
nothing of it runs in this process: the checks that were selected are graded once, with what they need, by
`grade --solution`, and each item takes its outcome from that report. An unmeasured check is skipped with the machine's
reason.
"""

import inspect
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from grader.report.model import Outcome, Report, from_json

_EXERCISE = re.compile(r"ex\d{2,3}_\w+")
_REPORTS = pytest.StashKey[dict[Path, "Report | str"]]()


def pytest_configure(config: pytest.Config) -> None:
    sys.path += map(str, Path(__file__).parent.glob("ex*/"))  # where a check's file finds what stands beside it
    config.stash[_REPORTS] = {}


def pytest_pycollect_makeitem(collector: pytest.Collector, name: str, obj: object) -> "ReferenceCheck | None":
    """A check of an exercise, in the place of pytest's own item, which would ask for fixtures that are not here."""
    if not (_EXERCISE.fullmatch(collector.path.parent.name) and name.startswith("test_") and inspect.isfunction(obj)):
        return None
    here = Path(obj.__code__.co_filename) == collector.path  # a check that servers share is imported
    return ReferenceCheck.from_parent(collector, name=name, line=obj.__code__.co_firstlineno if here else 0)


class NotProven(Exception):
    """The reference did not pass a check; the message is the report's."""


class ReferenceCheck(pytest.Item):
    """One check of one exercise, as its reference meets it."""

    def __init__(self, *, line: int, **parent: Any) -> None:
        super().__init__(**parent)
        self.check = self.name.removeprefix("test_")
        self.checks_dir = self.path.parent
        self._line = line

    def runtest(self) -> None:
        reports = self.config.stash[_REPORTS]
        if self.checks_dir not in reports:
            reports[self.checks_dir] = _graded(self.checks_dir, self._selected())
        report = reports[self.checks_dir]
        if isinstance(report, str):
            raise NotProven(report)
        if not report.graded:
            raise NotProven(f"there is no verdict: {report.reason}")
        check = next((check for check in report.checks if check.name == self.check), None)
        if check is None:
            raise NotProven(f"the report of {report.exercise} does not hold the check {self.check}")
        if check.outcome is Outcome.UNMEASURED:
            pytest.skip(check.reason)
        if check.outcome is not Outcome.PASSED:
            raise NotProven(f"{check.outcome}, seed {report.seed}\n{check.message(report.language)}")

    def _selected(self) -> list[str]:
        """The checks of this exercise that are to run in this session."""
        items = (item for item in self.session.items if isinstance(item, ReferenceCheck))
        return [item.check for item in items if item.checks_dir == self.checks_dir]

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        if isinstance(excinfo.value, NotProven):
            return f"The reference of {self.checks_dir.name}, check {self.check}: {excinfo.value}"
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, self._line - 1, f"{self.checks_dir.name}: {self.check}"


def _graded(checks_dir: Path, checks: Iterable[str]) -> "Report | str":
    """The report on the reference; or why there is none. The kit is asked as a person would ask it: in a process of
    its own, which may end all that is below it."""
    command = [sys.executable, "-m", "grader", checks_dir.name, "--solution", "--course", str(checks_dir.parents[1])]
    for check in checks:
        command += ["--only", check]
    with tempfile.TemporaryDirectory(prefix="tracegrade-reference-") as folder:
        file = Path(folder, "report.json")
        done = subprocess.run([*command, "--json", str(file)], capture_output=True, text=True, check=False)
        try:
            return from_json(file.read_bytes())
        except (OSError, ValueError) as error:
            return f"{done.stderr.strip() or error} (exit code {done.returncode}: {' '.join(command[1:])})"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was skipped, by reason: nothing is skipped here but for what a machine refuses."""
    skipped = terminalreporter.stats.get("skipped", [])
    reasons = Counter(str(report.longrepr[2]).removeprefix("Skipped: ") for report in skipped)
    if reasons:
        number = f"{len(skipped)} test was" if len(skipped) == 1 else f"{len(skipped)} tests were"
        terminalreporter.write_sep("-", f"{number} skipped, because this machine refuses what they need")
        for reason, count in reasons.most_common():
            terminalreporter.write_line(f"{count:5}  {' '.join(reason.split())}")
