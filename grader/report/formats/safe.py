"""Reports as renderers get them: every text safe to print, in one line where one line is meant. Knows which texts of a
report have several lines; knows no form.

A report may come from a file that anybody wrote, so no text in it is trusted, its exercise's name no more than a
message.
"""

from typing import Any

from grader.report.model import Report, from_values
from grader.safe_text import safe_text

_PARAGRAPHS = frozenset({"expected", "seen", "hint", "text", "reason", "why", "cure"})
_MESSAGE_CHARS, _MESSAGE_LINE = 20_000, 4_000  # as on the screen: hints are long lines
_NAME_CHARS = 400


def safe_report(report: Report) -> Report:
    """The same report with safe text everywhere. What this kit wrote comes out as it was."""
    return from_values(_safe(report.model_dump(by_alias=True), ""))


def _safe(value: Any, key: str) -> Any:
    if isinstance(value, dict):
        return {name: _safe(inner, name) for name, inner in value.items()}
    if isinstance(value, tuple):
        return tuple(_safe(inner, key) for inner in value)
    if type(value) is not str:  # a StrEnum is one of few words, and is to stay what it is
        return value
    if key in _PARAGRAPHS:
        return safe_text(value, max_chars=_MESSAGE_CHARS, max_line=_MESSAGE_LINE)
    return one_line(value)


def one_line(text: str) -> str:
    """Safe text without line feeds and runs of blanks."""
    return " ".join(safe_text(text, max_chars=_NAME_CHARS, max_line=_NAME_CHARS).split())


def shortened(text: str, max_chars: int) -> str:
    """Safe text with its beginning kept, its lines whole, and a notice that counts what is cut."""
    return safe_text(text, max_chars=max_chars, max_line=min(max_chars, _MESSAGE_LINE))
