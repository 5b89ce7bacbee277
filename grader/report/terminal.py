"""A report on a terminal, in a pipe or in a CI log. Knows words, widths, colours and rich; knows nothing of how a
verdict is reached, of files or of the environment. Whatever it prints fits the console's width, says nothing in colour
alone and lets no stranger's text reach the terminal raw.
"""

import errno
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NoReturn, TextIO

from rich import box
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from grader.report.model import Check, Graded, Measurement, Outcome, ScoredCheck, Ungraded
from grader.safe_text import safe_text

# A pipe has no width; 80 is what logs and mails are read at. Lines of more than 100 are hard to read as prose, and
# below 40 a row of numbers does not fit: a narrower terminal wraps it.
_PIPE_COLUMNS: Final = 80
_MOST_COLUMNS: Final = 100
_LEAST_COLUMNS: Final = 40

# Word, then style. The three ways to fail differ in the word, not in the colour.
_WORDS: Final = {
    Outcome.PASSED: ("ok", "green"),
    Outcome.FAILED: ("FAIL", "bold red"),
    Outcome.TIMED_OUT: ("TIME", "bold red"),
    Outcome.CRASHED: ("CRASH", "bold red"),
    Outcome.FORBIDDEN: ("FORBIDDEN", "bold red"),
    Outcome.NOT_RUN: ("not run", "none"),
    Outcome.UNMEASURED: ("unmeasured", "yellow"),
    Outcome.OMITTED: ("omitted", "none"),
}
_WORD_COLUMNS: Final = 10  # "unmeasured"
_NAME_COLUMNS: Final = 12  # most names of checks; a longer one pushes its title to the right
_POINTS_COLUMNS: Final = 5  # "10/10"

_EVIDENCE: Final = "  | "
_LABEL: Final = re.compile(r"(\w{1,10}:) +(.*)")  # "expected: ...", in any language
_FILES_SHOWN: Final = 10
_GAP: Final = "  "


@dataclass(frozen=True, slots=True, kw_only=True)
class OverviewRow:
    """One exercise of the overview. `score` is None when it was never graded whole."""

    slug: str
    title: str
    points: int
    score: int | None = None
    measurable_score: int | None = None


def make_console(stream: TextIO, *, colour: bool | None, width: int | None) -> Console:
    """A console that depends on nothing but its arguments and the stream.

    Args:
        stream: Where to print. A character that its encoding lacks is printed as an escape from now on.
        colour: None means colour on a terminal only. The caller has already looked at NO_COLOR and TERM.
        width: Columns; None means the terminal's, or 80 when the stream is not a terminal.
    """
    if reconfigure := getattr(stream, "reconfigure", None):
        reconfigure(errors="backslashreplace")
    coloured = stream.isatty() if colour is None else colour
    return _Console(
        file=stream,
        color_system="standard" if coloured else None,  # 16 colours, which follow the reader's own theme
        no_color=not coloured,
        force_terminal=coloured,
        force_jupyter=False,
        force_interactive=False,
        legacy_windows=False,
        width=_columns(stream) if width is None else max(width, _LEAST_COLUMNS),
        height=25,  # rich looks at the environment for what it is not given
        markup=False,
        emoji=False,
        highlight=False,
    )


class _Console(Console):
    """rich's, but a reader that has gone is the caller's to answer: rich would exit with 1, which says that a check
    failed."""

    def on_broken_pipe(self) -> NoReturn:
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


def banner(console: Console, lines: Iterable[str]) -> None:
    """What nobody may overlook, in a box of ASCII. Each line is wrapped on its own."""
    text = Text("\n".join(_one_line(line, max_chars=4_000) for line in lines), style="bold", overflow="fold")
    console.print(Panel(text, box=box.ASCII, border_style="yellow", width=console.width))


def show_start(console: Console, *, refused: str, untraceable: str | None, asked: bool) -> None:
    """What is not as it should be before the first check runs, and what that costs.

    Args:
        refused: why nothing is isolated; empty when all is.
        untraceable: why no system call can be counted; None when they can be.
        asked: whether a person asked for no isolation, or it is their own work.
    """
    if refused:
        whose = "You asked for it" if asked else "This is your own work"
        lines = [f"NOT ISOLATED: {refused}.", f"{whose}, so it runs bare, and the result is not official."]
        banner(console, [*lines, "`grade doctor` says what is missing and the line that mends it."])
    if untraceable:
        banner(console, [f"System calls cannot be counted: {untraceable}. Those checks will be unmeasured."])


