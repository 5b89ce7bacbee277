"""Records docs/run.svg: what a terminal shows of two real gradings, one wrong and one right. When the words on the
screen have changed, run it again: `python docs/record.py`.

Knows which commands are worth a picture and which of their lines; changes no character of them. Knows nothing of how a
grading goes.
"""

import itertools
import os
import pty
import shlex
import subprocess
import sys
from collections.abc import Sequence
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "run.svg"
COLUMNS = 84
WRONG = ("ex03", "--submission", "tests/ex03_epoll/wrong/timeout_10ms", "--only", "idle")
RIGHT = ("ex03", "--solution")
LEFT_OUT = Text("  ⋮", style="dim")

# Background, foreground, then black, red, green, yellow, blue, magenta, cyan, white: each readable on the background.
THEME = TerminalTheme(
    (24, 26, 31),
    (222, 224, 228),
    [
        (24, 26, 31),
        (240, 113, 120),
        (126, 200, 138),
        (229, 192, 106),
        (120, 170, 240),
        (198, 146, 234),
        (110, 200, 210),
        (222, 224, 228),
    ],
)
# rich's own template loads a font from the network; a picture in a README must stand alone.
TEMPLATE = """\
<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {width} {height}">
<title>grade finds a wrong server by its system calls, and the reference passes</title>
<style>
.{unique_id}-matrix {{
    font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace;
    font-size: {char_height}px;
    line-height: {line_height}px;
    font-variant-east-asian: full-width;
}}
.{unique_id}-title {{ font-size: 18px; font-family: sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def main() -> None:
    PICTURE.write_text(picture(), encoding="utf-8")
    print(PICTURE.relative_to(ROOT))


def picture() -> str:
    """The SVG of both gradings, made now."""
    wrong, right = graded(WRONG, expected_code=1), graded(RIGHT, expected_code=0)
    console = Console(file=StringIO(), record=True, width=COLUMNS, height=25, force_terminal=True, legacy_windows=False)
    for line in (
        *wrong[: _place(wrong, "")],  # without its table
        LEFT_OUT,
        wrong[_place(wrong, "Score")],
        Text(),
        right[0],
        LEFT_OUT,
        right[_place(right, "Outcome")],
        LEFT_OUT,
        *_row(right, "idle"),
        LEFT_OUT,
        *_row(right, "c10k"),
        Text(),
        *right[_place(right, "Score") : _place(right, "Official") + 1],
    ):
        console.print(line, soft_wrap=True)
    return console.export_svg(title="tracegrade", theme=THEME, code_format=TEMPLATE, unique_id="run")


def graded(words: Sequence[str], *, expected_code: int) -> list[Text]:
    """The command line and what `grade` shows for it on a terminal, line by line, with its colours.

    Raises:
        SystemExit: it ended with another exit code.
    """
    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(COLUMNS), "TERM": "xterm"}
    environment.pop("NO_COLOR", None)
    command = [sys.executable, "-m", "grader", *words]
    with subprocess.Popen(command, cwd=ROOT, stdin=theirs, stdout=theirs, stderr=theirs, env=environment) as process:
        os.close(theirs)
        shown = _read_all(ours)
    os.close(ours)
    if process.returncode != expected_code:
        raise SystemExit(f"{shlex.join(command)} ended with {process.returncode}:\n{shown}")
    return [Text(f"$ grade {shlex.join(words)}", style="bold"), *map(Text.from_ansi, shown.splitlines())]


def _read_all(terminal: int) -> str:
    data = b""
    while True:
        try:
            more = os.read(terminal, 65536)
        except OSError:  # EIO: the last process on the other side has ended (pty(7))
            more = b""
        if not more:
            return data.decode()
        data += more


def _place(lines: Sequence[Text], word: str) -> int:
    """The first line that begins with this word; with no word, the first empty one."""
    return next(n for n, line in enumerate(lines) if (line.plain.startswith(word) if word else not line.plain))


def _row(lines: Sequence[Text], check: str) -> list[Text]:
    """A check's row of the table, and those of its budgets."""
    first = next(n for n, line in enumerate(lines) if n > _place(lines, "Outcome") and check in line.plain.split())
    budgets = itertools.takewhile(lambda line: line.plain.startswith("    "), lines[first + 1 :])
    return [lines[first], *budgets]


if __name__ == "__main__":
    main()
