"""The judge: one process a submission, in a private network, that decides a verdict. Started by `grading`, with a job
on standard input and a descriptor for events; its output is a log. It never imports a submission.

    python -I -m grader.judge.process EVENTS_FD < job.json

Events, one JSON object a line:
    {"event": "refused", "reason"}              the level of isolation that was asked for cannot be had; nothing has run
    {"event": "ready", "untraceable"}           the wall was proven from the inside
    {"event": "started", "check", "deadline_s"} · {"event": "box", "pid"} · {"event": "check", "check": {...}}
    {"event": "finished"}                       every check has reported
    {"event": "broken", "reason"}               no verdict: the machine or the kit
"""

import contextlib
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from grader.box import kernel
from grader.box.box import Box, Lost
from grader.box.channel import BoxEnded
from grader.box.limits import Limits, raise_open_files
from grader.box.wall import Canary, Wall, box_user, build_wall, library_folders
from grader.course.load import load_course
from grader.errors import KitError
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


class Job(BaseModel):
    """What one judge is to do. Crosses a process border, so it is checked when it arrives."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    parent_pid: int
    course_root: Path
    slug: str
    staging: Path
    boxed: bool
    bwrap: str
    strace: str | None
    canary_port: int
    canary_abstract: str
    canary_environ: str
    seed: int
    sizes: dict[str, int]
    checks: tuple[str, ...]
    language: str
    keep: Path | None


class Refused(Exception):
    """The isolation that was asked for cannot be had here."""


def main() -> None:
    kernel.begin_anew()
    os.umask(0o022)  # what it lays out is read by another user, whatever the caller keeps from others
    events_fd = int(sys.argv[1])
    job = Job.model_validate_json(sys.stdin.buffer.read())
    kernel.die_with_parent(job.parent_pid)
    kernel.adopt_orphans()
    with os.fdopen(events_fd, "w", encoding="utf-8") as events:

        def emit(event: Mapping[str, Any]) -> None:
            events.write(json.dumps(event) + "\n")
            events.flush()

        try:
            with box_user() if job.boxed else contextlib.nullcontext() as uid:
                _judge(job, uid, emit)
        except Refused as refusal:
            emit({"event": "refused", "reason": str(refusal)})
        except KitError as error:
            emit({"event": "broken", "reason": str(error)})


def _judge(job: Job, uid: int | None, emit: Any) -> None:
    refusal = kernel.enter_private_network()  # before anything starts a thread
    # unshare(2) with a user namespace changes credentials, which clears the parent-death signal (prctl(2)).
    kernel.die_with_parent(job.parent_pid)
    if job.boxed and refusal:
        raise Refused(f"a private network cannot be made ({refusal})")
    canary = Canary(port=job.canary_port, abstract=job.canary_abstract, environ=job.canary_environ)
    (exercise,) = load_course(job.course_root, only=job.slug).exercises
    wall = build_wall(
        job.staging,
        boxed=job.boxed,
        bwrap=job.bwrap,
        canary=canary if job.boxed else None,
        uid=uid,
        # The libraries are refused by an import hook too, with a reason; but a program can remove that.
        hidden=[job.course_root, *library_folders(exercise.forbidden.modules)],
    )
    limits = Limits(
        memory_mb=exercise.limits.memory_mb,
        processes=exercise.limits.processes,
        tmp_mb=exercise.limits.tmp_mb,
        open_files=256,
    )
    _try_the_wall(wall, limits)
    untraceable = "strace is not installed" if job.strace is None else strace.refusal(job.strace, wall.traces, wall.uid)
    raise_open_files()  # the common default of 1,024 is meant for programs that hold fewer connections
    emit({"event": "ready", "untraceable": untraceable})

    import pytest

    from grader.judge.plugin import JudgePlugin

    plugin = JudgePlugin(
        exercise=exercise,
        wall=wall,
        strace=job.strace if untraceable is None else None,
        untraceable=f"System calls cannot be counted here: {untraceable}.",
        seed=job.seed,
        chosen_sizes=job.sizes,
        wanted=job.checks,
        language=job.language,
        keep=job.keep,
        emit=emit,
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
        emit({"event": "finished"})
    else:
        emit({"event": "broken", "reason": plugin.broken or f"pytest ended early, with status {int(status)}."})


def _try_the_wall(wall: Wall, limits: Limits) -> None:
    """Start one box with nothing in it and let it try every protection from the inside.

    A box that was killed says nothing about the wall: then once again.
    """
    missing = _missing(wall, limits)
    if isinstance(missing, Lost):
        missing = _missing(wall, limits)
    if isinstance(missing, Lost):
        raise Refused("a box was killed from outside, twice")
    if missing:
        raise Refused("; ".join(f"{name}: {complaint}" for name, complaint in sorted(missing.items())))


def _missing(wall: Wall, limits: Limits) -> dict[str, str] | Lost:
    with Box(wall, limits, tracer=[], pass_fds=[]) as box:
        import pytest  # noqa: F401 - needed soon, and a tenth of a second: it comes while the box starts

        try:
            return box.prove(60.0, thorough=True)
        except (BoxEnded, TimeoutError) as error:
            if (lost := box.lost_to_kill()) is not Lost.NO:
                return lost
            words = box.output().decode("utf-8", "backslashreplace").strip().splitlines()
            raise Refused(f"a box cannot be started ({words[-1] if words else error})") from error


if __name__ == "__main__":
    main()
