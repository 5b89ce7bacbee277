"""No points for what could not be compared: the references of all exercises, where no call can be counted.

Only checks that count, or that own a policy, and what they need. Where calls can be counted, the audit shows that a
reference has all its points, so that all was compared there.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from grader.course.load import load_course
from grader.report.model import Graded, Outcome, from_json
from gradings import run
from places import ROOT

COURSE = ROOT
# Of each exercise: checks that cannot pass where nothing is counted; and some that can, though they have budgets.
COUNTED: Mapping[str, tuple[str, ...]] = {
    "ex01": ("threads", "idle"),
    "ex02": ("oneproc", "api", "idle"),
    "ex03": ("oneproc", "api", "scale_kernel"),
    "ex04": ("budget",),
    "ex05": ("threads", "zero_syscall", "memory"),
    "ex06": ("nofork", "idle"),
}
ANYWHERE: Mapping[str, tuple[str, ...]] = {
    "ex02": ("sleeps",),
    "ex03": ("sleeps",),
    "ex05": ("starve",),
    "ex06": ("stop",),
}


def report_of(exercise: str, room: Path, path: str) -> Graded:
    checks = [word for check in (*COUNTED[exercise], *ANYWHERE.get(exercise, ())) for word in ("--only", check)]
    file = room / "report.json"
    solution = load_course(COURSE).find(exercise).solution_dir
    words = (exercise, "--course", str(COURSE), "--submission", str(solution), "--json", str(file), *checks)
    done = run(*words, env={"PATH": path})
    assert done.returncode == 0, done.stdout + done.stderr
    report = from_json(file.read_bytes())
    assert isinstance(report, Graded)
    return report


@pytest.fixture
def without_strace(tmp_path: Path) -> str:
    """A search path on which bubblewrap is found, if there is one, and strace is not."""
    (tmp_path / "bin").mkdir()
    if bwrap := shutil.which("bwrap"):
        (tmp_path / "bin" / "bwrap").symlink_to(bwrap)
    return str(tmp_path / "bin")


@pytest.mark.parametrize("exercise", COUNTED)
def test_where_nothing_is_counted_what_counts_is_unmeasured(exercise: str, without_strace: str, tmp_path: Path) -> None:
    report = report_of(exercise, tmp_path, without_strace)

    outcomes = {check.name: check.outcome for check in report.checks}
    assert {outcomes[name] for name in COUNTED[exercise]} == {Outcome.UNMEASURED}
    assert {outcomes[name] for name in ANYWHERE.get(exercise, ())} <= {Outcome.PASSED}
    assert_all_was_compared(exercise, report)


def assert_all_was_compared(exercise: str, report: Graded) -> None:
    """What passed has compared each budget that it declares, and what it needs has passed as well."""
    rules = {check.name: check for check in load_course(COURSE).find(exercise).checks}
    passed = {check.name: check for check in report.checks if check.outcome is Outcome.PASSED}
    for name, check in passed.items():
        compared = {one.name for one in check.measurements if one.value is not None}
        assert compared == {budget.name for budget in rules[name].budgets}, name
        assert set(rules[name].needs) <= set(passed), name
