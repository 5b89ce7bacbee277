"""Findings on a terminal. Nothing is said in colour alone, and what has to be typed can be copied. Knows rich; knows no
probe.
"""

import textwrap
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from grader.doctor.finding import FOR_A_BOX, NO_BOX, WHOLE_BOX, Finding, isolation_possible
from grader.safe_text import safe_text


def show(console: Console, findings: Sequence[Finding]) -> None:
    """One line a finding; below it, where something is lacking, what that costs and the cure. Nothing is said in colour
    alone, and what has to be typed can be copied: a line that is too long is continued with a backslash."""
    columns = max(len(finding.name) for finding in findings)
    for finding in findings:
        word, style = _word(finding)
        _put(console, Text.assemble((word.ljust(7), style), finding.name.ljust(columns), "  "), finding.seen)
        if not finding.ok:
            _put(console, Text(" " * 7 + "costs: "), finding.costs)
            _put(console, Text(" " * 7 + "cure:  "), finding.cure, typed=finding.cure.startswith(("sudo ", "docker ")))
    console.print()
    missing = [finding.name for finding in findings if not finding.ok and finding.name in FOR_A_BOX]
    parts = [name for name in missing if name != WHOLE_BOX] or missing
    box = "yes" if isolation_possible(findings) else f"no, for want of: {', '.join(parts)}"
    _put(console, Text("Programs can be boxed: "), box)
    unmeasured = [finding.name for finding in findings if _word(finding)[0] == "LACKS" and finding.costs != NO_BOX]
    _put(console, Text("Everything can be measured: "), "yes" if not unmeasured else f"no: {', '.join(unmeasured)}")


def _word(finding: Finding) -> tuple[str, str]:
    if finding.ok:
        return "ok", "green"
    return ("note", "none") if finding.is_note else ("LACKS", "bold red")


def _put(console: Console, head: Text, body: str, *, typed: bool = False) -> None:
    margin = head.cell_len
    room = max(10, console.width - margin - len(" \\"))
    text = " ".join(safe_text(body, max_line=1_000).split())
    if typed:  # a word that is cut in two is another command
        rows = textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False)
    else:
        rows = [row.plain.rstrip() for row in Text(text).wrap(console, room)]
    for number, row in enumerate(rows):
        more = " \\" if typed and number < len(rows) - 1 else ""
        console.print(Text.assemble(head if number == 0 else " " * margin, row, more), soft_wrap=True)
