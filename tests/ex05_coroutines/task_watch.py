"""How the checks of ex05 run a scenario: it ends when the submission's run() does, and says so when it does not."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from task_player import Played, play
from task_programs import Author

from grader.checks import NoAnswer, Run, Submission, expecting

RETURNS = "run() returns when all tasks are done"


@contextmanager
def in_box(
    submission: Submission,
    scenario: Callable[..., Any],
    *arguments: Any,
    traced: bool = False,
    alone: bool = False,
    fds: Sequence[int] = (),
    returns: str = RETURNS,
) -> Iterator[Run]:
    """A scenario that ends when the submission's function does, and says so when it does not."""
    running = submission.running(scenario, *arguments, traced=traced, alone=alone, pass_fds=fds)
    with running as run, expecting(returns, only=NoAnswer):
        yield run


def played_by(submission: Submission, author: Author) -> Played:
    """What the submission makes of a program."""
    played: Played = outcome(submission, play, author.program, author.first)
    return played


def outcome(submission: Submission, scenario: Callable[..., Any], *arguments: Any) -> Any:
    with in_box(submission, scenario, *arguments) as run:
        return run.result()
