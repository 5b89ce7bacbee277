"""What one grading found. A report with a score (`Graded`) is another type than one without (`Ungraded`), so a kit
that broke cannot be read as a zero. Knows nothing of how a verdict is reached; writers and gradebooks import this
alone.

The JSON form is versioned by its `schema` key and described by `grader/report/schemas/report-1.json` (`json_schema()`).
"""

import json
from enum import StrEnum
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

SCHEMA: Final = "tracegrade/report/1"


class Outcome(StrEnum):
    """How one check ended."""

    PASSED = "passed"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CRASHED = "crashed"  # the student's program ended when it should have gone on
    FORBIDDEN = "forbidden"  # a policy of the exercise was broken
    NOT_RUN = "not_run"  # what it needs did not pass
    UNMEASURED = "unmeasured"  # this machine cannot measure it: neither points nor a zero
    OMITTED = "omitted"  # an optional part that was not handed in


UNCOUNTED = (Outcome.UNMEASURED, Outcome.OMITTED)  # neither points nor a zero


class Isolation(StrEnum):
    """How far a student's program was kept from the judge, proven from the inside at every start."""

    BOXED = "boxed"  # namespaces, seccomp, Landlock, resource limits
    GUARDED = "guarded"  # no namespaces to be had; every missing protection is listed
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


class Check(_Value):
    """One check that ended, without its points' worth: what an ungraded report still shows."""

    name: str
    title: str
    points: int = Field(ge=0, description="What the check is worth.")
    outcome: Outcome
    message: str = Field(default="", description="Expected, seen, what to try; then the evidence. Empty when passed.")
    duration_s: float = Field(ge=0)
    measurements: tuple[Measurement, ...] = ()


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
    return ScoredCheck(**check.model_dump(), score=_worth(check))


def _worth(check: Check) -> int | None:
    if check.outcome in UNCOUNTED:
        return None
    return check.points if check.outcome is Outcome.PASSED else 0


class Machine(_Value):
    """What decides whether two reports can be compared."""

    kernel: str
    python: str
    strace: str | None
    bwrap: str | None
    nofile: int = Field(description="Hard limit of open descriptors.")


class _Report(_Value):
    schema_: Literal["tracegrade/report/1"] = Field(default=SCHEMA, alias="schema")
    exercise: str
    title: str
    isolation: Isolation | None = Field(description="None when it broke before the level was proven.")
    missing_protections: tuple[str, ...] = Field(default=(), description="What the level could not prove, in words.")
    official: bool = Field(default=False, description="Boxed, whole, and by the course's own checks.")
    sizes: Literal["public", "hidden"] = "public"
    seed: int
    kit_version: str
    checks_digest: str
    machine: Machine
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
        measurable = (check.points for check in self.checks if check.outcome not in UNCOUNTED)
        if self.measurable_score != sum(measurable):
            raise ValueError("the measurable score is not the sum of the measured checks' points")
        return self

    @property
    def passed(self) -> bool:
        """Nothing failed. What does not count does not fail."""
        return all(check.outcome in (Outcome.PASSED, *UNCOUNTED) for check in self.checks)

    @property
    def why_unofficial(self) -> str | None:
        """The reasons, to stand behind "because"; None when it is official."""
        if self.official:
            return None
        reasons = []
        if self.isolation is not Isolation.BOXED:
            reasons.append("the program was not boxed")
        if self.partial:
            reasons.append("only some of the checks were run")
        return " and ".join(reasons) or "these are not the course's own checks"


class Ungraded(_Report):
    """No verdict: the machine or the kit broke. It has no score, and nothing in it can be read as one."""

    graded: Literal[False] = False
    reason: str = Field(description="What broke, and the cure.")
    checks: tuple[Check, ...] = Field(default=(), description="Checks that had ended, for information.")


Report = Annotated[Graded | Ungraded, Field(discriminator="graded")]
_REPORT: TypeAdapter[Graded | Ungraded] = TypeAdapter(Report)


def to_json(report: Graded | Ungraded) -> str:
    """The report as indented JSON, keys in the schema's order."""
    return report.model_dump_json(by_alias=True, indent=2)


def from_json(text: str | bytes) -> Graded | Ungraded:
    """A report from its JSON.

    Raises:
        ValueError: not JSON, another schema version, or sums that do not agree.
    """
    return _REPORT.validate_json(text, strict=True)


def json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a report."""
    schema = _REPORT.json_schema(by_alias=True, mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": SCHEMA, **schema}


def json_schema_text() -> str:
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"
