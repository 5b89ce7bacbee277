"""What makes a verdict given here and one given elsewhere comparable: kit, checks, sizes, seed, machine. Knows what
each of them means for a verdict; knows nothing of how one is reached.
"""

import json
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Final

from grader.course.model import Exercise
from grader.report.model import Graded, Isolation, Machine, Outcome, Refused, Report, Ungraded
from grader.safe_text import safe_text

SCHEMA: Final = "tracegrade/parity/1"

_VALUE_CHARS: Final = 40
_DIGITS: Final = 12  # of a digest, for a person's eyes


@dataclass(frozen=True, slots=True, kw_only=True)
class Checks:
    """What decides the verdicts on one exercise here."""

    exercise: str
    checks_digest: str
    sizes: tuple[str, ...]  # "public", and "hidden" where the instructor's are here


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """This installation, as far as verdicts depend on it. The seed is a grading's own, not an installation's."""

    kit_version: str
    isolation: Isolation  # the best that is to be had
    machine: Machine
    cores: int
    exercises: tuple[Checks, ...]

    def to_json(self) -> str:
        """As JSON, with the keys of a report where a report has them."""
        exercises = [asdict(one) for one in self.exercises]
        values = {
            "schema": SCHEMA,
            "kit_version": self.kit_version,
            "isolation": self.isolation,
            "machine": self.machine.model_dump() | {"cores": self.cores},
            "exercises": exercises,
        }
        return json.dumps(values, indent=2)

    def lines(self) -> Iterator[str]:
        facts = [
            ("kit", self.kit_version),
            ("isolation", self.isolation.value),
            *((name, str(value or "none")) for name, value in self.machine.model_dump().items()),
            ("cores", str(self.cores)),
            ("seed", "a grading's own: it is in its report, and --seed repeats it"),
        ]
        for name, value in facts:
            yield f"{name:<12}{value}"
        for one in self.exercises:
            yield f"{one.exercise:<20}checks {one.checks_digest[:_DIGITS]}, sizes {' and '.join(one.sizes)}"


