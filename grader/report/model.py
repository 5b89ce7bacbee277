"""What one grading found: a verdict (`Graded`); none, for the machine or the kit broke (`Ungraded`); none, for what was
handed in cannot be graded (`Refused`). Only the first type has a score, so neither of the others can be read as a zero.
Knows nothing of how a verdict is reached; writers and gradebooks import this alone.

The JSON form is versioned by its `schema` key and described by `grader/report/schemas/report-2.json` (`json_schema()`).
"""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Final, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, TypeAdapter, ValidationError, model_validator

from grader.failures import Evidence, Kind
from grader.report.earlier import of_version_1
from grader.words.languages import ENGLISH, language
from grader.words.say import Words, say

SCHEMA: Final = "tracegrade/report/2"
_FAMILY, _VERSION = SCHEMA.rpartition("/")[0], int(SCHEMA.rpartition("/")[2])


class Outcome(StrEnum):
    """How one check ended, and all that follows from that alone."""

    PASSED = "passed"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CRASHED = "crashed"  # the student's program ended when it should have gone on
    FORBIDDEN = "forbidden"  # a policy of the exercise was broken
    NOT_RUN = "not_run"  # what it needs did not pass
    UNMEASURED = "unmeasured"  # this machine cannot measure it: neither points nor a zero
    OMITTED = "omitted"  # an optional part that was not handed in

    @property
    def mark(self) -> Words:
        """What stands before the check on the screen. The ways to fail differ in the word, not in the colour."""
        return _MEANINGS[self].mark

    @property
    def letter(self) -> str:
        """The check's cell in a matrix."""
        return _MEANINGS[self].letter

    @property
    def word(self) -> str:
        """The outcome in a sentence."""
        return self.value.replace("_", " ")

    @property
    def failed(self) -> bool:
        """Whether it has a failure, which says why."""
        return _MEANINGS[self].failed

    @property
    def counts(self) -> bool:
        """Whether it is points or a zero; else it is neither."""
        return _MEANINGS[self].counts

    @property
    def loses_points(self) -> bool:
        """Whether its points are lost. No check that needs it is run then."""
        return self.counts and self is not Outcome.PASSED


class _Meaning(NamedTuple):
    """Attributes of an outcome, as it describes them."""

    mark: Words
    letter: str
    failed: bool
    counts: bool


_MEANINGS: Final = {
    Outcome.PASSED: _Meaning(say("ok"), ".", failed=False, counts=True),
    Outcome.FAILED: _Meaning(say("FAIL"), "F", failed=True, counts=True),
    Outcome.TIMED_OUT: _Meaning(say("TIME"), "T", failed=True, counts=True),
    Outcome.CRASHED: _Meaning(say("CRASH"), "C", failed=True, counts=True),
    Outcome.FORBIDDEN: _Meaning(say("FORBIDDEN"), "X", failed=True, counts=True),
    Outcome.NOT_RUN: _Meaning(say("not run"), "-", failed=False, counts=True),
    Outcome.UNMEASURED: _Meaning(say("unmeasured"), "?", failed=False, counts=False),
    Outcome.OMITTED: _Meaning(say("omitted"), "o", failed=False, counts=False),
}


class Isolation(StrEnum):
    """How far a student's program was kept from the judge, proven from the inside at every start."""

    BOXED = "boxed"  # namespaces, seccomp, Landlock, resource limits
    BARE = "bare"  # none: a person's own program on their own machine; never official


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Measurement(_Value):
    """The value of one budget in one run. `value` is None when this machine could not measure it."""

    name: str
    value: float | None
    limit: float
    reference: float = Field(description="What the reference solution needs.")
    naive: float | None = Field(default=None, description="What the well-known mistake needs.")
    unit: str


class Failure(_Value):
    """What went wrong, as values, and in one language. Text from a stranger's program is safe to print."""

    kind: Kind = Field(description="What went wrong, more exactly than the outcome says: see docs/report.md.")
    expected: str
    seen: str
    hint: str = Field(description="What to try.")
    evidence: tuple[Evidence, ...] = Field(
        default=(), description="Rows that prove it, each with the file and the line of the student's that it names."
    )

    def parts(self, code: str) -> Sequence[tuple[str, str]]:
        """What was expected, seen, and is to be tried, each behind its label in the language of that code."""
        tell = language(code).tell
        labelled = (
            (tell(say("expected:")), self.expected),
            (tell(say("seen:")), self.seen),
            (tell(say("try:")), self.hint),
        )
        return [(label, text) for label, text in labelled if text]

    def proof(self) -> Sequence[str]:
        """The evidence in lines, each behind a margin: no line of a stranger's can pass for one of ours."""
        return [f"  | {line}" for row in self.evidence for line in row.text.split("\n")]


