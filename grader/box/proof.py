"""Whether a level can be had on this machine: one empty box starts, and tries every protection from the inside. Each
grading asks this before a submission runs, and `grade doctor` asks the same. Knows what becomes of a box that is killed
meanwhile; knows nothing of what is tried.
"""

from collections.abc import Callable

from grader.box.box import Box, Sigkilled
from grader.box.canary import host_canary
from grader.box.channel import BoxEnded
from grader.box.levels import Level, LevelRefused, Site
from grader.box.limits import Limits
from grader.box.staging import staging_folder
from grader.errors import GraderError

_START_S = 60.0  # a box that has not proven itself by then is the machine's fault
# Of the box that tries a level before any exercise is known. Each box proves its own again, but this number.
TRIAL = Limits(memory_mb=512, processes=16, tmp_mb=4, open_files=256)


def prove(level: Level, meanwhile: Callable[[], None] = lambda: None) -> None:
    """Start one box with nothing in it and let it try every protection from the inside.

    A box that was killed says nothing about the wall: then once again.

    Args:
        meanwhile: called once, while the box starts and tries.

    Raises:
        LevelRefused: no box starts, or a protection is missing.
    """
    missing = _missing(level, meanwhile)
    if isinstance(missing, Sigkilled):
        missing = _missing(level, lambda: None)
    if isinstance(missing, Sigkilled):
        raise LevelRefused("a box was killed from outside, twice")
    if missing:
        raise LevelRefused("; ".join(f"{name}: {complaint}" for name, complaint in sorted(missing.items())))


def _missing(level: Level, meanwhile: Callable[[], None]) -> dict[str, str] | Sigkilled:
    with Box(level, TRIAL, tracer=[]) as box:
        try:
            box.begin_proof(thorough=True)
            meanwhile()
            return box.end_proof(_START_S)
        except (BoxEnded, TimeoutError) as error:
            if (sigkilled := box.sigkilled()) is not Sigkilled.NO:
                return sigkilled
            words = box.output().decode("utf-8", "backslashreplace").strip().splitlines()
            raise LevelRefused(f"a box cannot be started ({words[-1] if words else error})") from error


def why_not(level: type[Level], *, bwrap: str | None) -> str:
    """Why a grading on this machine could not have this level; empty when it could. Changes this process for
    good: call it in a child.
    """
    try:
        with (
            host_canary() as canary,
            staging_folder() as staging,
            level.set_up(Site(staging=staging, bwrap=bwrap, canary=canary)) as ready,
        ):
            prove(ready)
    except (LevelRefused, GraderError) as error:
        return str(error)
    return ""
