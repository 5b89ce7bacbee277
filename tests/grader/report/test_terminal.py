"""What a student reads, word for word, and that no stranger's text can spoil it."""

import difflib
import io
import os
import re
import runpy
import termios
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from grader.report import terminal
from grader.report.model import Check, Isolation, Outcome, Report
from grader.report.terminal import OverviewRow
from places import TESTS

GOLDEN = TESTS / "golden"
SAMPLES: dict[str, Any] = runpy.run_path(str(GOLDEN / "regenerate.py"))
SCREENS = list(SAMPLES["SCREENS"])
REPORTS: dict[str, Report] = SAMPLES["REPORTS"]
screen: Callable[..., str] = SAMPLES["screen"]

# A busy machine is not a failure, and the folder that the tests start in may be read-only.
PATIENT = settings(deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])

ESCAPE_SEQUENCE = re.compile(r"\x1b\[[0-9;]*m")

each_screen = pytest.mark.parametrize("name", SCREENS)


def shown(report: Report, **more: Any) -> str:
    stream = io.StringIO()
    terminal.show_report(terminal.make_console(stream, colour=False, width=80), report, **more)
    return stream.getvalue()


def shown_check(check: Check, width: int = 80) -> str:
    stream = io.StringIO()
    terminal.show_check(terminal.make_console(stream, colour=False, width=width), check, "en")
    return stream.getvalue()


def over_its_limit(value: float | None, limit: float, reference: float = 0, naive: float | None = None) -> str:
    """The row of one budget in the table of a report."""
    budget = {"name": "calls", "value": value, "limit": limit, "reference": reference, "naive": naive, "unit": ""}
    check = SAMPLES["scored"]("idle", "Idle", 4, Outcome.FAILED, measurements=(budget,))
    row = re.search(r"^    calls +(.*)$", shown(SAMPLES["graded"](check)), re.MULTILINE)
    assert row
    return " ".join(row[1].split())


@each_screen
def test_a_screen_is_what_its_golden_file_holds(name: str) -> None:
    wanted = (GOLDEN / f"{name}.txt").read_text(encoding="utf-8")
    got = screen(name)

    difference = "\n".join(difflib.unified_diff(wanted.splitlines(), got.splitlines(), "golden", "now", lineterm=""))
    assert got == wanted, f"{difference}\nIf this is meant, run: python tests/grader/golden/regenerate.py"


def test_no_golden_file_is_left_over() -> None:
    assert {path.stem for path in GOLDEN.glob("*.txt")} == {*SCREENS, *SAMPLES["TEXTS"]}


@each_screen
@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_no_line_is_wider_than_the_console_or_ends_in_blanks(name: str, width: int) -> None:
    lines = screen(name, width=width).split("\n")

    assert max(map(cell_len, lines)) <= width
    assert not [line for line in lines if line.endswith(" ")]


@each_screen
def test_colour_says_nothing_that_the_words_do_not(name: str) -> None:
    coloured = screen(name, colour=True)

    assert "\x1b[" in coloured
    lines = [line.rstrip() for line in ESCAPE_SEQUENCE.sub("", coloured).split("\n")]
    assert lines == screen(name, colour=False).split("\n")
    assert "\x1b" not in screen(name, colour=False)


