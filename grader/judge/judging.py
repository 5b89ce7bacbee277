"""How one submission is judged: `prepare` once for a slot, then `judge` for each job in a process of its own.

Knows the wall, pytest and the plugin; knows nothing of how jobs come and events go. It never imports a submission.
"""

import contextlib
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from grader.box import kernel
from grader.box.box import Box, Lost
from grader.box.channel import BoxEnded
from grader.box.limits import Limits, raise_open_files
from grader.box.wall import Canary, Wall, build_wall, library_folders
from grader.course.load import Exercise
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
# Of the box that tries the wall before any exercise is known. Each box proves its own wall again, but this number.
_TRIAL = Limits(memory_mb=512, processes=16, tmp_mb=4, open_files=256)

Emit = Callable[[Event], None]


class IsolationRefused(Exception):
    """The isolation that was asked for cannot be had here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What is proven once, and holds for all judges that are forked from here."""

    surroundings: Surroundings
    uid: int | None  # the user that boxes run as, when the judge is root
    untraceable: str | None


def prepare(surroundings: Surroundings, folder: Path, uid: int | None, parent_pid: int) -> Prepared:
    """Move this process into a private network, and prove the wall and the tracer with a box that holds nothing.

    Args:
        folder: an empty one, for that box.
        parent_pid: whose death ends this process.

    Raises:
        IsolationRefused: a network or the wall is refused; what, and why.
        KitError: the machine lacks what every level needs.
    """
    refusal = kernel.enter_private_network()  # before anything starts a thread
    # unshare(2) with a user namespace changes credentials, which clears the parent-death signal (prctl(2)).
    kernel.die_with_parent(parent_pid, by=kernel.IN_ORDER)
    if surroundings.boxed and refusal:
        raise IsolationRefused(f"a private network cannot be made ({refusal})")
    for name in ("submission", "given"):
        (folder / name).mkdir(mode=0o755)
    wall = _wall(surroundings, folder, uid, [])
    _try_the_wall(wall)
    tracer = surroundings.strace
    untraceable = "strace is not installed" if tracer is None else strace.refusal(tracer, wall.traces, wall.uid)
    raise_open_files()  # the common default of 1,024 is meant for programs that hold fewer connections
    return Prepared(surroundings=surroundings, uid=uid, untraceable=untraceable)


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
        wall=_wall(prepared.surroundings, Path(job.staging), prepared.uid, hidden),
        strace=prepared.surroundings.strace if prepared.untraceable is None else None,
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


def _wall(surroundings: Surroundings, folder: Path, uid: int | None, hidden: list[Path]) -> Wall:
    canary = Canary(
        port=surroundings.canary_port,
        abstract=surroundings.canary_abstract,
        environ=surroundings.canary_environ,
    )
    return build_wall(
        folder,
        boxed=surroundings.boxed,
        bwrap=surroundings.bwrap,
        canary=canary if surroundings.boxed else None,
        uid=uid,
        hidden=hidden,
    )


def _try_the_wall(wall: Wall) -> None:
    """Start one box with nothing in it and let it try every protection from the inside.

    A box that was killed says nothing about the wall: then once again.
    """
    missing = _missing(wall)
    if isinstance(missing, Lost):
        missing = _missing(wall)
    if isinstance(missing, Lost):
        raise IsolationRefused("a box was killed from outside, twice")
    if missing:
        raise IsolationRefused("; ".join(f"{name}: {complaint}" for name, complaint in sorted(missing.items())))


def _missing(wall: Wall) -> dict[str, str] | Lost:
    with Box(wall, _TRIAL, tracer=[]) as box:
        try:
            return box.prove(60.0, thorough=True)
        except (BoxEnded, TimeoutError) as error:
            if (lost := box.lost_to_kill()) is not Lost.NO:
                return lost
            words = box.output().decode("utf-8", "backslashreplace").strip().splitlines()
            raise IsolationRefused(f"a box cannot be started ({words[-1] if words else error})") from error
