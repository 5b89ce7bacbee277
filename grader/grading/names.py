"""Names of what somebody handed in, as a message shows them: few, short, on one line, and nothing that a terminal would
obey.
"""

from collections.abc import Iterable, Sequence

_NAMES_SHOWN = 20
_CHARACTERS_SHOWN = 120  # of one name; a zip member's can have 65,535


def joined(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def listed(names: Iterable[str]) -> tuple[str, ...]:
    shown = sorted(shown_name(name) for name in names)
    rest = len(shown) - _NAMES_SHOWN
    return (*shown[:_NAMES_SHOWN], f"and {rest} more") if rest > 0 else tuple(shown)


def shown_name(name: str) -> str:
    text = printable(name)
    return text if len(text) <= _CHARACTERS_SHOWN else f"{text[: _CHARACTERS_SHOWN - 1]}…"


def printable(text: str) -> str:
    """`text` as `repr` would show it, without quotes: one line, nothing that a terminal would obey."""
    return "".join(
        character if character.isprintable() and character != "\\" else character.encode("unicode_escape").decode()
        for character in text
    )
