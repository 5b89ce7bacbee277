"""What a program said before it ended, as the failure that it is. The words come from a stranger."""

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from grader.failures import CheckFailed, Crashed, Evidence, ForbiddenUse, Raised
from grader.words.say import say

_MOST_FRAMES: Final = 12
_FILE: Final = re.compile(r"[\w.-]{1,100}")
_LINES: Final = range(1, 10_000_000)
# A row of a traceback, as Python prints it.
_FRAME: Final = re.compile(r' *File "(?:[^"]*/)?(?P<file>[\w.-]{1,100})", line (?P<line>[1-9][0-9]{0,6})\b.*')


def problem(found: Any, what: str, expected: str, *, raised: type[Raised] = Raised) -> CheckFailed:
    """What a box says went wrong, as the failure that it is; an exception is one of the kind `raised`."""
    if not isinstance(found, dict):
        return Crashed(expected=expected, seen=say("the program garbled its last words"))
    text = _text(found.get("text"))
    rows = found.get("trace")
    evidence = list(frames(rows[:_MOST_FRAMES])) if isinstance(rows, list) else []
    match found.get("kind"):
        case "forbidden":
            library, reason = _text(found.get("library")), _text(found.get("reason"))
            named = say("{library} is not allowed here: {reason}", library=library, reason=reason) if library else text
            failure = ForbiddenUse(expected=say("a solution without it"), seen=named, evidence=evidence)
            failure.hint = say("Take it out, and write yourself what it would do for you: that is the exercise.")
            return failure
        case "missing":
            return CheckFailed(expected=expected, seen=text)
        case _:
            number = found.get("errno")
            return raised(
                expected=expected,
                seen=say("{what} {error}", what=what, error=text),
                evidence=evidence,
                exception=_text(found.get("exception")),
                says=_text(found.get("says")),
                errno=number if type(number) is int else None,
                named=_text(found.get("named")),
                meant=_text(found.get("meant")),
            )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def frames(rows: Sequence[Any]) -> Iterator[Evidence]:
    """Lines of the submission, as the box tells them: [text, file, line], or a text alone; what is none is left out."""
    for row in rows:
        match row:
            case [str(text), str(file), int(line)] if _FILE.fullmatch(file) and line in _LINES:
                yield Evidence(text, file, int(line))
            case [str(text), *_]:
                yield Evidence(text)


def last_lines(output: bytes, count: int = 5) -> list[Evidence]:
    """What was printed last. Rows of Python's own traceback among it name lines of files."""
    return [_printed(row) for row in output.decode("utf-8", "backslashreplace").splitlines()[-count:]]


def _printed(row: str) -> Evidence:
    text = f"printed: {row}"
    place = _FRAME.fullmatch(row)
    return Evidence(text) if place is None else Evidence(text, place["file"], int(place["line"]))
