"""What to grade, and how: the one door to a grading for everything above, a command line, an audit, a notebook or a
platform alike. Knows what may be asked for together; knows no process and no words on a command line.
"""

import os
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from grader.course.model import Course, Exercise
from grader.errors import UsageError
from grader.grading.keeping import make_ready
from grader.grading.names import shown_name
from grader.report.model import Machine


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What to grade, and how. Made by `Order.of`.

    Attributes:
        source: a folder, a file or a zip; absolute.
        called: what a report calls it.
        own: a person's own work, or the course's: it may run bare where nothing better is to be had.
        trust: run bare.
        hidden: with the hidden sizes.
        checks: all, when empty.
        keep: a folder for traces and logs, with those of no other run.
    """

    course: Course
    exercise: Exercise
    source: Path
    called: str
    seed: int
    machine: Machine
    own: bool
    trust: bool
    hidden: bool
    checks: tuple[str, ...]
    language: str
    keep: Path | None

    @classmethod
    def of(
        cls,
        course: Course,
        exercise: Exercise,
        source: Path,
        machine: Machine,
        *,
        own: bool | None = None,
        trust: bool = False,
        hidden: bool | None = None,
        checks: Sequence[str] = (),
        seed: int | None = None,
        language: str = "en",
        keep: Path | None = None,
        called: str = "",
    ) -> "Order":
        """An order that can be carried out.

        Args:
            own: whether the submission is one's own work; by default, whether it stands in the course.
            hidden: by default, where the instructor has hidden sizes, for other people's work.
            seed: by default, a fresh one.
            called: by default, its name without the folders that it is in.

        Raises:
            UsageError: a check, a language or hidden sizes that there are not, or a folder to keep files in
                that cannot be written to, or holds another run's.
        """
        exercise.with_needs(checks)  # a check that does not exist is told before anything starts
        if language not in course.languages:
            raise UsageError(f"The course has no texts in {language}: it has {', '.join(course.languages)}.")
        if hidden and exercise.hidden_sizes is None:
            raise UsageError(
                f"{exercise.slug} has no hidden sizes here: {exercise.checks_dir / 'hidden'} is not there."
            )
        source = source.absolute()
        own = _is_the_courses(source, course.root) if own is None else own
        if keep is not None:
            keep = make_ready(keep, exercise=exercise.slug, source=source)
        return cls(
            course=course,
            exercise=exercise,
            source=source,
            called=called or shown_name(source.name) or "/",
            seed=random.SystemRandom().getrandbits(32) if seed is None else seed,
            machine=machine,
            own=own,
            trust=trust,
            # Other people's work is graded with what they have not seen, where the instructor has it.
            hidden=(not own and exercise.hidden_sizes is not None) if hidden is None else hidden,
            checks=tuple(checks),
            language=language,
            keep=keep,
        )

    @property
    def names(self) -> tuple[str, ...]:
        """The checks to run, in order, with what they need."""
        return self.exercise.with_needs(self.checks or [check.name for check in self.exercise.checks])


def _is_the_courses(source: Path, root: Path) -> bool:
    """What stands in the course: one's own work, the reference, and what is wrong or right on purpose."""
    real = Path(os.path.realpath(source))  # not `resolve`, which raises where links go round in a circle
    return any(real.is_relative_to(root / folder) for folder in ("exercises", "solutions", "tests"))
