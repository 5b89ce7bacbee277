"""What a slot does once: it makes itself the judge of a level of isolation, and proves that and the tracer.

Knows levels and boxes; knows nothing of pytest or of checks, so that a box can start while those are imported.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from grader.box import kernel
from grader.box.canary import Canary
from grader.box.levels import Level, Site, level_named
from grader.box.limits import raise_open_files
from grader.box.proof import prove
from grader.judge.protocol import Surroundings
from grader.measure import strace


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What is proven once, and holds for all judges that are forked from here."""

    level: Level
    strace: str | None  # absolute path, when it is known to work here
    untraceable: str | None


@contextlib.contextmanager
def prepare(
    surroundings: Surroundings, folder: Path, parent_pid: int, meanwhile: Callable[[], None]
) -> Iterator[Prepared]:
    """Make this process the judge of a level, and prove that and the tracer with a box that holds nothing.

    Args:
        folder: as `staging_folder` makes it, for that box.
        parent_pid: whose death ends this process.
        meanwhile: called while that box starts.

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
        prove(level, meanwhile)
        tracer = surroundings.strace
        untraceable = "strace is not installed" if tracer is None else strace.refusal(tracer, level.traces, level.uid)
        raise_open_files()  # the common default of 1,024 is meant for programs that hold fewer connections
        yield Prepared(level=level, strace=tracer if untraceable is None else None, untraceable=untraceable)
