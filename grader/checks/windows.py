"""What a program did in one window, asked for when the window is over: its system calls, or its machine instructions.

Knows the calls of a trace and the steps of a thread; knows nothing of boxes, or of how a window is opened and closed.
"""

from collections.abc import Callable, Mapping, Sequence

from grader.checks.budgets import Count
from grader.failures import ForbiddenUse
from grader.measure import strace as tracer
from grader.measure.stepping import Steps


class Calls:
    """The system calls of one window, to be asked for when the window is over."""

    def __init__(self, cut: Callable[[], tracer.Window | None]) -> None:
        self._cut = cut
        self._window: tracer.Window | None = None

    def _calls(self) -> tracer.Window | None:
        if self._window is None:
            self._window = self._cut()
        return self._window

    def total(self) -> Count:
        """All system calls, without the allocator's and without what the program prints."""
        window = self._calls()
        return Count(value=None) if window is None else Count(value=window.total, evidence=tuple(window.evidence()))

    def of(self, *names: str) -> Count:
        """The calls with these names."""
        window = self._calls()
        if window is None:
            return Count(value=None)
        return Count(value=window.count(*names), evidence=tuple(window.evidence(names)))

    def besides(self, *names: str) -> Count:
        """All but the calls with these names."""
        window = self._calls()
        if window is None:
            return Count(value=None)
        others = {call.name for call in window.calls}.difference(names)
        return Count(value=window.count(*others), evidence=tuple(window.evidence(others)) if others else ())

    def sleeps_before_a_reply(self) -> Count:
        """The calls in which it waited for the clock, whatever was ready meanwhile. Behind the first that sends, only
        those count that are made for sleeping: a timeout may pass when nothing is ready any more.
        """
        window = self._calls()
        if window is None:
            return Count(value=None)
        slept = window.sleeps_before(tracer.SENDING_CALLS)
        return Count(value=len(slept), evidence=tuple(call.text for call in slept[:5]))

    def fds_handed_over(self) -> Count:
        """Descriptors handed to the kernel to be watched: select sets, poll arrays, epoll_ctl."""
        window = self._calls()
        if window is None:
            return Count(value=None)
        names = ("epoll_ctl", *tracer.READINESS_CALLS)
        return Count(value=window.fds_handed_over(), evidence=tuple(window.evidence(names)))

    def seen(self, names: Sequence[str]) -> dict[str, str]:
        """Which of these calls were made, each with one line of the trace."""
        window = self._calls()
        calls = window.calls if window is not None else ()
        return {kind: call.text for call in calls for kind in call.kinds if kind in names}

    def require_none_of(self, reasons: Mapping[str, str], *, expected: str) -> None:
        """That none of these calls was made; of each, why not.

        Raises:
            ForbiddenUse: one was.
        """
        for name, line in self.seen(tuple(reasons)).items():
            raise ForbiddenUse(expected=expected, seen=f"{name}: {reasons[name]}", evidence=[line])

    def all_calls(self) -> tuple[tracer.Call, ...] | None:
        """Each call, the allocator's too, in the order they were begun; None where nothing can be traced."""
        window = self._calls()
        return None if window is None else window.everything


class Instructions:
    """The machine instructions of one block, to be asked for when the block is over."""

    def __init__(self, steps: Steps, rest: Callable[[], None]) -> None:
        self._steps, self._rest = steps, rest
        self.count = 0

    def rest(self) -> None:
        """Within the block: wait until the program sleeps, so that what comes now is not served with what came."""
        self._rest()

    @property
    def over(self) -> bool:
        """Within the block: whether it is not counted any more, as it has come to the limit or to its end."""
        return self._steps.over
