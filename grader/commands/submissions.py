"""`--submissions`: reports beside what was handed in, for the commands that read a class's folder."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from grader.commands.environment import course_at
from grader.errors import UsageError

if TYPE_CHECKING:
    from grader.report.folder import Result

_Command = TypeVar("_Command", bound=Callable[..., Any])
_MOST_LINES = 20


def submissions_option(command: _Command) -> _Command:
    return click.option(
        "--submissions",
        type=click.Path(path_type=Path),
        metavar="DIR",
        help="What was handed in, DIR/STUDENT: names who has no report, and refuses a report on another submission.",
    )(command)


def students_who_handed_in(
    results: "Sequence[Result]", submissions: Path | None, course_dir: Path | None
) -> Sequence[str]:
    """Everybody in the folder of submissions; nobody where none was named.

    Raises:
        UsageError: a report is about another submission than the one that is there.
    """
    if submissions is None:
        return []
    from grader.batch.outdated import compare

    there, lines = compare(results, submissions, course_at(course_dir))
    if lines:
        more = [f"  and {len(lines) - _MOST_LINES} more"] if len(lines) > _MOST_LINES else []
        listed = "\n".join([*(f"  {line}" for line in lines[:_MOST_LINES]), *more])
        raise UsageError(
            f"These reports are about other submissions, so nothing was written:\n{listed}\n"
            "Grade these submissions again."
        )
    return sorted(there)
