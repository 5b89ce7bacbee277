"""A report as plain text, for a person: what the screen shows at the end of a grading, and below it what each failure
says. Nothing in it is markup, so nothing is escaped.
"""

import io

from grader.report import terminal
from grader.report.model import Report

_COLUMNS = 100  # of a table, which nothing wraps


def render(report: Report) -> str:
    stream = io.StringIO()
    terminal.show_report(terminal.make_console(stream, colour=False, width=_COLUMNS), report, hints_shown=False)
    return stream.getvalue().strip("\n") + "\n"
