"""What a later publication changes for its readers: limits, points and words, line by line. Knows exercise.yaml and
handouts as they are published; knows nothing of how files are written.
"""

import difflib
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

import yaml

_MOST_LINES = 40  # of one handout's changes
_ABSENT = object()


def changes(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> Iterator[str]:
    """A line for each limit, number and sentence that is another one than before.

    Args:
        before, after: what stands in files, by path; only exercise.yaml, course.yaml and handouts are looked at.
    """
    for name in sorted({*before, *after}):
        path = PurePosixPath(name)
        old, new = before.get(name), after.get(name)
        if old is None or new is None or old == new:
            continue
        if path.name in ("exercise.yaml", "course.yaml"):
            whose = path.parent.name if path.name == "exercise.yaml" else path.name
            yield from (f"{whose}: {line.removeprefix(': ')}" for line in _values("", _loaded(old), _loaded(new)))
        elif path.name.startswith("README") and path.suffix == ".md":
            yield from _text(name, old, new)


def _loaded(data: bytes) -> Any:
    try:
        return yaml.safe_load(data)
    except (yaml.YAMLError, ValueError):
        return data.decode("utf-8", "replace")


def _values(where: str, old: Any, new: Any) -> Iterator[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in dict.fromkeys([*old, *new]):
            yield from _values(f"{where}.{key}" if where else str(key), old.get(key, _ABSENT), new.get(key, _ABSENT))
    elif (named := _by_name(old)) is not None and (others := _by_name(new)) is not None:
        yield from _values(where, named, others)
        common = [name for name in named if name in others]
        if common != [name for name in others if name in named]:
            yield f"{where}: now in the order {', '.join(others)}"
    elif old is _ABSENT:
        yield f"{where}: new{_brief(new)}"
    elif new is _ABSENT:
        yield f"{where}: gone{_brief(old)}"
    elif old != new:
        yield f"{where}: {_shown(old)} -> {_shown(new)}"


def _by_name(values: Any) -> dict[str, Any] | None:
    """A list of checks or budgets, by name; None when it is none."""
    if isinstance(values, list) and values and all(isinstance(one, dict) and "name" in one for one in values):
        return {str(one["name"]): one for one in values}
    return None


def _shown(value: Any) -> str:
    return f'"{value.strip()}"' if isinstance(value, str) else str(value)


def _brief(value: Any) -> str:
    return "" if isinstance(value, dict | list) else f", {_shown(value)}"


def _text(name: str, old: bytes, new: bytes) -> Iterator[str]:
    before, after = (text.decode("utf-8", "replace").splitlines() for text in (old, new))
    lines = [
        line for line in difflib.unified_diff(before, after, n=0, lineterm="") if line[:2] not in ("--", "++", "@@")
    ]
    yield f"{name}:"
    yield from (f"  {line}" for line in lines[:_MOST_LINES])
    if len(lines) > _MOST_LINES:
        yield f"  and {len(lines) - _MOST_LINES} more lines"