@each_screen
def test_the_environment_does_not_reach_a_console(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, coloured = screen(name), screen(name, colour=True)
    for variable, value in {"COLUMNS": "33", "FORCE_COLOR": "1", "TERM": "dumb", "TTY_COMPATIBLE": "1"}.items():
        monkeypatch.setenv(variable, value)

    assert screen(name) == plain
    monkeypatch.setenv("NO_COLOR", "1")
    assert screen(name, colour=True) == coloured


@pytest.mark.parametrize(("columns", "width"), [(72, 72), (300, 100), (10, 40), (0, 80)])
def test_on_a_terminal_there_is_colour_and_its_own_width_within_reason(columns: int, width: int) -> None:
    leader, follower = os.openpty()
    with os.fdopen(leader, "rb"), os.fdopen(follower, "w") as stream:
        termios.tcsetwinsize(stream.fileno(), (24, columns))
        console = terminal.make_console(stream, colour=None, width=None)

    assert console.width == width
    assert console.color_system == "standard"


def test_in_a_pipe_there_is_no_colour_and_a_width_of_80() -> None:
    reader, writer = os.pipe()
    with os.fdopen(reader), os.fdopen(writer, "w") as stream:
        console = terminal.make_console(stream, colour=None, width=None)
        terminal.show_report(console, REPORTS["full_pass"])

    assert console.width == 80
    assert console.color_system is None


def test_what_the_encoding_of_a_stream_lacks_is_escaped_and_breaks_nothing(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w", encoding="ascii") as stream:
        terminal.show_report(terminal.make_console(stream, colour=False, width=None), REPORTS["korean"])

    assert "epoll \\ub8e8\\ud504 (ex03_epoll)" in (tmp_path / "log").read_text(encoding="ascii")


@pytest.mark.parametrize(
    ("row", "numbers"),
    [
        pytest.param(over_its_limit(1182, 5), "over 1,182 5 0 -", id="whole"),
        pytest.param(over_its_limit(3, 4.5, 3, 102), "3.00 4.50 3.00 102.00", id="one decides for its row"),
        pytest.param(over_its_limit(0.0312, 0.05), "0.03 0.05 0.00 -", id="two decimals"),
        pytest.param(over_its_limit(4.502, 4.5), "over 4.502 4.500 0.000 -", id="just over never looks equal"),
        pytest.param(over_its_limit(5, 5), "5 5 0 -", id="at the limit is not over"),
        pytest.param(over_its_limit(None, 5), "- 5 0 -", id="unmeasured"),
        pytest.param(over_its_limit(2.5e12, 5), "over 2.50e+12 5 0 -", id="huge"),
    ],
)
def test_numbers_are_written_for_a_reader(row: str, numbers: str) -> None:
    assert row == numbers


@pytest.mark.parametrize(
    ("outcome", "word"),
    [
        (Outcome.PASSED, "ok"),
        (Outcome.FAILED, "FAIL"),
        (Outcome.TIMED_OUT, "TIME"),
        (Outcome.CRASHED, "CRASH"),
        (Outcome.FORBIDDEN, "FORBIDDEN"),
        (Outcome.NOT_RUN, "not run"),
        (Outcome.UNMEASURED, "unmeasured"),
    ],
)
def test_each_outcome_has_its_word(outcome: Outcome, word: str) -> None:
    check = SAMPLES["scored"]("many", "Many clients", 5, outcome)

    assert shown_check(check).startswith(f"  {word} ")
    assert f"\n{word} " in shown(SAMPLES["graded"](check))


def test_a_check_that_did_not_run_is_one_line_with_the_reason() -> None:
    check = SAMPLES["scored"]("budget", "Three system calls", 8, Outcome.NOT_RUN, reason="needs oneproc")

    assert shown_check(check).split() == ["not", "run", "budget", "(needs", "oneproc)"]


def test_a_check_without_a_score_shows_no_points() -> None:
    fields = {"name": "many", "title": "Many clients", "points": 5, "outcome": Outcome.PASSED, "duration_s": 0.1}

    assert shown_check(Check.model_validate(fields)).split() == ["ok", "many", "Many", "clients"]


def test_messages_follow_the_table_only_if_they_were_not_shown_yet() -> None:
    assert "try:" not in shown(REPORTS["failing"])
    assert shown(REPORTS["failing"], hints_shown=False).count("try:") == 3


@pytest.mark.parametrize(
    ("circumstances", "reason"),
    [
        ({"official": True}, "yes"),
        ({"isolation": Isolation.BARE}, "no, because the program was not boxed"),
        ({"partial": True}, "no, because only some of the checks were run"),
        ({}, "no, because these are not the course's own checks"),
    ],
)
def test_a_report_says_whether_it_is_official_and_why_not(circumstances: dict[str, object], reason: str) -> None:
    report = SAMPLES["graded"](SAMPLES["BASIC"], **({"official": False} | circumstances))

    assert f"Official:  {reason}\n" in shown(report)


def test_hidden_sizes_are_named() -> None:
    assert "Sizes:" not in shown(REPORTS["full_pass"])
    assert "Sizes:     hidden" in shown(REPORTS["full_pass"].model_copy(update={"sizes": "hidden"}))


def test_many_ignored_files_are_counted_and_their_names_are_harmless() -> None:
    names = ("\x1b[2J\n::error::x.py", *(f"{number}.txt" for number in range(14)))
    text = shown(REPORTS["full_pass"].model_copy(update={"ignored_files": names}))

    assert "\\x1b[2J" in text
    assert "and 5 more" in text
    assert "9.txt" not in text


def test_a_report_without_a_verdict_says_so_and_mentions_no_score_of_anyone() -> None:
    text = shown(REPORTS["ungraded"])

    assert "NO VERDICT" in text
    assert "Nobody got a zero" in text
    assert "--cap-add\nSYS_PTRACE" in text
    assert not re.search(r"Score|\d/\d|Official", text)


def test_a_report_without_a_verdict_may_have_no_checks() -> None:
    text = shown(REPORTS["ungraded"].model_copy(update={"checks": ()}), hints_shown=False)

    assert "NO VERDICT" in text
    assert "Outcome" not in text


def test_the_overview_says_how_much_of_a_best_result_was_measurable() -> None:
    stream = io.StringIO()
    console = terminal.make_console(stream, colour=False, width=80)
    rows = [OverviewRow(slug="ex01", title="One", points=10, score=7, measurable_score=8)]
    terminal.show_overview(console, "Course", rows, "grade ex01")

    assert "ex01      7/10, 2 unmeasured  One" in stream.getvalue()


def test_an_overview_of_no_exercises_is_still_an_overview() -> None:
    stream = io.StringIO()
    terminal.show_overview(terminal.make_console(stream, colour=False, width=80), "Course", [], "grade doctor")

    assert stream.getvalue() == "Course\n\n  Exercise  Best  Title\n\nNext: grade doctor\n"


def test_wrapping_brings_no_command_of_a_ci_runner_to_the_start_of_a_line() -> None:
    for filling in range(60, 80):
        check = SAMPLES["scored"](
            "a", "A", 1, Outcome.FAILED, failure=SAMPLES["failure"]("x" * filling + "::error::pwned " * 9, "")
        )

        lines = shown_check(check).split("\n")
        assert not [line for line in lines if line.lstrip().startswith("::")]
        assert max(map(len, lines)) <= 80


STRANGER = st.text(
    st.one_of(st.characters(), st.sampled_from("\x1b\r\n\t \x9b\u202e\u200b\ud800:#[]|  가나e\u0301")),
    max_size=300,
)


@PATIENT
@given(STRANGER, STRANGER, st.sampled_from(list(Outcome)), st.sampled_from([40, 80]))
def test_no_text_of_a_stranger_is_obeyed_or_breaks_the_width(
    message: str, name: str, outcome: Outcome, width: int
) -> None:
    check = SAMPLES["scored"](name, name, 3, outcome, **SAMPLES["because"](outcome, message or "x"))
    report = SAMPLES["graded"](check, title=name, exercise=name, ignored_files=(name, message))
    stream = io.StringIO()
    console = terminal.make_console(stream, colour=False, width=width)
    terminal.banner(console, [name, message])
    terminal.show_check(console, check, "en")
    terminal.show_report(console, report, hints_shown=False)
    terminal.show_report(console, REPORTS["ungraded"].model_copy(update={"reason": message, "title": name}))
    terminal.show_overview(console, name, [OverviewRow(slug=name, title=name, points=3)], name)

    lines = stream.getvalue().split("\n")
    assert max(map(cell_len, lines)) <= width
    assert not [line for line in lines if line.lstrip().startswith("::") or "##[" in line]
    assert not {unicodedata.category(character) for line in lines for character in line} & {
        "Cc",
        "Cf",
        "Cs",
        "Co",
        "Cn",
    }
