"""A report on a terminal, in a pipe or in a CI log. Knows words, widths, colours and rich; knows nothing of how a
verdict is reached, of files or of the environment. Whatever it prints fits the console's width, says nothing in colour
alone and lets no stranger's text reach the terminal raw.
"""

import errno
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NoReturn, TextIO

from rich import box
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from grader.report.model import Check, Failure, Graded, Measurement, Outcome, Refused, Report, ScoredCheck, Ungraded
from grader.safe_text import safe_text
from grader.words.languages import language
from grader.words.say import say

# A pipe has no width; 80 is what logs and mails are read at. Lines of more than 100 are hard to read as prose, and
# below 40 a row of numbers does not fit: a narrower terminal wraps it.
_PIPE_COLUMNS: Final = 80
_MOST_COLUMNS: Final = 100
_LEAST_COLUMNS: Final = 40

_STYLES: Final = {Outcome.PASSED: "green", Outcome.UNMEASURED: "yellow"}  # of what has not failed
_WORD_COLUMNS: Final = 10  # "unmeasured"
_NAME_COLUMNS: Final = 12  # most names of checks; a longer one pushes its title to the right
_POINTS_COLUMNS: Final = 5  # "10/10"

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


def show_check(console: Console, check: Check, code: str) -> None:
    """One check as it ends: a line, and below it what went wrong, or the reason.

    The points stand in the line only if they were given, that is, for a `ScoredCheck`. The reason of a `not_run` check
    stands in brackets: "needs oneproc".

    Args:
        code: of the language that the check is in: its report's.
    """
    line = Text(_GAP).append(_pad(_mark(check, code), _WORD_COLUMNS), _style(check))
    line.append(f"{_GAP}{_pad(_one_line(check.name), _NAME_COLUMNS)}{_GAP}")
    if check.outcome is Outcome.NOT_RUN:
        _put(console, line.append(f"({_one_line(check.reason)})"))
        return
    line.append(f"{_points(check).rjust(_POINTS_COLUMNS)}{_GAP}" if isinstance(check, ScoredCheck) else "")
    _put(console, line.append(_one_line(check.title)))
    if check.failure is not None:
        _put_failure(console, check.failure, code)
    elif check.reason:
        _put_paragraphs(console, check.reason, indent=6)


