"""What stands beside an English text in another language, and whether it still is a translation of it.

A translation carries the digest of the English text that it was made of. Where that text has changed since, the
translation says something else: it is passed over, and a reader gets the English text. Knows the kit's own languages,
one module each; an exercise brings its own translations along.
"""

import hashlib
import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Final

from grader.words.say import Words

ENGLISH: Final = "en"
KIT_LANGUAGES: Final = ("ko",)  # for each a module beside this one, with its SENTENCES

_DIGITS: Final = 8  # of a digest, in hex: enough to see that a text has changed

# By English text: the digest of the English text that was translated, and the translation.
Sentences = Mapping[str, tuple[str, str]]


def digest(english: str) -> str:
    """The digest of an English text. Where its lines are broken does not matter."""
    return hashlib.sha256(" ".join(english.split()).encode()).hexdigest()[:_DIGITS]


@dataclass(frozen=True, slots=True)
class Language:
    """How one language says what is said in English."""

    code: str
    translations: Mapping[str, str] = field(default_factory=dict)  # by English text

    def tell(self, text: str) -> str:
        """The text in this language; in English where nobody has translated it, or it was never made of words."""
        if not isinstance(text, Words):
            return text
        return text.retold(self.translations.get(text.template, text.template), self.tell)


def language(code: str, own: Mapping[str, str] | None = None) -> Language:
    """The kit's sentences in that language; an exercise's own translations, by English text, stand beside them."""
    return Language(code, {**_kits(code), **(own or {})}) if own else Language(code, _kits(code))


@cache
def sentences(code: str) -> Sentences:
    """The kit's own translations into that language, whether they are current or not."""
    if code not in KIT_LANGUAGES:
        return {}
    found: Sentences = importlib.import_module(f"grader.words.{code}").SENTENCES
    return found


@cache
def _kits(code: str) -> Mapping[str, str]:
    return {english: text for english, (of, text) in sentences(code).items() if of == digest(english)}
