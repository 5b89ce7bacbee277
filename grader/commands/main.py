"""The command `grade`: which word is whose command, and the only place that turns exceptions into text and exit codes.

Exit codes: 0 everything passed · 1 graded, something failed · 2 wrong usage, course or submission · 3 no verdict.
"""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from typing import Any, NoReturn

import click

from grader import __version__
from grader.commands.classes import class_
from grader.commands.course import audit, doctor, new, schema, stubs
from grader.commands.forms import convert
from grader.commands.grade import grade_exercise
from grader.commands.grades import gradebook, verify_parity
from grader.commands.publishing import publish
from grader.errors import MISUSED, NO_VERDICT, PASSED, KitError
from grader.safe_text import safe_text

_LONGEST = 100_000  # characters of an error: whoever made the sentence has kept it short, but for a path

_COMMANDS = (grade_exercise, audit, class_, convert, doctor, gradebook, new, publish, schema, stubs, verify_parity)


class _ExerciseFirst(click.Group):
    """`grade ex03` is `grade exercise ex03`: the word that is typed most often is left out."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        first = next((word for word in args if not word.startswith("-")), None)
        if first not in self.commands and (first or not {"-h", "--help", "--version"} & set(args)):
            args = ["exercise", *args]
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:  # click would exit with 1, which says that a check failed
            raise _ReaderGone from error


class _ReaderGone(Exception):
    """Whoever reads the output has seen enough, as in `grade ex03 | head`."""


@click.group(cls=_ExerciseFirst, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80})
@click.version_option(__version__, prog_name="grade")
def commands() -> None:
    """Grade a concurrent server: what it answers, and how it behaves.

    \b
    grade                 the exercises, your best results, and what to type next
    grade ex03            grade exercises/ex03_epoll/
    grade ex03 --only idle --keep out
                          one check and what it needs; traces and logs in out/
    grade ex03 --help     all that can be said about one grading

    Exit codes: 0 everything passed, 1 something failed, 2 wrong usage, course or submission, 3 no verdict.
    """


for _command in _COMMANDS:
    commands.add_command(_command)


# --- the end --------------------------------------------------------------------------------------------------------

# Ctrl-C, `timeout` or a cancelled job, a closed terminal, an alarm that the caller has set.
_ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)
# What a shell tells a command to ignore, it means: nohup, a script's `&`, no job control.
_LEFT_TO_THE_SHELL = {*_ENDS, signal.SIGQUIT, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU} - {signal.SIGALRM}


def _end_in_order() -> None:
    """What ends this process is an exception from now on, and what a caller has left behind is no more."""
    from grader.box.inherited import begin_anew

    begin_anew(but=_LEFT_TO_THE_SHELL)
    for number in _ENDS:
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)
    sys.unraisablehook = _interrupt_again


def _interrupt_again(lost: "sys.UnraisableHookArgs") -> None:
    """An interrupt that came where Python has nobody to tell, as in an import's own bookkeeping, comes once more."""
    if issubclass(lost.exc_type, KeyboardInterrupt):
        signal.setitimer(signal.ITIMER_REAL, 0.01)  # not at once: it would come in here
    else:
        sys.__unraisablehook__(lost)


def _be_uninterrupted() -> None:
    for number in _ENDS:
        signal.signal(number, signal.SIG_IGN)


def _drop(stream: Any) -> None:
    """What could not be written is given up: Python tries again at its end, and exits with 120 when that fails."""
    with contextlib.suppress(OSError):
        stream.flush()
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


@contextlib.contextmanager
def _telling() -> Iterator[None]:
    """For words to standard error, which may have no reader either: the exit code says what it says all the same."""
    try:
        yield
    except OSError:
        _drop(sys.stderr)


def _end(code: int, said: str) -> NoReturn:
    with _telling():
        click.echo(safe_text(said, max_chars=_LONGEST, max_line=_LONGEST), err=True)
    sys.exit(code)


def main() -> NoReturn:
    """The command `grade`."""
    if sys.platform != "linux":
        from grader.doctor.finding import NOT_LINUX

        click.echo(NOT_LINUX, err=True)
        sys.exit(NO_VERDICT)
    _end_in_order()
    try:
        _run()
    finally:
        _be_uninterrupted()  # what is left is Python's own end


def _run() -> NoReturn:
    try:
        commands(prog_name="grade", standalone_mode=False)
    except click.ClickException as error:
        with _telling():
            error.show()
        sys.exit(MISUSED)
    except KitError as error:
        _end(error.exit_code, f"grade: {error}")
    except (KeyboardInterrupt, click.Abort):
        _be_uninterrupted()
        _end(NO_VERDICT, "grade: interrupted, so there is no verdict.")  # click has ended the line of the ^C
    except _ReaderGone:
        _drop(sys.stdout)
        _end(NO_VERDICT, "grade: whoever read the output has gone, so it ended there. This exit code is no verdict.")
    except OSError as error:
        _drop(sys.stdout)
        _end(NO_VERDICT, f"grade: the machine refused: {error}. There is no verdict.")
    except Exception as error:  # noqa: BLE001  # Python itself would exit with 1, which says that a check failed
        import traceback

        with _telling():
            traceback.print_exc()
        _end(NO_VERDICT, f"grade: the kit broke ({type(error).__name__}), so there is no verdict. Report it.")
    sys.exit(PASSED)
