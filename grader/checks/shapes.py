"""What a scenario's answer looks like, as its author declared it, and whether what came out of a box looks so.

Knows annotations and pydantic; knows nothing of boxes, channels or what an answer means.

The return annotation of a scenario is the shape of its answer, as JSON carries it: a tuple crosses as a list, and the
keys of a dict as text. What does not fit has been made by a program that tampers with its own answers, or by one whose
functions return something else: either way it has `crashed`, and no check stumbles over it.

    class Told(TypedDict):              # from typing_extensions: before Python 3.12 pydantic takes no other
        values: list[int]
        errors: list[tuple[str, str]]

    def tell(student: Any, room: Any, words: list[str]) -> Told: ...

What the submission's own function returned may be anything, and a check wants to say so: `Plain` lets it through.
"""

import inspect
import json
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from types import FunctionType
from typing import Any

from pydantic import PydanticUserError, TypeAdapter, ValidationError

from grader.errors import GraderError
from grader.failures import Crashed
from grader.words.say import say

Plain = None | bool | int | float | str

_INTEGERS = range(-(2**63), 2**64)  # what a C function or the kernel takes; a larger one overflows where it is used
_DEPTH = 32
_SHOWN_CHARS = 200
# Four times the longest answer of this course. A shape that fits none of a million parts has a million complaints.
_MOST_PARTS = 50_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shape:
    """A declared shape. `text` is it in its author's words."""

    text: str
    adapter: TypeAdapter[Any]

    def require(self, what: str, value: Any) -> None:
        seen = _too_much(value) or _out_of_bounds(value, _DEPTH) or self._misfit(value)
        if seen:
            raise Crashed(expected=say("{what} of the form {form}", what=what, form=self.text), seen=seen)

    def _misfit(self, value: Any) -> str:
        """The first part that does not fit, and where it stands; empty when all fits."""
        try:
            self.adapter.validate_json(json.dumps(value), strict=True)
        except ValidationError as error:
            place = ""
            for step in error.errors(include_url=False, include_input=False)[0]["loc"]:
                try:
                    value = value[step]
                except (LookupError, TypeError):  # a missing key, or the alternative of a union
                    break
                place += f"[{step!r}]"
            shown = repr(value)
            shown = shown if len(shown) <= _SHOWN_CHARS else f"{shown[:_SHOWN_CHARS]}..."
            return say("{value} at {place}", value=shown, place=place) if place else shown
        return ""


def fitting(function: Callable[..., Any], value: Any) -> Any:
    """The value, which is of the form that the function's return annotation declares.

    Raises:
        Crashed: it is not.
        GraderError: the annotation cannot be read.
    """
    _returned(function).require(say("an answer"), value)
    return value


def fitting_question(function: Callable[..., Any], value: Any) -> Any:
    """As `fitting`, of what a scenario asks: the annotation of the first parameter of who answers declares it."""
    _asked(function).require(say("a question"), value)
    return value


def is_loose(function: Callable[..., Any]) -> bool:
    """Whether anything goes somewhere in a function's answer: no annotation, Any, object, or a list of whatever."""
    return any(map(_is_any, _schemas(_returned(function).adapter.json_schema())))


@cache
def _returned(function: Callable[..., Any]) -> _Shape:
    return _shape(function, "return")


@cache
def _asked(function: Callable[..., Any]) -> _Shape:
    return _shape(function, next(iter(inspect.signature(function).parameters)))


def _shape(function: Callable[..., Any], name: str) -> _Shape:
    """One annotation, resolved where the function is defined; the others may name what is there for mypy alone."""
    plain = inspect.unwrap(getattr(function, "__func__", function))
    assert isinstance(plain, FunctionType)  # its source is shipped
    annotation = plain.__annotations__.get(name, Any)
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation, plain.__module__)
    place = f"{plain.__code__.co_filename}:{plain.__code__.co_firstlineno}: {plain.__name__}"
    try:
        resolved = typing.get_type_hints(_Only({name: annotation}), plain.__globals__, include_extras=True)[name]
        return _Shape(text=text, adapter=TypeAdapter(resolved))
    except PydanticUserError as error:
        raise GraderError(f"{place} declares {text}, which is no shape: {error.message}") from error
    except NameError as error:
        raise GraderError(f"{place} declares {text}: {error}. Import it where it is seen at run time.") from error


class _Only:
    """What `get_type_hints` takes: something that has annotations."""

    def __init__(self, annotations: Mapping[str, Any]) -> None:
        self.__annotations__ = dict(annotations)


def _too_much(value: Any) -> str:
    """More values, within one another or not, than any answer has."""
    known, left = 0, [value]
    while left:
        part = left.pop()
        known += 1
        left += part if isinstance(part, list) else part.values() if isinstance(part, dict) else ()
        if known + len(left) > _MOST_PARTS:
            return f"more than {_MOST_PARTS:,} values"
    return ""


def _out_of_bounds(value: Any, depth: int) -> str:
    """What no shape has: JSON can say it, and who uses it breaks. A frame bounds the length of lists and texts."""
    match value:
        case str():
            try:
                value.encode()
            except UnicodeEncodeError:
                return say("text that is no Unicode: {value!r}", value=value[:_SHOWN_CHARS])
        case bool() | None | float():  # infinite ones have not come so far
            pass
        case int():
            if value not in _INTEGERS:
                return say("a number of more than 64 bits")
        case _ if not depth:
            return say("lists within lists, more than {depth} deep", depth=_DEPTH)
        case list():
            return next(filter(None, (_out_of_bounds(part, depth - 1) for part in value)), "")
        case dict():
            parts = (part for pair in value.items() for part in pair)
            return next(filter(None, (_out_of_bounds(part, depth - 1) for part in parts)), "")
    return ""


def _schemas(schema: Any) -> Iterator[Any]:
    """A JSON schema and all that stand in it."""
    yield schema
    if not isinstance(schema, dict):
        return
    for key in ("items", "additionalProperties"):
        if key in schema:
            yield from _schemas(schema[key])
    for key in ("properties", "patternProperties", "$defs"):
        for inner in schema.get(key, {}).values():
            yield from _schemas(inner)
    for key in ("prefixItems", "anyOf", "oneOf", "allOf"):
        for inner in schema.get(key, []):
            yield from _schemas(inner)


def _is_any(schema: Any) -> bool:
    return schema is True or (isinstance(schema, dict) and not schema.keys() - {"title", "description", "default"})
