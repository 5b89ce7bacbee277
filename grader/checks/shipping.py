"""Functions of a check's file as source, to be shipped into a box. Knows Python's code objects; knows no box."""

import builtins
import dis
import functools
import inspect
import textwrap
from collections.abc import Callable
from types import CodeType
from typing import Any

from grader.checks import watchdog
from grader.errors import GraderError


@functools.cache  # it looks through the whole file
def source_of(function: Callable[..., Any]) -> str:
    """The source of one function, to be shipped.

    Raises:
        GraderError: it uses a name of its file, which stays behind; a student would be blamed for it.
    """
    code = function.__code__
    foreign = sorted(_globals_used(code) - vars(builtins).keys() - {function.__name__})
    if foreign:
        raise GraderError(
            f"{code.co_filename}:{code.co_firstlineno}: {function.__name__} is shipped alone, and {', '.join(foreign)} "
            "stays behind. Define or import it inside of the function."
        )
    return textwrap.dedent(inspect.getsource(function))


def watched_source_of(scenario: Callable[..., Any], cpu_s: float) -> str:
    """The source of a scenario that the watchdog ends."""
    name = scenario.__name__
    return f"{inspect.getsource(watchdog)}\n\n{source_of(scenario)}\n\n{name} = watched({name}, {cpu_s!r})\n"


def _globals_used(code: CodeType) -> set[str]:
    used = {str(step.argval) for step in dis.get_instructions(code) if step.opname == "LOAD_GLOBAL"}
    return used.union(*(_globals_used(inner) for inner in code.co_consts if isinstance(inner, CodeType)))