class Check(_Value):
    """One check that ended, without its points' worth: what an ungraded report still shows."""

    name: str
    title: str
    points: int = Field(ge=0, description="What the check is worth.")
    outcome: Outcome
    failure: Failure | None = Field(default=None, description="What went wrong; null unless it has failed.")
    reason: str = Field(default="", description="Why it was not run, not measured or omitted; else empty.")
    duration_s: float = Field(ge=0)
    measurements: tuple[Measurement, ...] = ()

    @model_validator(mode="after")
    def _what_is_told_follows_from_the_outcome(self) -> "Check":
        if (self.failure is not None) != self.outcome.failed:
            raise ValueError(f"check {self.name}: only a check that has failed has a failure, and it always has one")
        if bool(self.reason) != (not self.outcome.failed and self.outcome is not Outcome.PASSED):
            raise ValueError(f"check {self.name}: only a check that neither passed nor failed has a reason")
        return self

    def message(self, code: str) -> str:
        """All that a person reads below the check's title, in lines; empty when it passed. `code` is the report's
        language."""
        if self.failure is None:
            return self.reason
        return "\n".join([*(f"{label} {text}" for label, text in self.failure.parts(code)), *self.failure.proof()])


class ScoredCheck(Check):
    """A check of a grading that reached a verdict."""

    score: int | None = Field(description="Points earned; null when unmeasured or omitted.")

    @model_validator(mode="after")
    def _score_follows_from_the_outcome(self) -> "ScoredCheck":
        expected = _worth(self)
        if self.score != expected:
            raise ValueError(f"check {self.name}: a {self.outcome} check scores {expected}, not {self.score}")
        return self


def scored(check: Check) -> ScoredCheck:
    """The check with what it earns: all of its points when passed, null when it does not count, else zero."""
    return ScoredCheck(**{name: getattr(check, name) for name in Check.model_fields}, score=_worth(check))


def _worth(check: Check) -> int | None:
    if not check.outcome.counts:
        return None
    return check.points if check.outcome is Outcome.PASSED else 0


class Machine(_Value):
    """What decides whether two reports can be compared."""

    kernel: str
    python: str
    strace: str | None
    bwrap: str | None
    nofile: int = Field(description="Hard limit of open descriptors.")


# One form, so that moments sort as texts.
Moment = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$", description="ISO 8601, UTC.")]


def moment(when: datetime) -> Moment:
    """That time, which is aware of its zone, as a report has it.

    Raises:
        ValueError: it has no time zone.
    """
    if when.tzinfo is None:
        raise ValueError(f"{when} has no time zone: a report is dated in UTC")
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class _Report(_Value):
    schema_: Literal["tracegrade/report/2"] = Field(default=SCHEMA, alias="schema")
    exercise: str
    title: str
    language: str = Field(default=ENGLISH, description="Of all sentences in it; English where one is not translated.")
    isolation: Isolation | None = Field(description="None when it ended before the level was proven.")
    missing_protections: tuple[str, ...] = Field(default=(), description="What the level could not prove, in words.")
    official: bool = Field(default=False, description="Boxed, whole, and by the course's own checks.")
    sizes: Literal["public", "hidden"] = "public"
    seed: int
    kit_version: str
    checks_digest: str
    machine: Machine
    graded_at: Moment | None = Field(default=None, description="When it was read what was handed in. ISO 8601, UTC.")
    submission_digest: str | None = Field(
        default=None, description="SHA-256 of the files that were graded; null where they could not all be read."
    )
    ignored_files: tuple[str, ...] = Field(default=(), description="Handed in, but not part of the exercise.")

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Graded(_Report):
    """A verdict: every listed check reported."""

    graded: Literal[True] = True
    score: int = Field(ge=0)
    max_score: int = Field(ge=0)
    measurable_score: int = Field(ge=0, description="Points of the checks that this machine can measure.")
    partial: bool = Field(default=False, description="Only some checks were asked for.")
    checks: tuple[ScoredCheck, ...]

    @model_validator(mode="after")
    def _sums_agree(self) -> "Graded":
        if self.score != sum(check.score or 0 for check in self.checks):
            raise ValueError("the score is not the sum of the checks' scores")
        if self.max_score != sum(check.points for check in self.checks):
            raise ValueError("the maximum is not the sum of the checks' points")
        measurable = (check.points for check in self.checks if check.outcome.counts)
        if self.measurable_score != sum(measurable):
            raise ValueError("the measurable score is not the sum of the measured checks' points")
        return self

    @property
    def passed(self) -> bool:
        """Nothing failed. What does not count does not fail."""
        return not any(check.outcome.loses_points for check in self.checks)

    @property
    def why_unofficial(self) -> str | None:
        """The reasons, to stand behind "because"; None when it is official."""
        if self.official:
            return None
        if self.isolation is not Isolation.BOXED and self.partial:
            return say("the program was not boxed and only some of the checks were run")
        if self.isolation is not Isolation.BOXED:
            return say("the program was not boxed")
        return say("only some of the checks were run") if self.partial else say("these are not the course's own checks")


