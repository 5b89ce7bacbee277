"""Bytes or text from a stranger to text that is safe to print: the one function that every renderer calls.

Knows which characters and which line starts a terminal, an editor or a CI runner obeys instead of showing. Knows
nothing of HTML, of XML or of reports: a renderer still escapes for its own format afterwards.
"""

import re
import unicodedata
from bisect import bisect_right
from itertools import accumulate
from pathlib import PurePath

# `str.isprintable` already refuses Cc, Cf, Cs, Co, Cn, Zl, Zp and every space but U+0020. These it lets through
# although they leave no mark: what else has Default_Ignorable_Code_Point in Unicode's DerivedCoreProperties.txt.
_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)

# Decomposed Vietnamese needs two marks on one letter, pointed Hebrew and Arabic three or four. A taller stack only
# paints over the lines above it.
_MARKS_ON_ONE_LETTER = 4

# GitHub's runner obeys `::name::` at the start of a line, white space skipped, and `##[name]` anywhere in it
# (src/Runner.Common/ActionCommand.cs in actions/runner); the logging commands of Azure Pipelines are `##vso[...]`.
_COLON_COMMAND = re.compile(r"[ \t]*(?=::)")
_HASH_COMMAND = re.compile(r"##(?=\w*\[)")


def safe_text(data: bytes | str, *, max_chars: int = 4096, max_line: int = 200) -> str:
    """The same text with everything visible and nothing obeyed.

    Line feeds stay and a tab becomes four spaces. Bytes that are not UTF-8, control characters, escape sequences,
    bidirectional overrides, zero-width, private and unassigned characters become escapes such as `\\x1b` or `\\u202e`.
    The result has at most `max_chars` characters and each line at most `max_line`; a notice counts what is cut.
    Safe text passes unchanged, so calling it twice does no harm. It never raises.

    Callers still indent or prefix each line, so that no line of a stranger can pass for the kit's own.
    """
    text = data.decode("utf-8", "backslashreplace") if isinstance(data, bytes) else data
    lines = text.split("\n", max_chars + 1)  # each line costs its line feed at least, so more are never shown
    reserve = len("\n" + _notice(len(text)))
    limit = min(max_line, max_chars if len(lines) == 1 else max(0, max_chars - reserve))

    shown: list[str] = []
    size = -1
    for line in lines:
        shown.append(_safe_line(line, limit))
        size += len("\n" + shown[-1])
        if size > max_chars:
            break
    else:
        return "\n".join(shown)

    while shown and size + reserve > max_chars:
        size -= len("\n" + shown.pop())
    seen = sum(len(line + "\n") for line in lines[: len(shown)])
    return "\n".join([*shown, _notice(len(text) - seen)[:max_line]])[:max_chars]


def is_utf8(path: PurePath) -> bool:
    """Whether the path can be written as text, as JSON has it: a file system holds names that are not UTF-8, too."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def _safe_line(line: str, limit: int) -> str:
    pieces = _pieces(line[: limit + 1])
    ends = list(accumulate(map(len, pieces)))
    if len(line) == len(pieces) and (not ends or ends[-1] <= limit):
        return "".join(pieces)
    kept = bisect_right(ends, limit - len(_notice(len(line))))
    return ("".join(pieces[:kept]) + _notice(len(line) - kept))[:limit]


def _pieces(text: str) -> list[str]:
    """What is shown for each character of one line."""
    pieces = []
    marks = 0
    for character in text:
        marks = marks + 1 if unicodedata.category(character) in ("Mn", "Me") else 0
        if character == "\t":
            pieces.append("    ")
        elif character.isprintable() and marks <= _MARKS_ON_ONE_LETTER and not _INVISIBLE.match(character):
            pieces.append(character)
        else:
            pieces.append(character.encode("unicode_escape").decode("ascii"))

    if indent := _COLON_COMMAND.match(text):
        pieces[indent.end()] = "\\:"
    for command in _HASH_COMMAND.finditer(text):
        pieces[command.start() + 1] = "\\#"
    return pieces


def _notice(characters: int) -> str:
    return f"… {characters:,} more characters"