def show_report(console: Console, report: Report, *, hints_shown: bool = True) -> None:
    """The table at the end and what it adds up to; or, loudly, that there is no verdict, or what is refused.

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
            _put_no_verdict(console, name, report)
        case Refused():
            _put_refused(console, name, report)
    if report.checks:
        _put(console, "")
        _put_table(console, report.checks, scored=report.graded, code=report.language)
    if not hints_shown:
        _put_failures(console, report.checks, report.language)
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


def _put_failure(console: Console, failure: Failure, code: str) -> None:
    """Paragraphs behind their labels; below them evidence cut, not wrapped: its columns mean something."""
    parts = failure.parts(code)
    label_columns = max((cell_len(label) for label, _ in parts), default=0)
    for label, text in parts:
        _put_paragraphs(console, text, first=_pad(label, label_columns) + " ", indent=6)
    for row in failure.proof():
        _put(console, " " * 6 + safe_text(row, max_line=4_000))


def _put_paragraphs(console: Console, text: str, *, first: str = "", indent: int) -> None:
    """What has several paragraphs; `first` stands before the first of them."""
    for paragraph in safe_text(text, max_chars=20_000, max_line=4_000).split("\n"):
        _put_prose(console, paragraph, first=first, indent=indent)
        first = ""


def _one_line(text: str, *, max_chars: int = 400) -> str:
    return " ".join(safe_text(text, max_chars=max_chars, max_line=max_chars).split())


def _right(text: str, columns: int) -> str:
    return " " * (columns - cell_len(text)) + text


def _pad(text: str, columns: int) -> str:
    return text if cell_len(text) >= columns else set_cell_size(text, columns)


# --- the report's table --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _BudgetRow:
    label: str
    over: bool
    numbers: tuple[str, ...]  # as _NUMBER_TITLES


_NUMBER_TITLES: Final = (say("Seen"), say("Limit"), say("Ref."), say("Naive"))
_OUTCOME, _CHECK, _POINTS = say("Outcome"), say("Check"), say("Points")
_MOST_DECIMALS: Final = 6
_MOST_WRITTEN_OUT: Final = 1e9  # larger numbers would fill the line; no budget of this size needs all its digits


@dataclass(frozen=True, slots=True, kw_only=True)
class _Columns:
    """Widths of the table, in columns. Numbers stand right of `left`, or below what is longer than `left`."""

    words: int
    names: int
    points: int
    left: int
    mark: str  # "over", in the reader's language, if any row has it; else nothing: then it has no column
    numbers: tuple[int, ...]


def _mark(check: Check, code: str) -> str:
    return language(code).tell(check.outcome.mark)


def _style(check: Check) -> str:
    return "bold red" if check.outcome.failed else _STYLES.get(check.outcome, "none")


def _put_table(console: Console, checks: Sequence[Check], *, scored: bool, code: str) -> None:
    """Rows of checks, each followed by the rows of its budgets, whose numbers stand in columns of their own."""
    budgets = {check.name: tuple(map(_budget_row, check.measurements)) for check in checks}
    every = [row for rows in budgets.values() for row in rows]
    tell = language(code).tell
    titles = tuple(map(tell, _NUMBER_TITLES))
    columns = _table_columns(console, checks, every, titles, code)

    head = Text(_pad(tell(_OUTCOME), columns.words) + _GAP + _pad(tell(_CHECK), columns.names), "bold")
    head.append(_GAP + _right(tell(_POINTS), columns.points) if scored else "")
    if every:
        _put_row(console, head, "", titles, columns)
    else:
        _put(console, head)
    for check in checks:
        line = Text().append(_pad(_mark(check, code), columns.words), _style(check))
        line.append(_GAP + _pad(_one_line(check.name), columns.names))
        _put(console, line.append(_GAP + _right(_points(check), columns.points) if scored else ""))
        for row in budgets[check.name]:
            label = Text(row.label, "bold red" if row.over else "")
            _put_row(console, label, columns.mark if row.over else "", row.numbers, columns)
    if every:
        _put(console, "")
        _put_prose(console, tell(say("Ref. is the reference solution's figure, naive the well-known mistake's.")))


def _table_columns(
    console: Console, checks: Sequence[Check], budgets: Sequence[_BudgetRow], titles: Sequence[str], code: str
) -> _Columns:
    tell = language(code).tell
    words = max(cell_len(tell(_OUTCOME)), *(cell_len(_mark(check, code)) for check in checks))
    names = max(cell_len(tell(_CHECK)), *(cell_len(_one_line(check.name)) for check in checks))
    points = max(cell_len(tell(_POINTS)), _POINTS_COLUMNS)
    mark = tell(say("over")) if any(row.over for row in budgets) else ""
    rows = zip(titles, *(row.numbers for row in budgets), strict=True)
    numbers = tuple(max(map(cell_len, column)) for column in rows)
    room = console.width - sum(len(_GAP) + width for width in numbers) - (cell_len(_GAP + mark) if mark else 0)
    wanted = [words + names + points + 2 * len(_GAP), *(cell_len(row.label) for row in budgets)]
    left = max((width for width in wanted if width <= room), default=max(room, 0))
    return _Columns(words=words, names=names, points=points, left=left, mark=mark, numbers=numbers)


def _put_row(console: Console, left: Text, mark: str, numbers: Sequence[str], columns: _Columns) -> None:
    if cell_len(left.plain) > columns.left:
        _put(console, left)
        left = Text(style=left.style)
    left.pad_right(columns.left - cell_len(left.plain))
    left.append(_GAP + _pad(mark, cell_len(columns.mark)) if columns.mark else "")
    for number, width in zip(numbers, columns.numbers, strict=True):
        left.append(_GAP + _right(number, width))
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


def _put_no_verdict(console: Console, name: str, report: Ungraded) -> None:
    tell = language(report.language).tell
    _put(console, "")
    lines = say("NO VERDICT: {name}", name=name), say("Nobody got a zero: this run has no score at all.")
    banner(console, map(tell, lines))
    _put_paragraphs(console, report.reason, indent=0)
    _put(console, "")
    cure = say(
        "What to do: remove the cause, then type the same command again. `grade doctor` says what this machine lacks."
    )
    _put_prose(console, tell(cure))


def _put_refused(console: Console, name: str, report: Refused) -> None:
    tell = language(report.language).tell
    refusal = report.refusal
    _put(console, "")
    ended = say("NOTHING HANDED IN: {name}", name=name) if refusal.absent else say("REFUSED: {name}", name=name)
    lines = ended, say("Not graded, and no zero: this run has no score at all.")
    banner(console, map(tell, lines))
    _put_paragraphs(console, refusal.why, indent=0)
    _put(console, "")
    cure = say("What to do: {cure} Then type the same command again.", cure=_one_line(refusal.cure, max_chars=1_000))
    _put_prose(console, tell(cure))


def _put_failures(console: Console, checks: Iterable[Check], code: str) -> None:
    for check in checks:
        if check.outcome not in (Outcome.PASSED, Outcome.NOT_RUN):
            _put(console, "")
            show_check(console, check, code)


def _put_score(console: Console, report: Graded) -> None:
    tell = language(report.language).tell
    style = "bold green" if report.passed else "bold"
    score = say("Score {score:,} of {most:,}", score=report.score, most=report.max_score)
    _put(console, Text(tell(score), style))
    if report.measurable_score < report.max_score:
        measurable = say(
            "{measurable:,} of {most:,} points are measurable here. "
            "Unmeasured checks are neither points nor a zero: grade them on another machine.",
            measurable=report.measurable_score,
            most=report.max_score,
        )
        _put_prose(console, tell(measurable))


def _put_circumstances(console: Console, report: Report) -> None:
    """What this run was made under. Of a run without a verdict nobody asks whether it is official."""
    tell = language(report.language).tell
    facts = [(tell(label), tell(fact)) for label, fact in _circumstances(report)]
    label_columns = max((cell_len(label) for label, _ in facts), default=0)
    for label, fact in facts:
        _put_prose(console, fact, first=_pad(label, label_columns) + " ")


def _circumstances(report: Report) -> Iterable[tuple[str, str]]:
    if isinstance(report, Refused):  # nothing has run
        return
    isolation = report.isolation.value if report.isolation else say("not proven: it broke before that")
    yield say("Isolation:"), isolation
    for missing in report.missing_protections:
        yield "", say("- missing: {protection}", protection=_one_line(missing))
    if isinstance(report, Graded):
        why = report.why_unofficial
        yield say("Official:"), say("yes") if why is None else say("no, because {why}", why=why)
    if report.sizes == "hidden":
        yield say("Sizes:"), say("hidden, the instructor's own")
    yield say("Seed:"), say("{seed}; to repeat this run, add --seed {seed} to the command", seed=report.seed)
    if report.ignored_files:
        yield say("Ignored:"), say("{files}; not part of the exercise", files=_some(report.ignored_files))


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(_one_line(name, max_chars=80) for name in names[:_FILES_SHOWN])
    if len(names) <= _FILES_SHOWN:
        return shown
    return say("{files} and {count:,} more", files=shown, count=len(names) - _FILES_SHOWN)
