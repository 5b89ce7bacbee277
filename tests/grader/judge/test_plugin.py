"""pytest in the judge: deadlines, needs, and how an exception becomes an outcome or breaks the grading.

The plugin runs in an inner pytest, as in a judge, with checks that are written here; its events are what is looked at.
Checks that start programs are in test_grading.py.
"""

import os
import sys
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

from grader.box.levels import Bare
from grader.course.load import load_course
from grader.errors import CourseError
from grader.judge.plugin import JudgePlugin
from grader.judge.protocol import CheckEnded, Event, Started
from grader.report.model import Check, Outcome
from gradings import TINY

pytest_plugins = ["pytester"]

BUDGET = """\
    budgets:
      - name: calls
        limit: 3
        reference: 2
        naive: 50
        unit: calls
        formula: {en: calls in the window, ko: 창 안의 호출}
        why: {en: two are enough, ko: 둘이면 된다}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What an inner pytest made of some checks."""

    checks: tuple[Check, ...]
    started: tuple[str, ...]
    broken: str

    @property
    def outcomes(self) -> dict[str, str]:
        return {check.name: str(check.outcome) for check in self.checks}

    def __getitem__(self, name: str) -> Check:
        return next(check for check in self.checks if check.name == name)


class Judge(Protocol):
    """Runs checks, written as the text of a file; `rules` are further lines of a check's entry in exercise.yaml."""

    def __call__(
        self,
        checks: str,
        *,
        rules: Mapping[str, str] = ...,
        wanted: Sequence[str] = ...,
        seed: int = ...,
        language: str = ...,
    ) -> Judged: ...


