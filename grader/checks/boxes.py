"""Fresh boxes for the checks of one grading, each started while the one before is at work.

Knows which kinds of boxes there are, and that starting one takes longer than most scenarios; knows nothing of what runs
in it. A box that waits has proven its wall and holds nothing: what a check lends it, and the submission, come when it
is taken. One that has ended while it waited is thrown away.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from grader.box.box import Box
from grader.box.channel import BoxEnded
from grader.box.levels import Level
from grader.box.limits import Limits, hard_open_files
from grader.checks.last_words import last_lines
from grader.course.model import Exercise
from grader.errors import GraderError
from grader.measure import strace as tracer

START_TIMEOUT_S = 60.0  # a box that has not introduced itself by then is the machine's fault


@dataclass(frozen=True, slots=True)
class Kind:
    """How a box is looked at from outside, from its first moment on.

    Attributes:
        traced: every system call is written down.
        watched: the calls that are written down otherwise.
        inject: strace's expressions for failing calls.
    """

    traced: bool
    watched: frozenset[str] = frozenset()
    inject: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True)
class Boxes:
    """
    Attributes:
        strace: absolute path; None where nothing can be traced.
        ahead: whether the next box of a kind is started when one is taken.
    """

    exercise: Exercise
    level: Level
    strace: str | None
    takes_down: bool
    ahead: bool = True
    _waiting: dict[Kind, tuple[Box, tracer.Trace | None]] = field(default_factory=dict)
    _started: int = 0

    @contextlib.contextmanager
    def box(
        self, kind: Kind, fds: Sequence[int], open_files: int | None, name: str
    ) -> Iterator[tuple[Box, tracer.Trace | None]]:
        """A box that has proven its wall, and its trace; closed behind the block, the trace is not.

        Args:
            fds: descriptors that it gets, under the same numbers.
            open_files: how many it may have; by default as many as the machine allows.
            name: of its trace's file, until that is removed.

        Raises:
            GraderError: it could not be started, or the wall does not hold.
        """
        box, trace = self._taken(kind)
        try:
            with box:
                _require_wall(box)
                try:
                    box.lend(fds, open_files)
                    box.take_one_core()
                    if trace is not None:
                        trace.rename(name)
                except (BoxEnded, OSError) as error:
                    raise _not_started(box, error) from error
                if self.ahead and not kind.inject:
                    self._waiting[kind] = self._new(kind)
                yield box, trace
        finally:
            if trace is not None:
                trace.close()

    def close(self) -> None:
        """End those that wait."""
        while self._waiting:
            box, trace = self._waiting.popitem()[1]
            box.close()
            if trace is not None:
                trace.close()

    def _taken(self, kind: Kind) -> tuple[Box, tracer.Trace | None]:
        waiting = self._waiting.pop(kind, None)
        if waiting is None:
            return self._new(kind)
        box, trace = waiting
        if box.has_ended:
            box.close()
            if trace is not None:
                trace.close()
            return self._new(kind)
        return waiting

    def _new(self, kind: Kind) -> tuple[Box, tracer.Trace | None]:
        """Start one, and do not wait for it.

        A program must not see whether it is counted, and what no run may do is looked for in all of them. So a box that
        is not traced is watched: its trace has the calls alone that the exercise's policies name, and costs nothing
        else. Where no tracer stands before it, another filter takes the place of the tracer's.
        """
        self._started += 1
        trace: tracer.Trace | None = None
        prefix: list[str] = []
        # A refused call that a policy must report is refused by strace, which writes it down; the static filter would
        # refuse it before strace sees it.
        refused = [call for call in self.exercise.forbidden.calls if call.startswith("io_uring")]
        if self.strace is not None and (kind.traced or kind.watched):
            trace = tracer.Trace(self.level.traces / f"{self._started}.{'strace' if kind.traced else 'watched'}")
            refusing = [f"{call}:error=ENOSYS" for call in refused]
            only = frozenset() if kind.traced else kind.watched
            prefix = tracer.command(self.strace, trace.path, only=only, inject=[*kind.inject, *refusing])
        rules = self.exercise.limits
        limits = Limits(
            memory_mb=rules.memory_mb,
            processes=rules.processes,
            tmp_mb=rules.tmp_mb,
            open_files=hard_open_files(),
        )
        box = Box(
            self.level,
            limits,
            tracer=prefix,
            allows={*self.exercise.allows, *(["io_uring"] if prefix and refused else [])},
            takes_down=self.takes_down,
            one_more_filter=self.strace is not None and not prefix,
        )
        with contextlib.suppress(BoxEnded):  # it will be found when it is taken
            box.begin_proof(thorough=False)
        return box, trace


def _require_wall(box: Box) -> None:
    try:
        missing = box.end_proof(START_TIMEOUT_S)
    except (BoxEnded, TimeoutError) as error:
        raise _not_started(box, error) from error
    if missing:
        complaints = "; ".join(f"{name}: {complaint}" for name, complaint in missing.items())
        raise GraderError(f"The wall does not hold: {complaints}")


def _not_started(box: Box, error: Exception) -> GraderError:
    words = " ".join(row.text for row in last_lines(box.output(), 2))
    return GraderError(f"A box could not be started: {error}; {box.ended_by()}. {words}")