def show_check(console: Console, check: Check) -> None:
    """One check as it ends: a line, and below it the message of a check that did not pass.

    The points stand in the line only if they were given, that is, for a `ScoredCheck`. The message of a `not_run` check
    is the words in brackets: "needs oneproc".
    """
    word, style = _WORDS[check.outcome]
    line = Text(_GAP).append(word.ljust(_WORD_COLUMNS), style)
    line.append(f"{_GAP}{_pad(_one_line(check.name), _NAME_COLUMNS)}{_GAP}")
    if check.outcome is Outcome.NOT_RUN:
        reason = _one_line(check.message)
        _put(console, line.append(f"({reason})" if reason else ""))
        return
    line.append(f"{_points(check).rjust(_POINTS_COLUMNS)}{_GAP}" if isinstance(check, ScoredCheck) else "")
    _put(console, line.append(_one_line(check.title)))
    if check.outcome is not Outcome.PASSED:
        _put_message(console, check.message, indent=6)


def show_report(console: Console, report: Graded | Ungraded, *, hints_shown: bool = True) -> None:
    """The table at the end and what it adds up to; or, loudly, that there is no verdict.

    Args:
        hints_shown: The messages of the checks were printed already, by `show_check`. If not, those of the checks that
            did not pass follow the table.
    """
    name = f"{_one_line(report.title)} ({_one_line(report.exercise)})"
    match report:
        case Graded():
            _put(console, "")
            _put(console, Text(name, "bold"))
        case Ungraded():
            _put_no_verdict(console, name, report.reason)
    if report.checks:
        _put(console, "")
        _put_table(console, report.checks, scored=report.graded)
    if not hints_shown:
        _put_failures(console, report.checks)
    _put(console, "")
    if isinstance(report, Graded):
        _put_score(console, report)
    _put_circumstances(console, report)


def show_overview(console: Console, title: str, rows: Sequence[OverviewRow], next_command: str) -> None:
    """The exercises with the best result so far, and what to type next."""
    _put(console, Text(_one_line(title), "bold"))
    _put(console, "")
    cells = [("Exercise", "Best", "Title"), *((_one_line(row.slug), _best(row), _one_line(row.title)) for row in rows)]
    slug_columns = max(cell_len(slug) for slug, _, _ in cells)
    best_columns = max(len(best) for _, best, _ in cells)
    for slug, best, text in cells:
        _put(console, f"{_GAP}{_pad(slug, slug_columns)}{_GAP}{best.rjust(best_columns)}{_GAP}{text}")
    _put(console, "")
    _put(console, Text("Next: ").append(_one_line(next_command), "bold"))


def _columns(stream: TextIO) -> int:
    if not stream.isatty():
        return _PIPE_COLUMNS
    try:
        columns = os.get_terminal_size(stream.fileno()).columns
    except OSError:
        columns = 0
    # A terminal that nobody told its size, as in some containers, says 0.
    return min(max(columns or _PIPE_COLUMNS, _LEAST_COLUMNS), _MOST_COLUMNS)


# --- lines ---------------------------------------------------------------------------------------------------------


def _put(console: Console, line: Text | str) -> None:
    """One line, cut at the width. It holds safe text already."""
    text = Text(line) if isinstance(line, str) else line
    text.rstrip()
    text.truncate(console.width, overflow="ellipsis")
    console.print(text, soft_wrap=True)


def _put_prose(console: Console, prose: str, *, first: str = "", indent: int = 0) -> None:
    """A paragraph, wrapped; `first` stands before the first line, the others are indented as far."""
    margin = " " * indent
    # One column is kept free: a `::` that wrapping moved to the start of a line gets its backslash there.
    room = max(console.width - indent - cell_len(first) - 1, 10)
    for line in Text(prose).wrap(console, room, overflow="fold"):
        _put(console, f"{margin}{first}{safe_text(line.plain, max_line=console.width)}")
        first = " " * cell_len(first)


