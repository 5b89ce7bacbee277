"""Whether a file of bytes is Python source that a person reads as Python does (PEP 263 cookies; CVE-2021-42574, "Trojan
Source"). Knows encodings and what hides in a text; knows nothing of where it comes from.
"""

import io
import re
import tokenize
import unicodedata
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE, BOM_UTF32_BE, lookup

from grader.errors import Place, SubmissionError

_NEWLINE = re.compile(r"\r\n?|\n")  # what ends a line for Python; `str.splitlines` knows more
_SAVE = "Save as UTF-8 in your editor."
_BIDI = re.compile("[\u202a-\u202e\u2066-\u2069]")


def require_plain_source(place: Place, data: bytes) -> None:
    """Refuse bytes that are not UTF-8 text, or that Python would read in another way than a person does.

    Args:
        place: where they come from.

    Raises:
        SubmissionError: line, column, and the cure.
    """
    if _is_wide(data):
        raise SubmissionError(place, " is UTF-16, or another wide encoding", _SAVE)
    data = data.removeprefix(BOM_UTF8)
    if (at := data.find(b"\0")) >= 0:
        line, _ = _line_and_column(data[:at].decode("latin-1"))
        raise SubmissionError(place.at(line), ": a NUL byte, which no Python source has", "Delete it.")
    try:
        source = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line, _ = _line_and_column(data[: error.start].decode("latin-1"))
        found = f"the byte 0x{data[error.start]:02x}"
        raise SubmissionError(place.at(line), f": {found} is not UTF-8", _SAVE) from error
    _require_no_foreign_cookie(source, place)
    if (hidden := _BIDI.search(source)) is not None:
        line, column = _line_and_column(source[: hidden.start()])
        named = f"U+{ord(hidden[0]):04X} ({unicodedata.name(hidden[0])})"
        raise SubmissionError(
            place.at(line, column),
            f": {named} makes code look like other code",
            f"Delete it; within a string, write \\u{ord(hidden[0]):04x}.",
        )


def _require_no_foreign_cookie(source: str, place: Place) -> None:
    # Python ends a line at a lone CR too, tokenize does not: without this, a cookie in line 2 would go unseen.
    lines = _NEWLINE.sub("\n", source)
    try:
        encoding = lookup(tokenize.detect_encoding(io.BytesIO(lines.encode()).readline)[0]).name
    except SyntaxError:
        encoding = "one that Python does not know"
    if encoding != "utf-8":
        number = 1 if "coding" in lines.partition("\n")[0] else 2
        raise SubmissionError(
            place.at(number), f": the file declares its encoding: {encoding}", "Delete that comment line."
        )


def _is_wide(data: bytes) -> bool:
    """UTF-16 or UTF-32: by its byte order mark, or because every other byte of an ASCII text is then zero."""
    if data.startswith((BOM_UTF16_LE, BOM_UTF16_BE, BOM_UTF32_BE)):
        return True
    zeros = max(data[::2].count(0), data[1::2].count(0))
    return len(data) > 1 and zeros > len(data) // 4


def _line_and_column(before: str) -> tuple[int, int]:
    """Where the text after `before` starts; both count from 1, columns in characters."""
    lines = _NEWLINE.split(before)
    return len(lines), len(lines[-1]) + 1
