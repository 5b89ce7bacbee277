"""The course proves itself: `grade audit` on the tiny course, as it is and with each promise broken."""

import json
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from grader.course.load import load_course
from grader.course.model import Course
from grader.grading import slot
from grader.grading.slot import Tools
from grader.prove import audit
from grader.prove.promises import read_promises
from grader.report.model import Machine
from gradings import CHECKS, EXERCISE, HANDOUT, SLUG, SOLUTION, Done, Tiny, tiny_course

WRONG = f"tests/{SLUG}/wrong"
RIGHT = f"tests/{SLUG}/right"
EXPECTED = f"{WRONG}/expected.yaml"


@pytest.fixture
def course(tmp_path: Path) -> Tiny:
    return tiny_course(tmp_path)


def only_promises(course: Tiny, **red: Sequence[str]) -> None:
    """Leave these wrong submissions only, with what each is said to fail."""
    rows = [f"  {name}: {{mistake: on purpose, red: [{', '.join(checks)}]}}\n" for name, checks in red.items()]
    course.write(EXPECTED, "format: 1\nwrong:\n" + "".join(rows))
    for folder in (course.root / WRONG).iterdir():
        if folder.is_dir() and folder.name not in red:
            shutil.rmtree(folder)


def planned(course: Course, extent: audit.Extent) -> audit.Plan:
    machine = Machine(kernel="6", python="3.11.2", strace=None, bwrap=None, nofile=1024)
    tools = Tools(bwrap="/usr/bin/bwrap", strace=None)
    return audit.Plan(course=course, exercises=course.exercises, extent=extent, jobs=1, tools=tools, machine=machine)


# --- a course that keeps its promises -----------------------------------------------------------------------------


def test_the_tiny_course_keeps_every_promise_and_the_matrix_tells_how(course: Tiny, countable: None) -> None:
    done = course.type("audit")

    assert done.code == 0, done.out + done.err
    rows = [line.split() for line in done.out.splitlines() if SLUG in line]
    assert [(row[0], *row[2:]) for row in rows] == [
        ("ok", "stub", "F---"),
        ("ok", "reference", "...."),
        ("ok", "playback", "FFFF"),
        ("ok", "right/poll", "...."),
        ("ok", "wrong/unscaled", "F..."),
        ("ok", "wrong/own_words", ".F--"),
        ("ok", "wrong/uses_asyncio", "X---"),
        ("ok", "wrong/chatty", "..F."),
        ("ok", "wrong/deaf_to_stop", "...C"),
    ]
    assert done.out.endswith("9 gradings. All as promised.\n")
    assert [file.name for file in (course.root / ".grade").iterdir()] == ["audited.json"]  # no results: nobody worked


def test_a_matrix_that_cannot_be_written_is_told_before_anything_is_graded(course: Tiny) -> None:
    done = course.type("audit", "--json", "/no/such/folder/matrix.json")

    assert (done.code, done.out) == (2, "")
    assert "Nothing can be written to /no/such/folder/matrix.json: there is no folder" in done.err


def test_a_reference_may_be_graded_often_and_beside_a_busy_neighbour(course: Tiny, countable: None) -> None:
    done = course.type("audit", "ex90", "--references", "--repeat", "2", "--burn", "1", "--jobs", "2")

    assert done.code == 0, done.out + done.err
    assert "reference #1" in done.out
    assert "reference #2" in done.out
    assert "wrong/" not in done.out
    assert done.out.endswith("3 gradings. All as promised.\n")


def test_a_quick_audit_runs_only_what_a_wrong_submission_promises_to_fail(course: Tiny, countable: None) -> None:
    only_promises(course, unscaled=["scaled"])
    shutil.rmtree(course.root / RIGHT)

    done = course.type("audit", "--quick", "--json", "-")

    found = json.loads(done.out)
    rows = {row["submission"]: row["outcomes"] for row in found["rows"]}
    assert rows["wrong/unscaled"] == {"scaled": "failed"}
    assert rows["reference"] == dict.fromkeys(("scaled", "echo", "calls", "stop"), "passed")
    assert set(rows) == {"stub", "reference", "playback", "wrong/unscaled"}
    assert "gradings." in done.err


