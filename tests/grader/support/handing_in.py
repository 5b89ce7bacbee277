"""What tests of the harness share: a source as a submission of the tiny exercise, and how a check on it fails."""

import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

from grader.box.levels import Level
from grader.checks.boxes import Boxes
from grader.checks.policies import Policies
from grader.checks.submission import Submission
from grader.course.load import load_course
from grader.course.model import Watch
from grader.errors import GraderError
from grader.failures import CheckFailed, Unmeasured
from places import TESTS

TINY = TESTS / "tiny_course"
_SECONDS = re.compile(" for [0-9]+ s$")  # how long a program was waited for is another number each time


def handed_in(
    level: Level, source: str, *, strace: str | None = None, keep: Path | None = None, watches: Sequence[Watch] = ()
) -> Submission:
    """This source as a submission of the tiny exercise, whose first check watches for what `watches` says."""
    exercise = load_course(TINY).find("ex90")
    first, *others = exercise.checks
    checks = (first.model_copy(update={"watches": tuple(watches)}), *others)
    exercise = exercise.model_copy(update={"checks": checks})
    (level.staging / "submission" / "tiny.py").write_text(source)
    shutil.copyfile(TINY / "exercises/ex90_tiny/factor.py", level.staging / "given" / "factor.py")
    return Submission(
        boxes=Boxes(exercise=exercise, level=level, strace=strace, takes_down=keep is not None),
        untraceable="System calls cannot be counted here: strace is not installed.",
        rng=Random(1),
        policies=Policies(exercise=exercise),
        keep=keep,
        label="check",
    )


def failure_of(act: Callable[[], object]) -> list[Any]:
    """How it fails: the kind, what was expected, what was seen, the evidence; else what it gives."""
    try:
        given = act()
    except CheckFailed as failure:
        seen = _SECONDS.sub("", failure.seen)
        return [type(failure).__name__, failure.expected, seen, [row.text for row in failure.evidence]]
    except (Unmeasured, GraderError) as other:
        return [type(other).__name__, str(other)]
    return ["nothing", given]
