"""YAML as plain values with the line of each, and pydantic's complaints in an author's words. Knows YAML and its traps;
knows no course.

A mistake is a `CourseError`: `<file>:<line>: what is wrong; the cure`. The first one of a file is the one that is told.
"""

import difflib
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from grader.errors import CourseError

FORMAT = 1  # of course.yaml, exercise.yaml and their kind

_LARGEST = 2**53  # JSON's readers keep whole numbers up to here
_DEEPEST = 16  # levels of YAML; the format itself has 7 (checks, 0, budgets, 0, why, en and the file)
# Numbers that a person reads as others than YAML 1.1 does: octal ones, and those to the base of 60.
_READ_OTHERWISE = re.compile(r"[-+]?0[0-9_]+|[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?")
NO_PARTS: Mapping[str, type[BaseModel]] = MappingProxyType({})

Where = tuple[str | int, ...]  # a place in a YAML file: ("checks", 3, "points")
_Model = TypeVar("_Model", bound=BaseModel)


def read_bytes(root: Path, name: str) -> bytes | None:
    """The file's bytes; None when there is no such file."""
    try:
        return (root / name).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise CourseError(f"{name}:1: the file cannot be read: {error.strerror}; make it readable") from error


def decoded(name: str, raw: bytes) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise CourseError(f"{name}:{line}: this line is not UTF-8; save the file as UTF-8") from error


