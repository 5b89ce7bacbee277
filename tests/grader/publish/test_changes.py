"""What a later publication changes, in lines that a person reads."""

from typing import Any

import yaml

from grader.publish.changes import changes

_OLD: dict[str, Any] = {
    "title": {"en": "Old", "ko@1": "x"},
    "submit": ["a.py"],
    "checks": [
        {"name": "a", "points": 40, "budgets": [{"name": "calls", "limit": 4}]},
        {"name": "b", "points": 60},
    ],
}


def told(new: dict[str, object]) -> list[str]:
    name = "source/ex90/course/exercises/ex90_tiny/exercise.yaml"
    return list(changes({name: yaml.safe_dump(_OLD).encode()}, {name: yaml.safe_dump(new).encode()}))


def test_a_limit_points_and_words_are_told_with_both_values() -> None:
    new = {
        **_OLD,
        "title": {"en": "New", "ko@2": "y"},
        "checks": [
            {"name": "a", "points": 50, "budgets": [{"name": "calls", "limit": 5}]},
            {"name": "c", "points": 50},
        ],
    }

    assert told(new) == [
        "ex90_tiny: checks.a.budgets.calls.limit: 4 -> 5",
        "ex90_tiny: checks.a.points: 40 -> 50",
        "ex90_tiny: checks.b: gone",
        "ex90_tiny: checks.c: new",
        'ex90_tiny: title.en: "Old" -> "New"',
        'ex90_tiny: title.ko@1: gone, "x"',
        'ex90_tiny: title.ko@2: new, "y"',
    ]


def test_another_order_of_checks_is_told() -> None:
    assert told({**_OLD, "checks": list(reversed(_OLD["checks"]))}) == ["ex90_tiny: checks: now in the order b, a"]


def test_a_handout_is_told_line_by_line_and_a_long_change_is_cut() -> None:
    old = {"exercises/x/README.md": b"one\ntwo\n", "a.py": b"1\n"}
    new = {"exercises/x/README.md": b"one\n-- 2\n", "a.py": b"2\n"}

    assert list(changes(old, new)) == ["exercises/x/README.md:", "  -two", "  +-- 2"]
    many = {"README.md": b"".join(b"%d\n" % number for number in range(100))}
    assert list(changes({"README.md": b""}, many))[-1] == "  and 60 more lines"


def test_what_is_no_yaml_is_told_as_text() -> None:
    (line,) = changes({"course.yaml": b"a: ["}, {"course.yaml": b"a: 1"})

    assert line == "course.yaml: \"a: [\" -> {'a': 1}"
