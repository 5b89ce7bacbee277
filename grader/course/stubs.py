'''A student's stub from a reference solution, and whether a committed stub is still the one its solution gives.

Knows the marks of a solution region and what stands in its place. Must not know where a course keeps its files, nor
notebooks. In a function, a region is replaced as nbgrader's ClearSolutions replaces it in a code cell with nbgrader's
own settings (github.com/jupyter/nbgrader, `nbgrader/preprocessors/clearsolutions.py`):

    def answer():                                    def answer():
        """Forty-two."""                                 """Forty-two."""
        ### BEGIN SOLUTION            becomes            # YOUR CODE HERE
        return 6 * 7                                     raise NotImplementedError()
        ### END SOLUTION

Outside of functions only the comment is left, in a class with `pass`: what is raised there ends the import, and no
other function of the file could be tried before this one region is written.

To nbgrader 0.9 a mark is any line that holds BEGIN SOLUTION or END SOLUTION, whatever else stands on it, and the stub
gets that line's indentation. So it is here. What nbgrader lets pass although it publishes a solution, or means that
something was forgotten, is an error here: an END without a BEGIN, a file without a region, a misspelt mark.
'''

import ast
import re
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

from grader.errors import CourseError

_BEGIN = "BEGIN SOLUTION"
_END = "END SOLUTION"
_STUB = ("# YOUR CODE HERE", "raise NotImplementedError()")  # nbgrader's default `code_stub`
_IN_A_CLASS = (_STUB[0], "pass")  # which may hold nothing else
_NEARLY_A_MARK = re.compile(r"#\s*(begin|end)[\s_-]*solution", re.IGNORECASE)
_CURE = "Run `grade stubs`."


def stub_of(source: str, *, name: str) -> str:
    """The text of `source` with each solution region replaced by the stub, at the indentation of its BEGIN line.

    Args:
        source: a reference solution; lines end in `\\n` and keep whatever else they end in.
        name: the file, as messages name it.

    Raises:
        CourseError: a BEGIN within a region, an END outside one, a region that does not end, a line that is nearly a
            mark, or no region at all.
    """
    _demand_sound_regions(source, name)
    executed = _executed_at_import(source)
    kept: list[str] = []
    inside = False
    for number, line in enumerate(source.split("\n"), start=1):
        if _BEGIN in line:
            inside = True
            indent = line[: len(line) - len(line.lstrip())]
            stub = _STUB if number not in executed else _IN_A_CLASS if indent else _STUB[:1]
            kept.extend(indent + stub_line for stub_line in stub)
        elif _END in line:
            inside = False
        elif not inside:
            kept.append(line)
    return "\n".join(kept)


def _executed_at_import(source: str) -> frozenset[int]:
    """The numbers of the lines that belong to no function. None of what is not Python, such as a part of a file."""
    try:
        module = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return frozenset()
    inside: set[int] = set()
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            inside.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return frozenset(range(1, source.count("\n") + 2)) - inside


def read_text(file: Path) -> str:
    """What stands in a reference, or beside it, byte for byte: line ends stay as they are.

    Raises:
        CourseError: it cannot be read, or is not UTF-8.
    """
    try:
        return file.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise CourseError(f"{file}: byte {error.start} is not UTF-8. Save the file as UTF-8.") from error
    except OSError as error:
        raise _unreadable(file, error) from error


def solution_lines(source: str, *, name: str) -> Iterator[list[tuple[int, str]]]:
    """Each solution region of `source`: its lines with their numbers, without the marks.

    Raises:
        CourseError: as for `stub_of`.
    """
    _demand_sound_regions(source, name)
    region: list[tuple[int, str]] | None = None
    for number, line in enumerate(source.split("\n"), start=1):
        if _BEGIN in line:
            region = []
        elif region is not None and _END in line:
            yield region
            region = None
        elif region is not None:
            region.append((number, line))


def stale_stub(solution: Path, stub: Path) -> str | None:
    """None when `stub` is, byte for byte, what `solution` gives; else a message: file, first differing line, cure.

    Raises:
        CourseError: `solution` cannot be read or is not UTF-8, `stub` is there and cannot be read, or what `stub_of`
            raises.
    """
    expected = stub_of(read_text(solution), name=str(solution))
    try:
        # A stub that is not UTF-8 differs somewhere; surrogates show where, and equal nothing that was decoded above.
        seen = stub.read_bytes().decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        return f"{stub}: the stub of {solution} is missing. {_CURE}"
    except OSError as error:
        raise _unreadable(stub, error) from error
    lines = enumerate(zip_longest(seen.split("\n"), expected.split("\n")), start=1)
    for number, (is_there, is_due) in lines:
        if is_there != is_due:
            return f"{stub}:{number}: {_quoted(is_there)} where {solution} gives {_quoted(is_due)}. {_CURE}"
    return None


def _demand_sound_regions(source: str, name: str) -> None:
    opened_at = 0  # line of the BEGIN of the region that is open; lines count from 1
    for number, line in enumerate(source.split("\n"), start=1):
        if _BEGIN in line:
            if opened_at:
                raise CourseError(
                    f"{name}:{number}: `### {_BEGIN}` within the solution region of line {opened_at}. "
                    f"Close that one with `### {_END}` first: regions do not nest."
                )
            opened_at = number
        elif _END in line:
            if not opened_at:
                raise CourseError(f"{name}:{number}: `### {_END}` without a BEGIN before it. Add or delete one.")
            opened_at = 0
        elif _NEARLY_A_MARK.search(line):
            raise CourseError(
                f"{name}:{number}: this is nearly a mark, and nbgrader would take it for code. "
                f"Write `### {_BEGIN}` or `### {_END}`, in these letters."
            )
    if opened_at:
        raise CourseError(
            f"{name}:{opened_at}: the solution region does not end. Add `### {_END}` after its last line."
        )
    if _BEGIN not in source:
        raise CourseError(
            f"{name}: no solution region, so the stub would be the whole solution. "
            f"Put `### {_BEGIN}` and `### {_END}` around what students write."
        )


def _unreadable(file: Path, error: OSError) -> CourseError:
    return CourseError(f"{file}: cannot be read: {error.strerror}. Check the path and its permissions.")


def _quoted(line: str | None) -> str:
    return "the end of the file" if line is None else ascii(line)