def _put_message(console: Console, message: str, *, indent: int) -> None:
    """Paragraphs wrapped, their labels aligned; evidence cut, not wrapped: its columns mean something."""
    lines = safe_text(message, max_chars=20_000, max_line=4_000).split("\n")
    labels = [label[1] for line in lines if (label := _LABEL.fullmatch(line))]
    label_columns = max(map(cell_len, labels), default=0)
    for line in lines:
        if line.startswith(_EVIDENCE):
            _put(console, " " * indent + line)
        elif label := _LABEL.fullmatch(line):
            _put_prose(console, label[2], first=_pad(label[1], label_columns) + " ", indent=indent)
        else:
            _put_prose(console, line, indent=indent)


def _one_line(text: str, *, max_chars: int = 400) -> str:
    return " ".join(safe_text(text, max_chars=max_chars, max_line=max_chars).split())


def _pad(text: str, columns: int) -> str:
    return text if cell_len(text) >= columns else set_cell_size(text, columns)


# --- the report's table --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _BudgetRow:
    label: str
    over: bool
    numbers: tuple[str, ...]  # as _NUMBER_TITLES


_NUMBER_TITLES: Final = ("Seen", "Limit", "Ref.", "Naive")
_MOST_DECIMALS: Final = 6
_MOST_WRITTEN_OUT: Final = 1e9  # larger numbers would fill the line; no budget of this size needs all its digits


@dataclass(frozen=True, slots=True, kw_only=True)
class _Columns:
    """Widths of the table, in columns. Numbers stand right of `left`, or below what is longer than `left`."""

    words: int
    names: int
    left: int
    mark: str  # "over" if any row has it, else nothing: then it has no column
    numbers: tuple[int, ...]


def _put_table(console: Console, checks: Sequence[Check], *, scored: bool) -> None:
    """Rows of checks, each followed by the rows of its budgets, whose numbers stand in columns of their own."""
    budgets = {check.name: tuple(map(_budget_row, check.measurements)) for check in checks}
    every = [row for rows in budgets.values() for row in rows]
    columns = _table_columns(console, checks, every)

    head = Text("Outcome".ljust(columns.words) + _GAP + _pad("Check", columns.names), "bold")
    head.append(_GAP + "Points" if scored else "")
    if every:
        _put_row(console, head, "", _NUMBER_TITLES, columns)
    else:
        _put(console, head)
    for check in checks:
        word, style = _WORDS[check.outcome]
        line = Text().append(word.ljust(columns.words), style).append(_GAP + _pad(_one_line(check.name), columns.names))
        _put(console, line.append(_GAP + _points(check).rjust(len("Points")) if scored else ""))
        for row in budgets[check.name]:
            label = Text(row.label, "bold red" if row.over else "")
            _put_row(console, label, "over" if row.over else "", row.numbers, columns)
    if every:
        _put(console, "")
        _put_prose(console, "Ref. is the reference solution's figure, naive the well-known mistake's.")


def _table_columns(console: Console, checks: Sequence[Check], budgets: Sequence[_BudgetRow]) -> _Columns:
    words = max(len("Outcome"), *(len(_WORDS[check.outcome][0]) for check in checks))
    names = max(len("Check"), *(cell_len(_one_line(check.name)) for check in checks))
    mark = "over" if any(row.over for row in budgets) else ""
    numbers = tuple(
        max(map(len, column)) for column in zip(_NUMBER_TITLES, *(row.numbers for row in budgets), strict=True)
    )
    room = console.width - sum(len(_GAP) + width for width in numbers) - (len(_GAP + mark) if mark else 0)
    wanted = [words + names + len("Points") + 2 * len(_GAP), *(cell_len(row.label) for row in budgets)]
    left = max((width for width in wanted if width <= room), default=max(room, 0))
    return _Columns(words=words, names=names, left=left, mark=mark, numbers=numbers)