def checks_of(exercises: Sequence[Exercise]) -> tuple[Checks, ...]:
    return tuple(
        Checks(
            exercise=one.slug,
            checks_digest=one.digest,
            sizes=("public",) if one.hidden_sizes is None else ("public", "hidden"),
        )
        for one in exercises
    )


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that two gradings may differ in."""

    what: str
    here: str
    there: str
    means: str  # for the verdict; empty when there is nothing to say
    forbids: bool = False  # scores cannot be compared


@dataclass(frozen=True, slots=True)
class Comparison:
    """A report and this installation, side by side."""

    rows: tuple[Row, ...]
    repeat: str  # the command that repeats that very grading here

    @property
    def comparable(self) -> bool:
        return not any(row.forbids for row in self.rows)

    def to_json(self) -> str:
        values = {"schema": SCHEMA, "comparable": self.comparable, "rows": [asdict(row) for row in self.rows]}
        return json.dumps({**values, "repeat": self.repeat}, indent=2)

    def lines(self) -> Iterator[str]:
        titles = Row("", "here", "there", "")
        columns = [max(len(getattr(row, name)) for row in (titles, *self.rows)) for name in ("what", "here", "there")]
        for row in (titles, *self.rows):
            cells = [cell.ljust(width) for cell, width in zip((row.what, row.here, row.there), columns, strict=True)]
            mark = "NO  " if row.forbids else "    "
            yield f"{mark}{'  '.join(cells)}  {row.means}".rstrip()
        yield ""
        if self.comparable:
            yield "Comparable: this installation grades as that one did. To repeat that grading here:"
        else:
            yield "Not comparable, because of the lines with NO. What comes nearest to that grading here:"
        yield f"  {self.repeat}"
        yield "The files that were graded belong into exercises/; or name them with --submission FOLDER."


def compare(here: Block, there: Report) -> Comparison:
    """What a report says of its grading, against this installation, whose block holds that exercise alone."""
    checks = here.exercises[0]
    return Comparison(
        rows=(
            _kit(here.kit_version, there.kit_version),
            _checks(checks.checks_digest, there.checks_digest),
            _verdict(there),
            _sizes(checks.sizes, there.sizes),
            Row("seed", "any", str(there.seed), f"repeat with --seed {there.seed}"),
            _isolation(here.isolation, there),
            *_machine(here.machine, there),
        ),
        repeat=_repeat(there),
    )


def _kit(here: str, there: str) -> Row:
    if here == there:
        return Row("kit", here, there, "")
    version, _, files = there.partition("+")
    if version != here.partition("+")[0]:
        means = "another version: install that one"
    elif files:
        means = "the same version with other files: one of the two was changed"
    else:
        means = "that report does not say which files its kit had"
    return Row("kit", here, _shown(there), means, forbids=True)


def _checks(here: str, there: str) -> Row:
    same = here == there
    means = "same checks: scores can be compared" if same else "other checks: do not compare"
    return Row("checks", here[:_DIGITS], _shown(there[:_DIGITS]), means, forbids=not same)


def _verdict(there: Report) -> Row:
    if isinstance(there, Refused):
        return Row("verdict", "", "none: refused", "the submission could not be graded: mend it first", forbids=True)
    if isinstance(there, Ungraded):
        return Row("verdict", "", "none", "there is nothing to compare with: grade again", forbids=True)
    unmeasured = [check.name for check in there.checks if check.outcome is Outcome.UNMEASURED]
    score = f"{there.score} of {there.max_score}"
    if unmeasured:
        number = "1 check was" if len(unmeasured) == 1 else f"{len(unmeasured)} checks were"
        means = f"{number} unmeasured there: {_shown(', '.join(unmeasured), chars=200)}"
        return Row("verdict", "", score, means, forbids=True)
    return Row("verdict", "", score, "only these checks were asked for" if there.partial else "")


def _sizes(here: Sequence[str], there: str) -> Row:
    if there not in here:
        means = "the hidden sizes are the instructor's, and not here"
    elif there == "hidden":
        means = "repeat with --hidden"
    else:  # others' work is graded with the hidden sizes where there are any
        means = "repeat it in exercises/: --submission takes the hidden ones here" if "hidden" in here else ""
    return Row("sizes", " and ".join(here), there, means, forbids=there not in here)


def _isolation(here: Isolation, there: Report) -> Row:
    means = []
    if isinstance(there, Graded) and not there.official:
        means.append("not official: no grade to record")
    if here is not Isolation.BOXED:
        means.append("nothing that is graded here is official")
    return Row("isolation", here, there.isolation or "not proven", "; ".join(means))


def _machine(here: Machine, there: Report) -> Iterator[Row]:
    then = there.machine
    new_kernel = here.kernel != then.kernel
    yield Row(
        "kernel",
        here.kernel,
        _shown(then.kernel),
        "another kernel: the counts should be the same" if new_kernel else "",
    )
    other_python = here.python.split(".")[:2] != then.python.split(".")[:2]
    counts = "another Python: instructions and bytes are not the same numbers" if other_python else ""
    yield Row("python", here.python, _shown(then.python), counts)
    missing = "here" if then.strace and not here.strace else "there" if here.strace and not then.strace else ""
    means = f"missing {missing}: checks that count system calls are unmeasured" if missing else ""
    yield Row("strace", here.strace or "none", _shown(then.strace or "none"), means, forbids=bool(missing))
    yield Row("bwrap", here.bwrap or "none", _shown(then.bwrap or "none"), "")
    crowds = "the largest crowds may be smaller where it is less" if here.nofile != then.nofile else ""
    yield Row("nofile", str(here.nofile), str(then.nofile), crowds)


def _repeat(there: Report) -> str:
    words = ["grade", there.exercise, "--seed", str(there.seed)]
    if there.sizes == "hidden":
        words.append("--hidden")
    if isinstance(there, Graded) and there.partial:
        for check in there.checks:
            words += ["--only", check.name]
    return safe_text(shlex.join(words), max_line=1_000)


def _shown(text: str, *, chars: int = _VALUE_CHARS) -> str:
    """A report comes from elsewhere."""
    return safe_text(text.replace("\n", " "), max_chars=chars)