def test_measure_prints_each_figure_beside_what_was_measured(course: Tiny, countable: None) -> None:
    only_promises(course, chatty=["calls"])
    course.edit(EXPECTED, "red: [calls]", "red: [calls], shows: [syscalls_per_request]")
    shutil.rmtree(course.root / RIGHT)

    done = course.type("audit", "--quick", "--measure", "--json", "-")

    found = json.loads(done.out)
    assert "  syscalls_per_request | reference | 3 | 3 (reference)\n" in done.err
    assert "  syscalls_per_request | naive | 19 | 19 (wrong/chatty), 19 (wrong/chatty)\n" in done.err
    assert "wrong/chatty for its figures" in done.err
    rows = [row["measured"] for row in found["rows"] if row["submission"] == "wrong/chatty"]
    assert rows == [{"syscalls_per_request": 19.0}] * 2


# --- a course that does not ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory, countable: None) -> Done:
    """The audit of a course with many promises broken at once: each grading costs a second."""
    course = tiny_course(tmp_path_factory.mktemp("broken"))
    only_promises(course, unscaled=["scaled"], chatty=["calls"])
    course.edit(
        HANDOUT, "# YOUR CODE HERE\n    raise NotImplementedError()\n\n\ndef serve", "return 2 * number\n\n\ndef serve"
    )
    course.write(f"{WRONG}/chatty/tiny.py", (course.root / f"solutions/{SLUG}/tiny.py").read_text())
    course.edit(f"{WRONG}/unscaled/tiny.py", "handler(line) + b", "line + b")
    course.edit(f"{RIGHT}/poll/tiny.py", "* factor.FACTOR", "* 1")
    course.edit(CHECKS, "number = rng.randrange(1, 1000)", "number = 77")
    course.edit(EXERCISE, "reference: 3.0", "reference: 5.0")
    course.edit(EXERCISE, "naive: 19", "naive: 4")
    return course.type("audit", "--json", str(course.root.parent / "matrix.json"))


def test_a_broken_promise_is_exit_code_1(broken: Done) -> None:
    assert broken.code == 1, broken.out + broken.err
    assert "6 gradings. 5 submissions and 7 other things are off." in broken.out


@pytest.mark.parametrize(
    "complaint",
    [
        pytest.param("tiny.py:12: '    return 2 * number' where", id="a stale stub, with its line"),
        pytest.param("Run `grade stubs`.", id="the cure of a stale stub"),
        pytest.param("the stub earns 20 points; it must earn none", id="a stub that earns points"),
        pytest.param(
            "what plays back the answers of another seed earns 20 points; it must earn none: scaled (20)",
            id="answers that can be known beforehand",
        ),
        pytest.param("scaled was not to fail (failed)", id="a right submission that fails"),
        pytest.param("calls was to fail, and did not", id="a wrong submission that fails nothing"),
        pytest.param("echo was not to fail (failed)", id="a wrong submission that fails something else"),
        pytest.param("no wrong submission promises to fail echo. Write one.", id="a check that nobody fails"),
        pytest.param("no wrong submission promises to fail stop. Write one.", id="another one"),
        pytest.param("the reference's syscalls_per_request is over its limit", id="a reference over the limit"),
        pytest.param("exercise.yaml:40: the reference figure of syscalls_per_request is 5, and", id="a figure"),
        pytest.param("no wrong submission shows the naive figure of syscalls", id="a figure that nobody has"),
        pytest.param("the naive syscalls_per_request is within its limit", id="a naive figure within the limit"),
    ],
)
def test_each_broken_promise_is_told(broken: Done, complaint: str) -> None:
    assert [line for line in broken.out.splitlines() if line.strip().startswith("OFF") and complaint in line]


def test_a_complaint_about_a_check_has_the_seed_that_repeats_it(broken: Done) -> None:
    (line,) = [line for line in broken.out.splitlines() if "echo was not to fail" in line]

    assert "(seed " in line
    assert "expected: the reply b'LINE " in line


def test_a_grading_without_a_verdict_is_off_and_told_with_its_reason(course: Tiny) -> None:
    course.edit(CHECKS, "number = rng.randrange(1, 1000)", "number = 1 // 0")

    done = course.type("audit", "--references", "--json", str(course.root.parent / "matrix.json"))

    assert done.code == 1
    assert done.out.count("no verdict: The check scaled itself broke: ZeroDivisionError") == 1
    matrix = json.loads((course.root.parent / "matrix.json").read_text())
    assert matrix["clean"] is False
    assert [bool(row["off"]) for row in matrix["rows"]] == [False, True]  # of a stub, no check is run


def test_a_submission_that_cannot_be_graded_is_off_and_told(course: Tiny) -> None:
    (course.root / f"solutions/{SLUG}/tiny.py").write_bytes(b"### BEGIN SOLUTION\n\0\n### END SOLUTION\n")

    done = course.type("audit", "--references")

    assert done.code == 1
    assert "refused: tiny.py:2: " in done.out
    assert "NUL" in done.out


