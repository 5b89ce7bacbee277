r"""A report in a GitHub workflow: annotations at the lines of the student's code, and a page for the job's summary.

Annotations are workflow commands on standard output, `::error file=F,line=N,title=T::message`. In the message `%`, CR
and LF are written %25, %0D and %0A; in a property `:` and `,` too, %3A and %2C (docs.github.com, "Workflow commands for
GitHub Actions"; packages/core/src/command.ts in actions/toolkit). More than 10 errors, warnings or notices of one step
are dropped without a word (actions/toolkit#734). A summary of more than 1 MiB is refused whole.
"""

import html
import re
from collections.abc import Mapping

from grader.report.formats.safe import shortened
from grader.report.formats.verdict import headline, place_of, remarks
from grader.report.model import Check, Outcome, Refused, Report, ScoredCheck, Ungraded

_MOST_ERRORS = 10
_MESSAGE_CHARS = 4_000
_SUMMARY_CHARS = 200_000  # of 4 bytes at most, so several exercises fit into one job's summary


# --- annotations --------------------------------------------------------------------------------------------------


def annotations(report: Report, files: Mapping[str, str]) -> str:
    """One workflow command a line. `files` are the student's, by name, with their paths in the repository."""
    lines = [_of_check(report, check, files) for check in report.checks if check.outcome.failed]
    if isinstance(report, Refused):
        lines = [_of_refusal(report, files)]
    elif isinstance(report, Ungraded):
        lines = [_command("error", report.reason, title=f"{report.exercise}: no verdict"), *lines]
    left_out = len(lines) - _MOST_ERRORS
    said = [headline(report), *(remarks(report) if report.graded else [])]
    if left_out > 0:
        said.append(f"{left_out} more failed; the job's summary has all.")
    return "\n".join([*lines[:_MOST_ERRORS], _command("notice", "\n".join(said), title=report.exercise)]) + "\n"


def _of_refusal(report: Refused, files: Mapping[str, str]) -> str:
    """At the line that is refused, where it is one of a file in the repository."""
    place = {}
    if (file := files.get(report.refusal.file or "")) is not None:
        place = {"file": file} | ({"line": str(report.refusal.line)} if report.refusal.line else {})
    return _command("error", report.reason, **place, title=f"{report.exercise}: {report.word}")


def _of_check(report: Report, check: Check, files: Mapping[str, str]) -> str:
    title = f"{report.exercise}: {check.name} ({check.outcome.word})"
    message = f"{check.title}\n{shortened(check.message(report.language), _MESSAGE_CHARS)}"
    if place := place_of(check, files):
        return _command("error", message, file=files[place[0]], line=str(place[1]), title=title)
    if files:
        return _command("error", message, file=next(iter(files.values())), title=title)  # the one that holds the entry
    return _command("error", message, title=title)


def _command(kind: str, message: str, **properties: str) -> str:
    listed = ",".join(f"{name}={_escaped(value, ':,')}" for name, value in properties.items())
    return f"::{kind} {listed}::{_escaped(message)}"


def _escaped(text: str, also: str = "") -> str:
    return re.sub(f"[%\r\n{also}]", lambda found: f"%{ord(found[0]):02X}", text)


# --- the summary --------------------------------------------------------------------------------------------------


def summary(report: Report) -> str:
    """Markdown: the score, a table of the checks, and below it what each failure says."""
    parts = [f"## {_plain(headline(report))}\n", *(f"{_plain(said)}\n" for said in remarks(report))]
    if report.checks:
        rows = "\n".join(_row(check) for check in report.checks)
        parts.append(f"| Check | Outcome | Points | Title |\n| --- | --- | ---: | --- |\n{rows}\n")
    parts += [_details(check, report.language) for check in report.checks if _says_more(check)]
    if not isinstance(report, Refused):
        again = f"grade {_plain(report.exercise)} --seed {report.seed}"
        parts.append(f"To repeat this run: <code>{again}</code>\n")
    kept, room = [], _SUMMARY_CHARS
    for part in parts:
        room -= len(part)
        if room < 0:
            kept.append("The rest is left out: it is too long for this page.\n")
            break
        kept.append(part)
    return "\n".join(kept) + "\n"


def _row(check: Check) -> str:
    points = f"{'-' if check.score is None else check.score}/{check.points}" if isinstance(check, ScoredCheck) else ""
    return f"| {_plain(check.name)} | {check.outcome.word} | {points} | {_plain(check.title)} |"


def _says_more(check: Check) -> bool:
    """Whether more can be said than stands in the table."""
    return check.outcome not in (Outcome.PASSED, Outcome.NOT_RUN)


def _details(check: Check, language: str) -> str:
    """A block of HTML, in which nothing is Markdown: it ends with its closing tag, which the text cannot hold."""
    said = html.escape(shortened(check.message(language), _MESSAGE_CHARS), quote=False)
    return f"**{_plain(check.name)}** {check.outcome.word}\n\n<pre>{said}</pre>\n"


# Where a character may be structure to GitHub's Markdown, or make a link, a mention or an emoji of what follows; within
# a word an underscore never is (CommonMark 0.31, section 6.2).
_STRUCTURE = re.compile(
    r"[*<`|~$@\\\[\]]|(?<![^\W_])_|_(?![^\W_])|&(?=[#\w])|#(?=\w)|:(?=[\w/+-])|(?<=\bwww)\.|^[-+>#=]", re.IGNORECASE
)


def _plain(text: str) -> str:
    """Text that Markdown shows as it is: an entity is never structure (CommonMark 0.31, section 2.5)."""
    return _STRUCTURE.sub(lambda found: f"&#{ord(found[0])};", " ".join(text.split()))
