"""How one submission is judged: `prepare` once for a slot, then `judge` for each job in a process of its own.

Knows levels, pytest and the plugin; knows nothing of how jobs come and events go. It never imports a submission.
"""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from grader.box import kernel
from grader.box.canary import Canary
from grader.box.levels import Level, Site, level_named
from grader.box.limits import raise_open_files
from grader.box.proof import prove
from grader.box.wall import library_folders
from grader.course.model import Exercise
from grader.errors import KitError
from grader.judge.plugin import JudgePlugin
from grader.judge.protocol import Broken, Event, Finished, Job, Surroundings
from grader.measure import strace

# Plugins of pytest that no check needs; to load them takes as long as a check.
_UNUSED = (
    "cacheprovider",
    "debugging",
    "doctest",
    "faulthandler",
    "junitxml",
    "pastebin",
    "setuponly",
    "setupplan",
    "stepwise",
    "unittest",
)

Emit = Callable[[Event], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What is proven once, and holds for all judges that are forked from here."""

    level: Level
    strace: str | None  # absolute path, when it is known to work here
    untraceable: str | None


@contextlib.contextmanager
def prepare(surroundings: Surroundings, folder: Path, parent_pid: int) -> Iterator[Prepared]:
    """Make this process the judge of a level, and prove that and the tracer with a box that holds nothing.

    Args:
        folder: as `staging_folder` makes it, for that box.
        parent_pid: whose death ends this process.

    Raises:
        LevelRefused: the level cannot be had here; why.
        KitError: the machine lacks what every level needs.
    """
    canary = Canary(
        port=surroundings.canary_port,
        abstract=surroundings.canary_abstract,
        environ=surroundings.canary_environ,
    )
    site = Site(staging=folder, bwrap=surroundings.bwrap, canary=canary)
    with level_named(surroundings.level).set_up(site) as level:
        # unshare(2) with a user namespace changes credentials, which clears the parent-death signal (prctl(2)).
        kernel.die_with_parent(parent_pid, by=kernel.IN_ORDER)
        prove(level)
        tracer = surroundings.strace
        untraceable = "strace is not installed" if tracer is None else strace.refusal(tracer, level.traces, level.uid)
        raise_open_files()  # the common default of 1,024 is meant for programs that hold fewer connections
        yield Prepared(level=level, strace=tracer if untraceable is None else None, untraceable=untraceable)


def judge(job: Job, prepared: Prepared, emit: Emit) -> None:
    """Run the job's checks, and tell each as it ends; at last that all have, or why there is no verdict."""
    try:
        _judge(job, prepared, emit)
    except KitError as error:
        emit(Broken(str(error)))


def _judge(job: Job, prepared: Prepared, emit: Emit) -> None:
    exercise = Exercise.model_validate_json(job.exercise)
    # The libraries are refused by an import hook too, with a reason; but a program can remove that.
    hidden = [exercise.root, *library_folders(exercise.forbidden.modules)]
    plugin = JudgePlugin(
        exercise=exercise,
        level=prepared.level.at(Path(job.staging), hidden),
        strace=prepared.strace,
        untraceable=f"System calls cannot be counted here: {prepared.untraceable}.",
        seed=job.seed,
        chosen_sizes=job.sizes,
        wanted=tuple(job.checks),
        language=job.language,
        keep=None if job.keep is None else Path(job.keep),
        emit=emit,
    )
    files = [str(path) for path in sorted(exercise.checks_dir.glob("test_*.py"))]
    unused = [word for name in _UNUSED for word in ("-p", f"no:{name}")]
    quiet = [*unused, "--noconftest", "-c", os.devnull, "--rootdir", str(exercise.checks_dir)]
    with contextlib.redirect_stdout(sys.stderr), contextlib.closing(plugin.boxes):
        status = pytest.main(
            [*quiet, "--import-mode=importlib", "-p", "pytest_timeout", *files],
            plugins=[plugin],
        )
    if set(plugin.outcomes) == set(job.checks):
        emit(Finished())
    else:
        emit(Broken(plugin.broken or f"pytest ended early, with status {int(status)}."))