def _put_row(console: Console, left: Text, mark: str, numbers: Sequence[str], columns: _Columns) -> None:
    if cell_len(left.plain) > columns.left:
        _put(console, left)
        left = Text(style=left.style)
    left.pad_right(columns.left - cell_len(left.plain))
    left.append(_GAP + mark.ljust(len(columns.mark)) if columns.mark else "")
    for number, width in zip(numbers, columns.numbers, strict=True):
        left.append(_GAP + number.rjust(width))
    _put(console, left)


def _budget_row(measurement: Measurement) -> _BudgetRow:
    value, limit = measurement.value, measurement.limit
    figures = [value, limit, measurement.reference, measurement.naive]
    over = value is not None and value > limit
    decimals = 0 if all(figure.is_integer() for figure in figures if figure is not None) else 2
    # A value just over its limit must not look equal to it.
    while over and 0 < decimals < _MOST_DECIMALS and f"{value:.{decimals}f}" == f"{limit:.{decimals}f}":
        decimals += 1
    unit = _one_line(measurement.unit)
    return _BudgetRow(
        label="    " + _one_line(measurement.name) + (f" ({unit})" if unit else ""),
        over=over,
        numbers=tuple("-" if figure is None else _figure(figure, decimals) for figure in figures),
    )


def _figure(figure: float, decimals: int) -> str:
    return f"{figure:,.{decimals}f}" if abs(figure) < _MOST_WRITTEN_OUT else f"{figure:.2e}"


def _points(check: Check) -> str:
    if not isinstance(check, ScoredCheck):
        return ""
    return f"{'-' if check.score is None else check.score}/{check.points}"


def _best(row: OverviewRow) -> str:
    if row.score is None:
        return "not yet"
    unmeasured = row.points - (row.points if row.measurable_score is None else row.measurable_score)
    return f"{row.score}/{row.points}" + (f", {unmeasured} unmeasured" if unmeasured else "")


# --- what stands around the table ----------------------------------------------------------------------------------


def _put_no_verdict(console: Console, name: str, reason: str) -> None:
    _put(console, "")
    banner(console, [f"NO VERDICT: {name}", "Nobody got a zero: this run has no score at all."])
    _put_message(console, reason, indent=0)
    _put(console, "")
    cure = (
        "What to do: remove the cause, then type the same command again. `grade doctor` says what this machine lacks."
    )
    _put_prose(console, cure)


def _put_failures(console: Console, checks: Iterable[Check]) -> None:
    for check in checks:
        if check.message and check.outcome not in (Outcome.PASSED, Outcome.NOT_RUN):
            _put(console, "")
            show_check(console, check)


def _put_score(console: Console, report: Graded) -> None:
    style = "bold green" if report.passed else "bold"
    _put(console, Text(f"Score {report.score:,} of {report.max_score:,}", style))
    if report.measurable_score < report.max_score:
        _put_prose(
            console,
            f"{report.measurable_score:,} of {report.max_score:,} points are measurable here. "
            "Unmeasured checks are neither points nor a zero: grade them on another machine.",
        )


def _put_circumstances(console: Console, report: Graded | Ungraded) -> None:
    """What this run was made under. Of a run without a verdict nobody asks whether it is official."""
    isolation = "not proven: it broke before that" if report.isolation is None else report.isolation.value
    facts = [("Isolation:", isolation)]
    facts += [("", f"- missing: {_one_line(missing)}") for missing in report.missing_protections]
    if isinstance(report, Graded):
        facts.append(("Official:", f"no, because {why}" if (why := report.why_unofficial) else "yes"))
    if report.sizes == "hidden":
        facts.append(("Sizes:", "hidden, the instructor's own"))
    facts.append(("Seed:", f"{report.seed}; to repeat this run, add --seed {report.seed} to the command"))
    if report.ignored_files:
        facts.append(("Ignored:", f"{_some(report.ignored_files)}; not part of the exercise"))
    label_columns = max(len(label) for label, _ in facts)
    for label, fact in facts:
        _put_prose(console, fact, first=label.ljust(label_columns) + " ")


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(_one_line(name, max_chars=80) for name in names[:_FILES_SHOWN])
    return shown if len(names) <= _FILES_SHOWN else f"{shown} and {len(names) - _FILES_SHOWN:,} more"