@pytest.fixture
def judge(tmp_path: Path, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Judge:
    # As in a judge: pytest-timeout is named, and whatever else is installed stays out.
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")

    def run(
        checks: str,
        *,
        rules: Mapping[str, str] | None = None,
        wanted: Sequence[str] = (),
        seed: int = 7,
        language: str = "en",
    ) -> Judged:
        source = textwrap.dedent(checks)
        names = [line.split("(")[0].removeprefix("def test_") for line in source.splitlines() if "def test_" in line]
        root = written_course(tmp_path / "course", names, source, rules or {})
        events: list[Event] = []
        (exercise,) = load_course(root).exercises
        plugin = JudgePlugin(
            exercise=exercise,
            level=Bare(staging=tmp_path, uid=None),
            strace=None,
            untraceable="Nothing can be counted here.",
            seed=seed,
            chosen_sizes=exercise.sizes,
            wanted=tuple(wanted or names),
            language=language,
            keep=None,
            emit=events.append,
        )
        words = ["-p", "no:cacheprovider", "--noconftest", "-c", os.devnull, "--rootdir", str(root), "-p"]
        words += ["pytest_timeout", "--import-mode=importlib", str(exercise.checks_dir / "test_it.py")]
        pytester.inline_run(*words, plugins=[plugin], no_reraise_ctrlc=True)
        return Judged(
            checks=tuple(Check.model_validate(event.check) for event in events if isinstance(event, CheckEnded)),
            started=tuple(event.check for event in events if isinstance(event, Started)),
            broken=plugin.broken,
        )

    return run


def written_course(root: Path, names: Sequence[str], checks: str, rules: Mapping[str, str]) -> Path:
    """A course of one exercise with these checks, 100 points in all."""
    points = [100 // len(names)] * (len(names) - 1)
    entries = [
        f"  - name: {name}\n    points: {worth}\n    title: The check {name}\n"
        f"    hint: {{en: Think of {name}., ko: '{name}을 생각하라.'}}\n{rules.get(name, '')}"
        for name, worth in zip(names, [*points, 100 - sum(points)], strict=True)
    ]
    head = "format: 1\ntitle: It\nsummary: It.\nsubmit: [it.py]\nentry: serve\nsizes:\n  crowd: 5\nchecks:\n"
    for file, text in (
        ("course.yaml", (TINY / "course.yaml").read_text().replace("ex90_tiny", "ex91_it")),
        ("exercises/ex91_it/exercise.yaml", head + "".join(entries)),
        ("tests/ex91_it/test_it.py", checks),
    ):
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text(text, encoding="utf-8")
    return root


def test_a_check_may_import_what_stands_beside_it(judge: Judge, tmp_path: Path) -> None:
    (tmp_path / "course" / "tests" / "ex91_it").mkdir(parents=True)
    (tmp_path / "course" / "tests" / "ex91_it" / "beside_it.py").write_text("TWO = 2\n")

    judged = judge("""
        from beside_it import TWO

        def test_two():
            assert TWO == 2
    """)

    assert judged.outcomes == {"two": "passed"}
    assert not any("ex91_it" in path for path in sys.path)


# --- outcomes -----------------------------------------------------------------------------------------------------


def test_each_way_to_end_is_an_outcome_of_its_own(judge: Judge) -> None:
    judged = judge("""
        from grader.checks import CheckFailed, Crashed, ForbiddenUse, Omitted, Unmeasured

        def test_passes():
            pass

        def test_fails():
            raise CheckFailed(expected="a reply", seen="silence", evidence=["one line", "another"])

        def test_asserts():
            assert 1 == 2, "one is not two"

        def test_crashes():
            raise Crashed(expected="it goes on", seen="it ended")

        def test_is_forbidden():
            raise ForbiddenUse(expected="no library", seen="a library")

        def test_is_unmeasured():
            raise Unmeasured("There is no ruler here.")

        def test_is_omitted():
            raise Omitted("An extra part.")
    """)

    assert judged.broken == ""
    assert judged.outcomes == {
        "passes": "passed",
        "fails": "failed",
        "asserts": "failed",
        "crashes": "crashed",
        "is_forbidden": "forbidden",
        "is_unmeasured": "unmeasured",
        "is_omitted": "omitted",
    }
    assert judged["is_omitted"].message("en") == "An extra part."
    assert judged["passes"].message("en") == ""
    assert judged["fails"].message("en") == (
        "expected: a reply\nseen: silence\ntry: Think of fails.\n  | one line\n  | another"
    )
    assert judged["asserts"].message("en").startswith("expected: The check asserts\nseen: one is not two\n")
    assert judged["is_unmeasured"].message("en") == "There is no ruler here."


def test_a_check_that_reaches_its_own_deadline_is_timed_out_and_the_next_one_runs(judge: Judge) -> None:
    judged = judge(
        """
        import threading

        def test_waits():
            try:
                threading.Event().wait()
            except Exception:
                pass

        def test_goes_on():
            pass
        """,
        rules={"waits": "    deadline_s: 0.2\n"},
    )

    assert judged.outcomes == {"waits": "timed_out", "goes_on": "passed"}
    assert "expected: the check to end" in judged["waits"].message("en")
    assert "try: Think of waits." in judged["waits"].message("en")


def test_a_deadline_is_over_when_its_check_is(judge: Judge) -> None:
    judged = judge(
        """
        import signal, threading

        def test_is_quick():
            assert signal.getitimer(signal.ITIMER_REAL)[0] > 0

        def test_is_slow():
            assert signal.getitimer(signal.ITIMER_REAL)[0] > 600
        """,
        rules={"is_quick": "    deadline_s: 300\n", "is_slow": "    deadline_s: 1000\n"},
    )

    assert judged.outcomes == {"is_quick": "passed", "is_slow": "passed"}


def test_what_a_check_needs_decides_whether_it_runs(judge: Judge) -> None:
    judged = judge(
        """
        from grader.failures import CheckFailed, Omitted, Unmeasured

        def test_fails():
            raise CheckFailed(expected="this", seen="that")

        def test_is_omitted():
            raise Omitted("An extra part.")

        def test_needs_the_omitted():
            raise AssertionError("it ran")

        def test_is_unmeasured():
            raise Unmeasured("not here")

        def test_needs_the_failed():
            raise AssertionError("it ran")

        def test_needs_the_not_run():
            raise AssertionError("it ran")

        def test_needs_the_unmeasured():
            pass

        def test_needs_it_and_fails():
            assert False
        """,
        rules={
            "needs_the_failed": "    needs: [fails, is_unmeasured, is_omitted]\n",
            "needs_the_omitted": "    needs: [is_omitted]\n",
            "needs_the_not_run": "    needs: [needs_the_failed]\n",
            "needs_the_unmeasured": "    needs: [is_unmeasured]\n",
            "needs_it_and_fails": "    needs: [is_unmeasured]\n",
        },
    )

    assert judged.outcomes == {
        "fails": "failed",
        "is_omitted": "omitted",
        "is_unmeasured": "unmeasured",
        "needs_the_omitted": "omitted",
        "needs_the_failed": "not_run",
        "needs_the_not_run": "not_run",
        "needs_the_unmeasured": "unmeasured",
        "needs_it_and_fails": "failed",
    }
    assert judged["needs_the_unmeasured"].message("en") == "Needs is_unmeasured, which this machine cannot measure."
    assert judged["needs_the_failed"].message("en") == "needs fails"
    assert judged["needs_the_not_run"].message("en") == "needs needs_the_failed"


def test_checks_run_in_the_order_of_the_exercise_and_only_the_wanted_ones(judge: Judge) -> None:
    judged = judge(
        """
        def test_first():
            pass

        def test_second():
            pass

        def test_third():
            pass
        """,
        wanted=["third", "first"],
    )

    assert judged.started == ("first", "third")
    assert judged.outcomes == {"first": "passed", "third": "passed"}


def test_a_strangers_words_are_made_safe_and_cut(judge: Judge) -> None:
    judged = judge("""
        from grader.failures import CheckFailed

        def test_fails():
            raise CheckFailed(expected="peace", seen="\\x1b[2Jnoise\\x00", evidence=["\\x07" + "x" * 10_000] * 50)
    """)

    message = judged["fails"].message("en")
    assert "\x1b" not in message
    assert "\x00" not in message
    assert "\x07" not in message
    assert "noise" in message
    assert message.count("  | ") == 8
    assert len(message) < 3_000


def test_hints_are_in_the_language_that_was_asked_for(judge: Judge) -> None:
    judged = judge("def test_it():\n    assert False", language="ko")

    assert "try: it을 생각하라." in judged["it"].message("en")


# --- what a check is given ----------------------------------------------------------------------------------------


def test_random_inputs_follow_from_the_seed_and_the_check(judge: Judge) -> None:
    checks = """
        def test_one(rng, sizes):
            assert False, str(rng.getrandbits(64)) + str(dict(sizes))

        def test_two(rng):
            assert False, str(rng.getrandbits(64))
    """

    def drawn(seed: int) -> list[str]:
        return [check.message("en").splitlines()[1] for check in judge(checks, seed=seed).checks]

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)
    assert drawn(1)[0].split("{")[0] != drawn(1)[1]
    assert drawn(1)[0].endswith("{'crowd': 5}")


def test_a_budget_is_measured_and_its_limit_holds(judge: Judge) -> None:
    judged = judge(
        """
        def test_spends(budget):
            budget.at_most("calls", 4)
        """,
        rules={"spends": BUDGET},
    )

    assert judged.outcomes == {"spends": "failed"}
    (measurement,) = judged["spends"].measurements
    assert (measurement.value, measurement.limit, measurement.reference, measurement.naive) == (4, 3, 2, 50)
    assert "expected: at most 3 calls: calls in the window (two are enough)" in judged["spends"].message("en")
    assert "seen: 4 calls; the reference needs 2" in judged["spends"].message("en")


def test_what_an_author_wrote_about_a_budget_is_told_whole(judge: Judge) -> None:
    why = "a long reason, " * 20 + "and its end"
    spends = """
        def test_spends(budget):
            budget.at_most("calls", 4)
    """

    judged = judge(spends, rules={"spends": BUDGET.replace("two are enough", f'"{why}"')})

    assert f"expected: at most 3 calls: calls in the window ({why})\n" in judged["spends"].message("en")


def test_of_a_count_that_may_be_taken_again_the_least_of_three_counts(judge: Judge) -> None:
    judged = judge(
        """
        def test_is_noisy(budget):
            takes = [5, 4, 3, 0]
            budget.at_most("calls", lambda: takes.pop(0))
            assert takes == [0]

        def test_is_too_much(budget):
            takes = [6, 4, 5, 0]
            budget.at_most("more_calls", lambda: takes.pop(0))

        def test_is_far_too_much(budget):
            takes = [31, 0]
            budget.at_most("most_calls", lambda: takes.pop(0))
        """,
        rules={
            "is_noisy": BUDGET,
            "is_too_much": BUDGET.replace("name: calls", "name: more_calls"),
            "is_far_too_much": BUDGET.replace("name: calls", "name: most_calls"),
        },
    )

    assert judged.outcomes == {"is_noisy": "passed", "is_too_much": "failed", "is_far_too_much": "failed"}
    assert judged["is_noisy"].measurements[0].value == 3
    assert "seen: 4 calls, the least of 3 takes; the reference needs 2" in judged["is_too_much"].message("en")
    assert "seen: 31 calls; the reference needs 2" in judged["is_far_too_much"].message("en")


def test_what_a_check_has_not_compared_it_gives_no_points_for(judge: Judge) -> None:
    judged = judge(
        """
        def test_forgets_it(budget):
            pass

        def test_knows_no_budget():
            pass

        def test_fails_before():
            assert False

        def test_watches():
            pass
        """,
        rules={
            "forgets_it": BUDGET,
            "knows_no_budget": BUDGET.replace("calls", "waits"),
            "fails_before": BUDGET.replace("calls", "forks"),
            "watches": "    watches:\n      - {calls: [fork], rule: one process}\n",
        },
    )

    assert judged.outcomes == {
        "forgets_it": "unmeasured",
        "knows_no_budget": "unmeasured",
        "fails_before": "failed",
        "watches": "unmeasured",
    }
    assert judged["forgets_it"].message("en") == "The check has compared nothing with calls."
    assert judged["knows_no_budget"].message("en") == "The check has compared nothing with waits."
    assert judged["watches"].message("en") == "Nothing can be counted here."


def test_a_count_that_cannot_be_taken_is_unmeasured_and_not_a_pass(judge: Judge) -> None:
    judged = judge(
        """
        from grader.checks import Count

        def test_cannot_count(budget):
            budget.at_most("calls", Count(value=None))

        def test_fails_besides(budget):
            assert False, "that much is known"
        """,
        rules={"cannot_count": BUDGET},
    )

    assert judged.outcomes == {"cannot_count": "unmeasured", "fails_besides": "failed"}
    assert judged["cannot_count"].message("en") == "Nothing can be counted here."
    assert [measurement.value for measurement in judged["cannot_count"].measurements] == [None]


# --- a grading that breaks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("1 / 0", "The check breaks itself broke: ZeroDivisionError: division by zero"),
        ("raise KeyError('x')", "The check breaks itself broke: KeyError: 'x'"),
        ("import pytest; pytest.skip('no')", "The check breaks itself broke: Skipped: no"),
        ("import pytest; pytest.fail('no')", "The check breaks itself broke: Failed: no"),
        ("import pytest; pytest.xfail('no')", "The check breaks itself broke: XFailed: no"),
        ("import sys; sys.exit(0)", "The check breaks itself broke: SystemExit: 0"),
        ("from grader.errors import GraderError; raise GraderError('no paper')", "no paper"),
    ],
)
def test_what_no_check_should_raise_breaks_the_grading(judge: Judge, body: str, reason: str) -> None:
    judged = judge(f"""
        def test_before():
            pass

        def test_breaks():
            {body}

        def test_after():
            pass
    """)

    place = "" if reason == "no paper" else " (tests/ex91_it/test_it.py:6). Mend it there."
    assert judged.broken == reason + place
    assert judged.outcomes == {"before": "passed"}
    assert judged.started == ("before", "breaks")


