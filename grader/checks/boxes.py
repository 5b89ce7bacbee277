"""Fresh boxes for the checks of one grading, each started while the one before is at work.

Knows which kinds of boxes there are, and that starting one takes longer than most scenarios; is told which kinds are
likely next; knows nothing of what runs in them. A box that waits has proven its wall and holds nothing: what a check
lends it, and the submission, come when it is taken. One that has ended while it waited is thrown away.
"""

import contextlib
from collections.abc import Sequence
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


@dataclass(frozen=True, slots=True)
class Fresh:
    """A box that was started, and its trace. Nobody has asked yet what it has proven."""

    kind: Kind
    box: Box
    trace: tracer.Trace | None

    def close(self) -> None:
        self.box.close()
        if self.trace is not None:
            self.trace.close()


@dataclass(slots=True, kw_only=True)
class Boxes:
    """The boxes of one grading: at most one of each kind waits for the check that takes it.

    Attributes:
        strace: absolute path; None where nothing can be traced.
        takes_down: keep what judge and box say to one another.
        watched: the calls that are written down in a box that is not traced.
        ahead: of which boxes one is to wait, the traced ones (True) or the others; a guess that may be wrong.
    """

    exercise: Exercise
    level: Level
    strace: str | None
    takes_down: bool
    watched: frozenset[str] = frozenset()
    ahead: frozenset[bool] = frozenset()
    _waiting: dict[Kind, Fresh] = field(default_factory=dict)
    _started: int = 0

    def start_ahead(self) -> None:
        """Start what is to wait and does not yet."""
        for traced in self.ahead:
            kind = Kind(True) if traced and self.strace is not None else Kind(False, self.watched)
            if kind not in self._waiting:
                with contextlib.suppress(GraderError):  # whoever takes one will hear why there is none
                    self._waiting[kind] = self._new(kind)

    def take(self, kind: Kind) -> Fresh:
        """The one that waits, or a new one; to be closed.

        Raises:
            GraderError: it could not be started.
        """
        waiting = self._waiting.pop(kind, None)
        if waiting is None:
            return self._new(kind)
        if waiting.box.has_ended:
            waiting.close()
            return self._new(kind)
        return waiting

    def furnish(self, fresh: Fresh, fds: Sequence[int], open_files: int | None, name: str) -> None:
        """Hear what a box has proven and give it what a check lends it; then start what is likely next.

        Args:
            fds: descriptors that it gets, under the same numbers.
            open_files: how many it may have; by default as many as the machine allows.
            name: of its trace's file, until that is removed.

        Raises:
            GraderError: it has not started, or the wall does not hold.
        """
        box = fresh.box
        try:
            missing = box.end_proof(START_TIMEOUT_S)
            if missing:
                complaints = "; ".join(f"{name}: {complaint}" for name, complaint in missing.items())
                raise GraderError(f"The wall does not hold: {complaints}")
            box.lend(fds, open_files)
            box.take_one_core()
            if fresh.trace is not None:
                fresh.trace.rename(name)
        except (BoxEnded, TimeoutError, OSError) as error:
            words = " ".join(row.text for row in last_lines(box.output(), 2))
            raise GraderError(f"A box could not be started: {error}; {box.ended_by()}. {words}") from error
        self.start_ahead()

    def close(self) -> None:
        """End those that wait."""
        while self._waiting:
            self._waiting.popitem()[1].close()

    def _new(self, kind: Kind) -> Fresh:
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
        return Fresh(kind, box, trace)
