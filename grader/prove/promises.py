"""What a course promises of its wrong submissions and its rules, as the author wrote it down: wrong/expected.yaml and
rules.yaml beside the checks. Knows what these files must agree on with the handout and the exercise; grades nothing.

A rule is a sentence of the handout. For each there is a check that fails whoever breaks it, and a wrong submission that
proves so; or a reason why it is left to the student.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from grader.course.model import Exercise
from grader.course.yaml_file import Located, decoded, read_bytes
from grader.errors import CourseError
from grader.prove.figures import check_of

DEAR = 40  # points of 100 that may hang on one mistake without a word on why

_SECTION = re.compile(r"^## The contract$(?P<text>.*?)^## ", re.MULTILINE | re.DOTALL)
_ITEM = re.compile(r"^(?P<number>[0-9]+)\. (?P<text>.*?)(?=^[0-9]+\. |\Z)", re.MULTILINE | re.DOTALL)


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Promise(_Value):
    """What a wrong submission must fail. `dear` says why, where much hangs on its one mistake; `shows` names budgets
    whose naive figure it has, where a check that comes before would hide that."""

    mistake: str = Field(min_length=1)
    red: tuple[str, ...] = Field(min_length=1)
    shows: tuple[str, ...] = ()
    dear: str = ""


class _Expected(_Value):
    """tests/<slug>/wrong/expected.yaml."""

    format: int = Field(ge=1, le=1)
    wrong: dict[str, Promise]


def _listed(names: object) -> object:
    return (names,) if isinstance(names, str) else names


_Names = Annotated[tuple[str, ...], BeforeValidator(_listed)]


class Rule(_Value):
    """A sentence of the handout with the checks that hold it and the wrong submissions that break it."""

    rule: str = Field(min_length=1)
    check: _Names = ()
    wrong: _Names = ()
    unchecked: str = ""

    @model_validator(mode="after")
    def _is_held_or_says_why_not(self) -> "Rule":
        if bool(self.unchecked) == bool(self.check) or bool(self.check) != bool(self.wrong):
            raise ValueError("a rule has `check` and `wrong`, or it says under `unchecked` why it has none")
        return self


class _Rules(_Value):
    """tests/<slug>/rules.yaml."""

    format: int = Field(ge=1, le=1)
    rules: tuple[Rule, ...] = Field(min_length=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Promises:
    """All that is promised of one exercise; `off` is what is not as it should be, as lines."""

    wrong: Mapping[str, Promise]
    rules: tuple[Rule, ...]
    off: tuple[str, ...]


def read_promises(exercise: Exercise) -> Promises:
    """Both files of one exercise, in agreement with its checks, its handout and its wrong submissions.

    Raises:
        CourseError: a file is missing or malformed, or names what is not there.
    """
    wrong = _wrong(exercise)
    rules = _rules(exercise, wrong)
    off = [*_uncovered(exercise, rules), *_unexplained(exercise, wrong)] if rules else []
    return Promises(wrong=wrong, rules=rules, off=tuple(off))


def points_lost(exercise: Exercise, red: tuple[str, ...]) -> int:
    """The points of these checks and of all that need them."""
    lost = set(red)
    for check in exercise.checks:  # what a check needs stands above it
        if lost.intersection(check.needs):
            lost.add(check.name)
    return sum(check.points for check in exercise.checks if check.name in lost)


def folders(parent: Path) -> list[Path]:
    """The submissions below right/ or wrong/."""
    if not parent.is_dir():
        return []
    return sorted(entry for entry in parent.iterdir() if entry.is_dir() and entry.name != "__pycache__")


def _wrong(exercise: Exercise) -> Mapping[str, Promise]:
    name = f"tests/{exercise.slug}/wrong/expected.yaml"
    document = Located.read(exercise.root, name)
    if document is None:
        raise CourseError(f"{name}: there is no such file; list there what each wrong submission must fail.")
    expected = document.value(_Expected)
    checks = {check.name for check in exercise.checks}
    for fault, promise in expected.wrong.items():
        for place, red in enumerate(promise.red):
            if red not in checks:
                said = f"there is no check {red} in {exercise.slug}; name one that exercise.yaml lists"
                raise document.error(("wrong", fault, "red", place), said)
        for place, budget in enumerate(promise.shows):
            if check_of(exercise, budget) is None:
                said = f"there is no budget {budget} in {exercise.slug}; name one that exercise.yaml lists"
                raise document.error(("wrong", fault, "shows", place), said)
    there = {folder.name for folder in folders(exercise.checks_dir / "wrong")}
    for fault in expected.wrong:
        if fault not in there:
            raise document.error(("wrong", fault), f"there is no folder {fault}; add it or remove the entry")
    for folder in sorted(there - set(expected.wrong)):
        raise document.error(("wrong",), f"the folder {folder} is not listed; say what it must fail")
    return expected.wrong


def _rules(exercise: Exercise, wrong: Mapping[str, Promise]) -> tuple[Rule, ...]:
    document = Located.read(exercise.root, f"tests/{exercise.slug}/rules.yaml")
    if document is None:
        return ()
    handout = _plain(_handout(exercise))
    checks = {check.name for check in exercise.checks}
    rules = document.value(_Rules).rules
    for place, rule in enumerate(rules):
        where = ("rules", place)
        if _plain(rule.rule) not in handout:
            said = "this rule does not stand in the handout, word for word; copy it from README.md, or write it there"
            raise document.error((*where, "rule"), said)
        for check in rule.check:
            if check not in checks:
                said = f"there is no check {check} in {exercise.slug}; name one that exercise.yaml lists"
                raise document.error((*where, "check"), said)
        for fault in rule.wrong:
            if fault not in wrong:
                said = f"there is no wrong submission {fault}; write it, and list it in expected.yaml"
                raise document.error((*where, "wrong"), said)
            if not set(wrong[fault].red).intersection(rule.check):
                said = f"{fault} promises to fail none of {', '.join(rule.check)}; name the check that it fails"
                raise document.error((*where, "wrong"), said)
    return rules


def _handout(exercise: Exercise) -> str:
    name = f"exercises/{exercise.slug}/README.md"
    raw = read_bytes(exercise.root, name)
    if raw is None:
        raise CourseError(f"{name}: there is no such file; write the handout, with its section `## The contract`.")
    return decoded(name, raw)


def _plain(text: str) -> str:
    return " ".join(text.split())


def _uncovered(exercise: Exercise, rules: tuple[Rule, ...]) -> Iterator[str]:
    """Items of the contract of which no part is a rule."""
    name = f"tests/{exercise.slug}/rules.yaml"
    section = _SECTION.search(_handout(exercise))
    for item in _ITEM.finditer(section["text"] if section else ""):
        text = _plain(item["text"])
        if not any(_plain(rule.rule) in text for rule in rules):
            yield f"{name}: item {item['number']} of the contract has no rule here. Say which check holds it."


def _unexplained(exercise: Exercise, wrong: Mapping[str, Promise]) -> Iterator[str]:
    for fault, promise in wrong.items():
        lost = points_lost(exercise, promise.red)
        if lost > DEAR and not promise.dear:
            yield (
                f"{exercise.slug}: {lost} points hang on the one mistake of {fault}. Let fewer checks need what it "
                "fails, or say under `dear` in expected.yaml why so many do."
            )
