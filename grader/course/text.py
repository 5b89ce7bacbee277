"""What a person reads in a course's files: one text per language, and whether a translation is still one.

    title: emit() runs the callbacks
    title: {en: emit() runs the callbacks, ko@1f0c3a7b: ...}

Behind `@` stands the digest of the English text that was translated. Where that text has changed since, the translation
says something else, and nobody gets to read it. Without a digest nobody knows, and it is read.
"""

import re
import string
from collections.abc import Iterator, Mapping
from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    RootModel,
    StringConstraints,
    ValidationInfo,
    model_validator,
)

from grader.course.yaml_file import choices, seen
from grader.words.languages import ENGLISH, digest


def shape(pattern: str, rule: str) -> AfterValidator:
    """Text of one shape only; `rule` is the shape in a person's words."""

    def check(text: str) -> str:
        if re.fullmatch(pattern, text, re.ASCII) is None:
            raise ValueError(f"{text!r} is not {rule}; rename it")
        return text

    return AfterValidator(check)


def _spoken(key: str, info: ValidationInfo) -> str:
    languages = (info.context or {}).get("languages")
    code = key.partition("@")[0]
    if languages is not None and code not in languages:
        raise ValueError(f"{code!r} is not a language of the course; {choices(code, languages)}")
    return key


Filled = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
LanguageCode = Annotated[str, shape("[a-z]{2,3}", "a language's code, such as en"), AfterValidator(_spoken)]
_Key = Annotated[str, shape("[a-z]{2,3}(@[0-9a-f]{8})?", "a language's code, such as en"), AfterValidator(_spoken)]


class Text(RootModel[dict[_Key, Filled]]):
    """What a person reads: one string, which is English, or a mapping of language to string that holds `en`."""

    model_config = ConfigDict(frozen=True, strict=True)

    @model_validator(mode="before")
    @classmethod
    def _one_string_is_english(cls, data: object) -> object:
        if isinstance(data, str):
            return {ENGLISH: data}
        if not isinstance(data, dict):
            raise ValueError(f"this text is {seen(data)}; write text, in quotes if need be, or one text per language")
        if ENGLISH not in data:
            raise ValueError("the English text is missing, which is the fallback; add the key 'en'")
        return data

    @property
    def english(self) -> str:
        return self.root[ENGLISH]

    def in_(self, code: str) -> str:
        """The text in that language; in English when there is no such translation, or none of this English text."""
        return next((text for of, text in self.written(code) if of in ("", digest(self.english))), self.english)

    def written(self, code: str) -> Iterator[tuple[str, str]]:
        """What is written in that language: the digest of the English that it is of, or nothing; and the text."""
        for key, text in self.root.items():
            language, _, of = key.partition("@")
            if language == code:
                yield of, text


def texts_in(value: object, where: str = "") -> Iterator[tuple[str, Text]]:
    """All texts of a value of the course's, each with the place where it stands: `checks.sync.title`."""
    match value:
        case Text():
            yield where, value
        case BaseModel():
            for name in type(value).model_fields:
                yield from texts_in(getattr(value, name), f"{where}.{name}" if where else name)
        case Mapping():
            for name, inner in value.items():
                yield from texts_in(inner, f"{where}.{name}")
        case tuple():
            for number, inner in enumerate(value):
                yield from texts_in(inner, f"{where}.{getattr(inner, 'name', number)}")


def places(template: str) -> set[str]:
    """The places of a sentence that get values.

    Raises:
        ValueError: its braces do not close.
    """
    return {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}