def test_a_budget_that_the_exercise_does_not_list_breaks_the_grading(judge: Judge) -> None:
    judged = judge("""
        def test_spends(budget):
            budget.at_most("pennies", 1)
    """)

    assert "asks for the budget pennies" in judged.broken
    assert judged.outcomes == {}


def test_a_check_file_that_cannot_be_loaded_breaks_the_grading(judge: Judge) -> None:
    judged = judge("""
        import no_such_module

        def test_it():
            pass
    """)

    assert "A check file of ex91_it cannot be loaded" in judged.broken
    assert "no_such_module" in judged.broken
    assert judged.started == ()


def test_a_check_that_pytest_does_not_collect_breaks_the_grading(judge: Judge) -> None:
    judged = judge("""
        import pytest

        @pytest.mark.parametrize("number", [1, 2])
        def test_it(number):
            pass

        def test_other():
            pass
    """)

    assert judged.broken == "pytest did not collect the checks it of ex91_it."
    assert judged.started == ()


def test_a_check_that_is_marked_to_be_skipped_breaks_the_grading(judge: Judge) -> None:
    judged = judge("""
        import pytest

        @pytest.mark.skip(reason="no")
        def test_it():
            pass
    """)

    assert "The check it itself broke: Skipped" in judged.broken
    assert judged.outcomes == {}