class Ungraded(_Report):
    """No verdict: the machine or the kit broke. It has no score, and nothing in it can be read as one."""

    graded: Literal[False] = False
    reason: str = Field(description="What broke, and the cure.")
    checks: tuple[Check, ...] = Field(default=(), description="Checks that had ended, for information.")


class Refusal(_Value):
    """What is refused of what was handed in, where, why, and the cure. Names in it are safe to print."""

    what: str = Field(description="The name of what was handed in: of a folder, a file or an archive.")
    file: str | None = Field(default=None, description="The file in it that is refused; null when all of it is.")
    line: int | None = Field(default=None, ge=1)
    column: int | None = Field(default=None, ge=1, description="In characters.")
    why: str = Field(description="One sentence, which begins with the place.")
    cure: str = Field(description="What to do, for whoever handed it in.")
    absent: bool = Field(default=False, description="Nothing was handed in at all.")


class Refused(_Report):
    """No verdict: what was handed in cannot be graded, and whoever handed it in can mend that. It has no score."""

    graded: Literal[False] = False
    refusal: Refusal
    checks: tuple[()] = Field(default=(), description="None was run.")

    @property
    def word(self) -> str:
        """What it is called, in a sentence and in a table."""
        return "nothing handed in" if self.refusal.absent else "refused"

    @property
    def reason(self) -> str:
        """Why, and the cure."""
        return f"{self.refusal.why} {self.refusal.cure}"


Report = Graded | Ungraded | Refused


def _type_of(report: object) -> str | None:
    """Which of the three types a value claims to be: `graded`, and where that is false, whether there is a refusal."""
    value = report if isinstance(report, dict) else getattr(report, "__dict__", {})
    match value.get("graded"):
        case True:
            return "graded"
        case False:
            return "refused" if "refusal" in value else "ungraded"
    return None


_REPORT: TypeAdapter[Report] = TypeAdapter(
    Annotated[
        Annotated[Graded, Tag("graded")] | Annotated[Ungraded, Tag("ungraded")] | Annotated[Refused, Tag("refused")],
        Discriminator(_type_of),
    ]
)


def from_values(values: Mapping[str, Any]) -> Report:
    """A report from what `model_dump(by_alias=True)` gives.

    Raises:
        ValueError: these are no report's.
    """
    return _REPORT.validate_python(values)


def to_json(report: Report) -> str:
    """The report as indented JSON, keys in the schema's order."""
    return report.model_dump_json(by_alias=True, indent=2)


def from_json(text: str | bytes) -> Report:
    """A report from its JSON. One of version 1 is read as what it is in version 2.

    Raises:
        OtherVersion: it is of another version of the schema.
        ValueError: not JSON, no report, or sums that do not agree.
    """
    try:
        return _REPORT.validate_json(text, strict=True)
    except ValidationError:
        if (version := _other_version(text)) is None:
            raise
        try:
            return _REPORT.validate_json(json.dumps(of_version_1(json.loads(text))), strict=True)
        except (ValidationError, LookupError, TypeError, AttributeError):
            raise OtherVersion(version) from None


class OtherVersion(ValueError):
    """A report that another kit wrote. What its keys mean is not guessed at: a score could come out of it."""

    def __init__(self, version: int) -> None:
        newer = version > _VERSION
        cure = "Update this kit" if newer else "Grade the submission again"
        super().__init__(f"it is a report of version {version}, and this kit reads version {_VERSION}. {cure}.")


def _other_version(text: str | bytes) -> int | None:
    """The version that a text claims, if it claims one and that is not ours."""
    try:
        schema = json.loads(text)["schema"]
        family, _, version = schema.rpartition("/")
        return int(version) if family == _FAMILY and 0 < int(version) != _VERSION else None
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None


def json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a report."""
    schema = _REPORT.json_schema(by_alias=True, mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": SCHEMA, **schema}


def json_schema_text() -> str:
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"