class Located:
    """One YAML file as plain values (dict, tuple, str, int, float, bool, date, None) and the line of each.

    The subset is YAML without anchors, aliases, tags and doubled keys: what a value is can be seen where it stands.
    """

    def __init__(self, name: str, raw: bytes) -> None:
        self.name, self.raw = name, raw
        self._lines: dict[Where, int] = {(): 1}
        self._data = self._parsed(decoded(name, raw))
        if not isinstance(self._data, dict):
            raise self.error((), f"the file is {seen(self._data)}; write a mapping, `key: value`")
        # Before all else: a later format may have other keys, and its author needs a newer kit, not a diagnosis.
        version = self._data.get("format")
        if type(version) is not int or version < 1:
            wrong = seen(version) if "format" in self._data else "missing"
            raise self.error(("format",), f"'format' is {wrong}; write `format: {FORMAT}`")
        if version > FORMAT:
            raise self.error(("format",), f"format {version} is newer than this kit, which reads {FORMAT}; update it")

    @classmethod
    def read(cls, root: Path, name: str) -> "Located | None":
        """The file `name`, relative to `root`; None when there is no such file."""
        raw = read_bytes(root, name)
        return None if raw is None else cls(name, raw)

    def error(self, where: Where, said: str) -> CourseError:
        """A CourseError at that place, or at the nearest one around it that stands in the file."""
        return CourseError(f"{self.name}:{self._lines[self._near(where)]}: {said}")

    def value(
        self,
        model: type[_Model],
        data: object = None,
        *,
        at: Where = (),
        languages: tuple[str, ...] | None = None,
        parts: Mapping[str, type[BaseModel]] = NO_PARTS,
    ) -> _Model:
        """The file, or `data` that came from the place `at`, as a value; texts in no other than these languages.

        Args:
            parts: the models of mappings below, by the key that they stand under; a mistyped key is told with these.
        """
        data = self._data if data is None else data
        try:
            return model.model_validate(data, context={"languages": languages})
        except ValidationError as error:
            raise self._told({**parts, "the file": model}, at, error.errors(include_url=False)) from error

    def refuse_repeated(self, kind: str, names: Iterable[tuple[Where, str]]) -> None:
        """Raise at the first name that stood before."""
        first: dict[str, Where] = {}
        for where, name in names:
            if name in first:
                said = f"the {kind} {name!r} stands in line {self._lines[first[name]]} already; rename or remove one"
                raise self.error(where, said)
            first[name] = where

    def _near(self, where: Where) -> Where:
        while where not in self._lines:
            where = where[:-1]
        return where

    def _told(self, models: Mapping[str, type[BaseModel]], at: Where, mistakes: list[ErrorDetails]) -> CourseError:
        """The first of pydantic's mistakes in an author's words; `at` is where the model's data stands."""
        placed = [(self._near((*at, *mistake["loc"])), mistake) for mistake in mistakes]
        # A mistyped key is an unknown and a missing one, a wrong item an item too few: what is lacking comes last.
        near, mistake = min(placed, key=lambda pair: (pair[1]["type"] in _LACKING, self._lines[pair[0]]))
        kind, context = mistake["type"], mistake.get("ctx", {})
        *around, key = [part for part in ("the file", "the file", *near) if isinstance(part, str)]
        if kind == "value_error":  # one of ours
            return self.error(near, str(context["error"]))
        if kind == "missing":
            return self.error(near, f"the key {mistake['loc'][-1]!r} is missing; add it")
        if kind == "extra_forbidden":
            known = models.get(around[-1], models["the file"]).model_fields
            return self.error(near, f"the key {key!r} is not known here; {choices(key, known)}")
        wanted = _WANTED.get(kind, "what the format asks for").format_map(context)
        return self.error(near, f"{key!r} is {seen(mistake['input'])}; write {wanted}")

    def _parsed(self, text: str) -> object:
        with suppress(yaml.YAMLError):  # libyaml marks other lines than PyYAML, so the words are always PyYAML's
            return self._document(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        try:
            return self._document(text, yaml.SafeLoader)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line, problem = mark.line + 1 if mark else 1, error.problem
        except yaml.reader.ReaderError as error:
            line, problem = text.count("\n", 0, error.position) + 1, f"U+{error.character:04X} is no text"
        raise CourseError(f"{self.name}:{line}: this is not YAML: {problem}; correct it")

    def _document(self, text: str, parser: type[Any]) -> object:
        loader = parser(text)
        try:
            loader.get_event()  # the stream's start
            if loader.check_event(yaml.StreamEndEvent):
                raise self.error((), "the file is empty; write it after a neighbour's pattern")
            loader.get_event()  # the document's start
            data = self._value(loader, self._event(loader), ())
            loader.get_event()  # the document's end
            if not loader.check_event(yaml.StreamEndEvent):
                raise self._refused(loader.peek_event(), "a second document begins here; remove it and its `---`")
            return data
        finally:
            loader.dispose()

    def _event(self, loader: Any) -> Any:
        event = loader.get_event()
        if getattr(event, "anchor", None) is not None:  # a definition or a use
            raise self._refused(event, "anchors and aliases are not read in course files; write the value out")
        if getattr(event, "tag", None) is not None:
            raise self._refused(event, f"the tag {event.tag!r} is not read in course files; remove it")
        return event

    def _value(self, loader: Any, event: Any, where: Where) -> object:
        """The value that begins with `event`. One level of recursion is one of YAML, and those are limited."""
        self._lines[where] = event.start_mark.line + 1
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(loader, event)
        if len(where) == _DEEPEST:
            raise self._refused(event, f"this is nested deeper than {_DEEPEST} levels; flatten it")
        if isinstance(event, yaml.SequenceStartEvent):
            items: list[object] = []
            while not isinstance(event := self._event(loader), yaml.SequenceEndEvent):
                items.append(self._value(loader, event, (*where, len(items))))
            return tuple(items)
        entries: dict[str, object] = {}
        while not isinstance(event := self._event(loader), yaml.MappingEndEvent):
            key = self._scalar(loader, event) if isinstance(event, yaml.ScalarEvent) else None
            if not isinstance(key, str):
                raise self._refused(event, "this key is not text; put it in quotes")
            at = (*where, key)
            if key in entries:
                raise self._refused(event, f"the key {key!r} stands in line {self._lines[at]} already; remove one")
            entries[key] = self._value(loader, self._event(loader), at)
            self._lines[at] = event.start_mark.line + 1  # the key's line, not that of a block below it
        return entries

    def _scalar(self, loader: Any, event: Any) -> object:
        """One scalar, by YAML's own rules of what is text and what a number."""
        tag = loader.resolve(yaml.ScalarNode, event.value, event.implicit)
        if tag == "tag:yaml.org,2002:str":
            return event.value
        try:
            value = loader.construct_object(yaml.ScalarNode(tag, event.value))
        except (ValueError, yaml.constructor.ConstructorError) as error:  # 2026-13-45; 5,000 digits; <<
            raise self._refused(event, "YAML reads this as a value that cannot be; put it in quotes") from error
        if isinstance(value, int) and abs(value) > _LARGEST:
            raise self._refused(event, "this number is too large; write a smaller one")
        if _READ_OTHERWISE.fullmatch(event.value):
            raise self._refused(
                event, f"YAML reads {event.value} as the number {value:g}; write that number, or text in quotes"
            )
        return value

    def _refused(self, event: Any, said: str) -> CourseError:
        return CourseError(f"{self.name}:{event.start_mark.line + 1}: {said}")


_LACKING = ("missing", "too_short")
_WANTED = {  # by pydantic's type of error
    "string_type": "text, in quotes if need be",
    "string_too_short": "at least one word",
    "int_type": "a whole number",
    "float_type": "a number",
    "finite_number": "a number that is finite",
    "greater_than": "a number greater than {gt:g}",
    "greater_than_equal": "a number that is at least {ge:g}",
    "tuple_type": "a list, one `- item` a line",
    "dict_type": "a mapping, `key: value`",
    "model_type": "a mapping, `key: value`",
    "too_short": "a list of at least one",
}


def seen(value: object) -> str:
    """What stands there, in the words of one who writes YAML."""
    if isinstance(value, str):
        return f"the text {value[:40]!r}"
    if isinstance(value, dict | tuple) and value:
        return "a mapping" if isinstance(value, dict) else "a list"
    kinds = {bool: "yes or no", int: f"the number {value}", float: f"the number {value}"}
    return kinds.get(type(value), "a date" if isinstance(value, date) else "empty")


def choices(word: str, known: Iterable[str]) -> str:
    """What there is, after a word that there is not; the nearest first."""
    known = list(known)
    near = difflib.get_close_matches(word, known, n=1)
    return (f"did you mean {near[0]!r}? " if near else "") + f"there are: {', '.join(known) or 'none'}"