def test_a_grading_that_ends_without_a_word_is_off_and_told(course: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = load_course(course.root)
    monkeypatch.setattr(slot, "_COMMAND", ("/bin/false",))
    plan = planned(loaded, audit.Extent(references=True))
    said: list[str] = []

    found = audit.prove(plan, said.append)

    assert not found.clean
    ended = "no verdict: The judge ended before its verdict (exit status 1). Run it again."
    assert [result.off for result in found.results] == [(ended,)] * 2


@pytest.mark.parametrize(
    ("broken_promise", "said"),
    [
        pytest.param(
            lambda course: course.write(f"{WRONG}/brand_new/tiny.py", ""),
            f"{EXPECTED}:3: the folder brand_new is not listed; say what it must fail",
            id="an unlisted folder",
        ),
        pytest.param(
            lambda course: shutil.rmtree(course.root / WRONG / "chatty"),
            f"{EXPECTED}:13: there is no folder chatty; add it or remove the entry",
            id="a missing folder",
        ),
        pytest.param(
            lambda course: course.edit(EXPECTED, "red: [calls]", "red: [call]"),
            f"{EXPECTED}:15: there is no check call in {SLUG}",
            id="an unknown check",
        ),
        pytest.param(
            lambda course: course.edit(EXPECTED, "red: [calls]", "red: []"),
            f"{EXPECTED}:15: ",
            id="a wrong submission that promises nothing",
        ),
        pytest.param(
            lambda course: course.edit(EXPECTED, "    red: [calls]\n", "    rad: [calls]\n"),
            f"{EXPECTED}:15: the key 'rad' is not known here",
            id="a mistyped key",
        ),
        pytest.param(
            lambda course: (course.root / EXPECTED).unlink(),
            f"{EXPECTED}: there is no such file; list there what each wrong submission must fail.",
            id="no promises at all",
        ),
    ],
)
def test_promises_that_cannot_be_read_are_refused_with_file_and_line(
    course: Tiny, broken_promise: Callable[[Tiny], object], said: str
) -> None:
    broken_promise(course)

    done = course.type("audit")

    assert done.code == 2, done.out
    assert said in done.err
    assert done.out == ""


def test_an_exercise_that_there_is_not_is_refused(course: Tiny) -> None:
    done = course.type("audit", "ex91")

    assert done.code == 2
    assert "there is no exercise 'ex91'" in done.err


# --- rules and what hangs on a mistake ----------------------------------------------------------------------------

RULES = f"tests/{SLUG}/rules.yaml"
README = f"exercises/{SLUG}/README.md"
CONTRACT = """# tiny

## The contract

1. `double` gives twice the number, times the factor of
   the course. It prints nothing.
2. A stop ends the function.

## Afterwards

1. Not a rule.
"""


def ruled(course: Tiny, *rules: str) -> None:
    """Give the course a handout, and these rules of it."""
    course.write(README, CONTRACT)
    course.write(RULES, "format: 1\nrules:\n" + "".join(f"  - {{{rule}}}\n" for rule in rules))
    for mistake in (
        "imports a library that does the work",
        "answers with the line itself instead of the handler's reply",
    ):
        course.edit(EXPECTED, f"{mistake}\n", f"{mistake}\n    dear: nothing is left then\n")


FACTOR = "rule: 'twice the number, times the factor of the course', check: scaled, wrong: [unscaled]"
STOP = "rule: A stop ends the function., check: [stop], wrong: deaf_to_stop"


def test_the_table_of_rules_names_the_check_and_the_wrong_submission_of_each(course: Tiny) -> None:
    ruled(course, FACTOR, STOP, "rule: It prints nothing., unchecked: what it prints disturbs nobody")

    promises = read_promises(load_course(course.root).exercises[0])

    assert promises.off == ()  # and each mistake that takes more than 40 points along says why
    assert [(rule.check, rule.wrong) for rule in promises.rules] == [
        (("scaled",), ("unscaled",)),
        (("stop",), ("deaf_to_stop",)),
        ((), ()),
    ]


def test_an_item_of_the_contract_without_a_rule_is_off(course: Tiny) -> None:
    ruled(course, FACTOR)

    (line,) = read_promises(load_course(course.root).exercises[0]).off

    assert line == f"{RULES}: item 2 of the contract has no rule here. Say which check holds it."


def test_a_mistake_on_which_much_hangs_is_off_until_somebody_says_why(course: Tiny) -> None:
    ruled(course, FACTOR, STOP)
    course.edit(EXPECTED, "    dear: nothing is left then\n    red: [echo]\n", "    red: [echo]\n")

    (line,) = read_promises(load_course(course.root).exercises[0]).off

    said = f"{SLUG}: 80 points hang on the one mistake of own_words. Let fewer checks need what it fails, or say under"
    assert line.startswith(said)


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        pytest.param("rule: It is blue., check: scaled, wrong: unscaled", "word for word", id="not in the handout"),
        pytest.param(FACTOR.replace("scaled,", "scale,"), "there is no check scale in", id="an unknown check"),
        pytest.param(FACTOR.replace("[unscaled]", "[gone]"), "there is no wrong submission gone;", id="nobody"),
        pytest.param(FACTOR.replace("[unscaled]", "[chatty]"), "chatty promises to fail none of scaled;", id="another"),
        pytest.param("rule: A stop ends the function.", "has `check` and `wrong`, or it says", id="nothing said"),
        pytest.param(STOP + ", unchecked: too hard", "has `check` and `wrong`, or it says", id="both said"),
        pytest.param("rule: A stop ends the function., check: stop", "has `check` and `wrong`, or", id="half said"),
        pytest.param(STOP.replace("check:", "checks:"), "the key 'checks' is not known here", id="a mistyped key"),
    ],
)
def test_rules_that_do_not_agree_with_the_course_are_refused_with_file_and_line(
    course: Tiny, rule: str, said: str
) -> None:
    ruled(course, rule)

    done = course.type("audit")

    assert done.code == 2, done.out
    assert f"{RULES}:3: " in done.err
    assert said in " ".join(done.err.split())


