"""How one submission is judged, in a process of its own.

Knows pytest and the plugin; knows nothing of how jobs come and events go. It never imports a submission.
"""

import contextlib
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from grader.box.wall import library_folders
from grader.course.model import Exercise
from grader.errors import KitError
from grader.judge.plugin import JudgePlugin
from grader.judge.preparing import Prepared
from grader.judge.protocol import Broken, Event, Finished, Job

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
        beside=tuple(job.beside),
    )
    files = [str(path) for path in sorted(exercise.checks_dir.glob("test_*.py"))]
    unused = [word for name in _UNUSED for word in ("-p", f"no:{name}")]
    quiet = [*unused, "--noconftest", "-c", os.devnull, "--rootdir", str(exercise.checks_dir)]
    with contextlib.redirect_stdout(sys.stderr):
        status = pytest.main(
            [*quiet, "--import-mode=importlib", "-p", "pytest_timeout", *files],
            plugins=[plugin],
        )
    if set(plugin.outcomes) == set(job.checks):
        emit(Finished())
    else:
        emit(Broken(plugin.broken or f"pytest ended early, with status {int(status)}."))
