"""A sentence that can still be told in another language: its English, with the values apart from the words.

    say("{count} callbacks ran", count=3)

gives a text, "3 callbacks ran", that goes wherever text goes. It remembers its template and its values until it is
shown by somebody who knows the reader's language (`languages`). A text that is put together in another way, with `+` or
an f-string, is plain English from then on. Knows no language but the one that it is written in.
"""

import string
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

_FORMATTER: Final = string.Formatter()


class Words(str):
    """A sentence in English, with the template and the values that it was made of. Made by `say`."""

    __slots__ = ("template", "values")

    template: str
    values: Mapping[str, object]

    def __new__(cls, template: str, values: Mapping[str, object]) -> "Words":
        self = super().__new__(cls, _FORMATTER.vformat(template, (), values))
        self.template, self.values = template, MappingProxyType(dict(values))
        return self

    def retold(self, template: str, tell: Callable[[str], str]) -> str:
        """The same values in another template; `tell` is asked for those of them that are text."""
        values = {name: tell(value) if isinstance(value, str) else value for name, value in self.values.items()}
        return _FORMATTER.vformat(template, (), values)


def say(template: str, /, **values: object) -> Words:
    """The sentence with these values in its places, which are named as in `str.format`.

    The template is written out where it is said: tests look for it there, and for its translations.

    Raises:
        KeyError: a place has no value.
    """
    return Words(template, values)