def test_rules_need_a_handout_that_they_stand_in(course: Tiny) -> None:
    ruled(course, FACTOR)
    (course.root / README).unlink()

    done = course.type("audit")

    assert done.code == 2, done.out
    assert f"{README}: there is no such file; write the handout" in " ".join(done.err.split())


def test_hidden_sizes_are_tried_on_the_reference_and_on_what_is_right_in_a_full_audit(course: Tiny) -> None:
    course.write(f"tests/{SLUG}/hidden/sizes.yaml", "format: 1\nsizes:\n  requests: 21\n")
    exercise = load_course(course.root).exercises[0]
    plan = planned(load_course(course.root), audit.Extent())

    rows = audit.rows_of(plan, exercise, read_promises(exercise))

    assert [row.submission for row in rows if row.hidden] == ["playback", "reference", "right/poll"]


# --- what an author forgets ---------------------------------------------------------------------------------------


def test_an_exercise_without_a_handout_is_told(course: Tiny, countable: None) -> None:
    (course.root / README).unlink()

    done = course.type("audit", "--references")

    assert done.code == 1
    assert f"OFF  {README}: there is no handout. Write what is to be built" in done.out


def test_a_check_that_breaks_is_told_with_its_file_and_line(course: Tiny, countable: None) -> None:
    course.edit(CHECKS, "    number = rng.randrange(1, 1000)\n", "    number = nothing_of_that_name\n")

    done = course.type("audit", "--references")

    assert done.code == 1
    assert f"NameError: name 'nothing_of_that_name' is not defined ({CHECKS}:19). Mend it there." in done.out


def test_a_check_that_asks_for_what_there_is_not_is_told_with_its_line(course: Tiny, countable: None) -> None:
    course.edit(CHECKS, "def test_stop(submission:", "def test_stop(submision:")

    done = course.type("audit", "--references")

    assert re.search(rf"FixtureLookupError.*\({CHECKS}:4\d\)", done.out)


def test_a_solution_region_outside_of_functions_leaves_a_stub_that_can_be_imported(
    course: Tiny, countable: None
) -> None:
    course.edit(SOLUTION, "def scaled(", "### BEGIN SOLUTION\nTIMES = factor.FACTOR\n### END SOLUTION\n\n\ndef scaled(")
    course.edit(SOLUTION, "number * factor.FACTOR", "number * TIMES")
    assert course.type("stubs").code == 0

    done = course.type("audit", "--references")
    stub = course.type("ex90", "--only", "scaled")

    assert done.code == 0, done.out
    assert "can be imported" not in stub.out and "not begun" in stub.out


def test_a_budget_that_is_to_be_shown_and_is_not_there_is_told(course: Tiny) -> None:
    only_promises(course, chatty=["calls"])
    course.edit(EXPECTED, "red: [calls]", "red: [calls], shows: [no_such_budget]")

    done = course.type("audit")

    assert done.code == 2 and "there is no budget no_such_budget in ex90_tiny" in " ".join(done.err.split())