def test_a_class_of_checks_is_the_authors_mistake(judge: Judge) -> None:
    with pytest.raises(CourseError, match="TestIt is a class of tests"):
        judge("""
            def test_it():
                pass

            class TestIt:
                pass
        """)


# --- boxes that were killed ---------------------------------------------------------------------------------------

LOST = """
    from grader.failures import Crashed
    from grader.box.box import Sigkilled

    takes = []

    def test_loses_its_box(submission):
        takes.append(len(takes))
        if len(takes) <= {times}:
            submission.sigkilled = Sigkilled.{whose}
            raise Crashed(expected="it goes on", seen="it was killed, time " + str(len(takes)))
"""


@pytest.mark.parametrize("whose", ["INSIDE", "OUTSIDE"])
def test_a_check_whose_box_was_killed_once_is_taken_again(judge: Judge, whose: str) -> None:
    judged = judge(LOST.format(times=1, whose=whose))

    assert judged.broken == ""
    assert judged.outcomes == {"loses_its_box": "passed"}


def test_a_program_that_is_killed_each_time_has_crashed(judge: Judge) -> None:
    judged = judge(LOST.format(times=9, whose="INSIDE"))

    assert judged.outcomes == {"loses_its_box": "crashed"}
    assert "seen: it was killed, time 2" in judged["loses_its_box"].message("en")


def test_a_tracer_or_wall_that_is_killed_each_time_is_the_machines_fault(judge: Judge) -> None:
    judged = judge(LOST.format(times=9, whose="OUTSIDE"))

    assert "killed from outside, twice" in judged.broken
    assert judged.outcomes == {}


def test_a_failure_that_is_no_kill_is_not_taken_again(judge: Judge) -> None:
    judged = judge(LOST.format(times=1, whose="NO"))

    assert judged.outcomes == {"loses_its_box": "crashed"}
    assert judged["loses_its_box"].outcome is Outcome.CRASHED
