"""A program that cannot be imported, or is not begun, is told once, as what it is, and the other checks are not run."""

from pathlib import Path

import pytest

from gradings import HANDOUT, SLUG, Tiny, tiny_course

NOT_RUN = {"echo": "not_run", "calls": "not_run", "stop": "not_run"}
HEAD = "import select\n"


@pytest.fixture
def course(tmp_path: Path) -> Tiny:
    return tiny_course(tmp_path)


@pytest.mark.parametrize(
    ("before", "outcome", "seen", "hint"),
    [
        ("a = \u201ctext\u201d\n", "crashed", "cannot read it: SyntaxError", "comes from a word processor"),
        ("<<<<<<< HEAD\n", "crashed", "cannot read it: SyntaxError", "Git has left two versions"),
        ("import numpy\n", "crashed", "raised ModuleNotFoundError", "no package that pip installs is there"),
        ("from . import helper\n", "crashed", "attempted relative import", "no import may begin with a dot"),
        ("import slect\n", "crashed", "raised ModuleNotFoundError", "Did you mean select?"),
        ("import socket\na = socket.sokcet()\n", "crashed", "raised AttributeError", "Did you mean socket?"),
        ("from queue import Queu\n", "crashed", "raised ImportError", "Did you mean Queue?"),
        ("number = 1\na = nubmer\n", "crashed", "raised NameError", "Did you mean number?"),
        ("name = input()\n", "crashed", "raised EOFError", "input() finds the end at once"),
        ("exit()\n", "crashed", "raised SystemExit", "Nothing may end the program while tiny.py is imported"),
        ("import os\nos._exit(0)\n", "crashed", "the program has ended", "Nothing may end the program"),
        ("import asyncio\n", "forbidden", "asyncio is not allowed here", "Take it out"),
    ],
)
def test_an_import_that_fails_is_told_once_with_a_hint_of_its_own(
    course: Tiny, before: str, outcome: str, seen: str, hint: str
) -> None:
    course.hand_in((HEAD, before + HEAD))

    done = course.grade("ex90")

    assert done.code == 1
    assert (done.outcomes, done.graded.score) == ({"scaled": outcome, **NOT_RUN}, 0)
    first, *others = done.graded.checks
    assert first.failure is not None
    assert seen in first.failure.seen
    assert hint in first.failure.hint
    assert {check.reason for check in others} == {"tiny.py cannot be imported"}
    assert "echo" not in done.out.replace("echo  ", "")  # no check is said to need another


def test_a_helper_that_was_handed_in_beside_it_is_told_by_its_name(course: Tiny) -> None:
    course.hand_in((HEAD, f"import helper\n{HEAD}"))
    course.write(f"exercises/{SLUG}/helper.py", "")

    assert "try: helper.py is not handed in: tiny.py alone is." in course.grade("ex90").message("scaled")


def test_an_import_without_an_end_is_told_with_its_line_and_ends_the_grading(course: Tiny) -> None:
    course.hand_in((HEAD, f"import time\nwhile True:\n    time.sleep(1)\n{HEAD}"))

    done = course.grade("ex90")

    assert done.outcomes == {"scaled": "failed", **NOT_RUN}
    failure = done.graded.checks[0].failure
    assert failure is not None
    assert failure.seen.startswith("nothing: the import does not come to its end, in sleep() of line 5 for ")
    assert (failure.evidence[0].file, failure.evidence[0].line) == ("tiny.py", 5)
    assert failure.hint.startswith("An import has to come to its end.")


def test_an_import_that_uses_its_processor_without_an_end_is_told_alike(course: Tiny) -> None:
    course.hand_in((HEAD, f"while True:\n    pass\n{HEAD}"))

    failure = course.grade("ex90", "--only", "scaled").graded.checks[0].failure

    assert failure is not None
    assert failure.seen.startswith("nothing: the import does not come to its end, in line ")


def test_an_untouched_stub_is_not_begun_and_no_crash(course: Tiny) -> None:
    done = course.grade("ex90")

    assert done.outcomes == {"scaled": "failed", **NOT_RUN}
    assert "seen: not begun: these functions are left to write: scaled, serve_tiny" in done.message("scaled")
    assert done.message("stop") == "tiny.py is not begun"


def test_a_function_that_is_left_to_write_is_told_where_it_is_called(course: Tiny) -> None:
    unwritten = "    # YOUR CODE HERE\n    raise NotImplementedError()\n"
    course.edit(HANDOUT, f"{unwritten}\n\ndef", "    return 3 * number\n\n\ndef")

    done = course.grade("ex90", "--only", "echo")

    assert done.outcomes == {"echo": "failed"}
    assert "seen: not begun: serve_tiny() is left to write" in done.message("echo")
    assert "try: Write it in the place of its `raise NotImplementedError()`." in done.message("echo")


def test_one_that_is_imported_once_is_no_failed_import_later(course: Tiny) -> None:
    """A name that each box has another time of: which of the checks fails is their own affair."""
    marker = "import os\nif os.open('/proc/self/exe', os.O_RDONLY) > 100:\n    raise OSError('no')\n"
    course.hand_in((HEAD, marker + HEAD))

    assert set(course.grade("ex90").outcomes.values()) == {"passed"}


def test_what_needs_what_is_told_as_before(course: Tiny) -> None:
    course.hand_in(("handler(line) + b", "line + b"))

    done = course.grade("ex90")

    assert done.outcomes == {"scaled": "passed", "echo": "failed", "calls": "not_run", "stop": "not_run"}
    assert done.message("stop") == "needs echo"


def test_an_exception_that_each_programmer_knows_has_its_own_hint(course: Tiny) -> None:
    course.hand_in((").splitlines()", ").splitlinse()"))

    done = course.grade("ex90")

    messages = [done.message(name) for name, outcome in done.outcomes.items() if outcome == "crashed"]
    assert messages and all("try: splitlinse is not there. Did you mean splitlines?" in message for message in messages)
