"""A program that runs in its box, seen from outside: has it settled, what does it call, and is there still a reason to
wait for it.

This is where its processes and its trace meet. It knows nothing of clients, scenarios or `exercise.yaml`.
"""

import contextlib
import shutil
import signal
import time
from collections.abc import Callable, Iterator

from grader.box.box import Box
from grader.checks.budgets import Count
from grader.checks.processes import Processes
from grader.checks.windows import Calls, Instructions
from grader.failures import CheckFailed, ForbiddenUse, NoAnswer, Unmeasured
from grader.measure import strace as tracer
from grader.measure import vitals
from grader.measure.clients import polled, wait_for
from grader.measure.stepping import Steps, stepping
from grader.words.say import say

SILENT_S = 10.0  # nobody waits longer than this without any progress
ASLEEP_S = 3.0  # nor than this for a program that sleeps through it: load keeps a program runnable, not asleep
SILENT_CPU_S = 5.0  # nor for one that has used so much processor time without any progress: it goes round in circles
SETTLED_S = 3.0
BUSY_CPU_S = 0.2
_STILL = 4  # looks in a row, 5 ms apart, at which nothing has changed
_RESTLESS = 40  # looks at which it slept, but had been awake since the last one: a timer wakes it, and will again
_REST_S = 0.01  # so long a program sleeps that has done what it was asked
_WAKE_UPS = 5  # more often nobody waits for it to sleep for so long: a timer wakes it, and will again
_TRACE_ROOM_BYTES = 1 << 20  # with less room on its disk, a trace may have stopped for want of it


def quiet_for(seconds: float) -> None:
    """The length of a window in which nothing is asked. Not a wait for something to happen."""
    time.sleep(seconds)


class Program(Processes):
    """A submission that runs in its box. `trace` is None when it is not traced."""

    def __init__(self, box: Box, trace: tracer.Trace | None, *, entry: str, goes_on: str) -> None:
        super().__init__(box, entry=entry, goes_on=goes_on)
        self.trace = trace
        self._pulse: tuple[vitals.Pulse, ...] = ()
        self._pulse_since_s = 0.0
        self._silent_from_cpu_s: float | None = None
        self._stepped = False
        self._standstill = False  # the judge has stopped it

    # --- waiting

    def wait_until(
        self, condition: Callable[[], bool], *, expected: str = "", seen: Callable[[], str] | None = None
    ) -> None:
        """Wait for a condition that the program brings about; polled, as the kernel has no event for it.

        Args:
            expected: what a wait in vain is told as, with what the program has printed.
            seen: asked then what was seen.

        Raises:
            NoAnswer: waiting has become pointless.
            CheckFailed: the program has ended.
        """
        try:
            wait_for(polled(condition), self.watch)
        except NoAnswer as failure:
            if not expected:
                raise
            found = failure.seen if seen is None else seen()
            told = failure.retold(expected=expected, seen=found, evidence=[*failure.evidence, *self.printed()])
            told.in_own_words = True
            raise told from failure

    def watch(self, silent_s: float, *, computes: bool = False) -> None:
        """Raise when waiting has become pointless: the program ended, sleeps through it, or nothing comes for long.

        Args:
            computes: it may be busy as long as it likes.
        """
        self.check_alive()
        if silent_s < ASLEEP_S / 3:
            self._pulse, self._silent_from_cpu_s = (), None
            return
        if self._silent_from_cpu_s is None:
            self._silent_from_cpu_s = self._cpu_s()
        with contextlib.suppress(vitals.Gone):
            pulse = tuple(vitals.pulse(pid) for pid in self._living())
            now_s = time.monotonic()
            if pulse != self._pulse or not all(beat.sleeping or self._has_stopped_itself(beat) for beat in pulse):
                self._pulse, self._pulse_since_s = pulse, now_s
            elif now_s - self._pulse_since_s > ASLEEP_S:
                place = vitals.waits_in(self.pid)
                if any(beat.stopped for beat in pulse):
                    seen = say("nothing: the program has stopped itself")
                elif place:
                    seen = say("nothing: the program sleeps in {place}", place=place)
                else:
                    seen = say("nothing: the program sleeps")
                raise self._given_up(seen, silent_s)
        if computes or self._stepped:  # single steps take a hundred thousand times as long
            return
        used_s = self._cpu_s() - self._silent_from_cpu_s
        if used_s > SILENT_CPU_S:
            seen = say("nothing, while the program used {seconds:.0f} s of processor time", seconds=used_s)
            raise self._given_up(seen, silent_s)
        if silent_s > SILENT_S:
            seen = say("nothing for {seconds:.0f} seconds, while the program runs", seconds=SILENT_S)
            raise self._given_up(seen, silent_s)

    def _given_up(self, seen: str, silent_s: float) -> NoAnswer:
        seen, where = self._in_its_lines(seen, silent_s)
        return NoAnswer(expected=say("an answer"), seen=seen, evidence=where)

    def _has_stopped_itself(self, beat: vitals.Pulse) -> bool:
        return beat.stopped and not self._standstill and not self._stepped

    def check_ending(self) -> None:
        """As `check_alive`, of a program that may be about to end: what it does until it sleeps is waited for."""
        deadline_s, spent_s = time.monotonic() + SETTLED_S, self._cpu_s()
        while time.monotonic() < deadline_s and self._cpu_s() - spent_s < BUSY_CPU_S:
            self.check_alive()
            with contextlib.suppress(vitals.Gone):
                if vitals.pulse(self.pid).sleeping:
                    break
            time.sleep(0.005)
        self.check_alive()

    def settle(self) -> bool:
        """Wait until the program has nothing left to do: it sleeps, and its trace has stopped growing.

        A program that is never done is left alone when it has used more than `BUSY_CPU_S`, or when a timer wakes it
        again and again, and takes in nothing of what waits for it: its counts will tell. Neither is a time of the
        clock, which a busy machine adds to.
        """
        deadline_s, still, restless, size = time.monotonic() + SETTLED_S, 0, 0, -1
        began_s, waiting = self._cpu_s(), self._waiting()
        enough_s = 2 * BUSY_CPU_S if self.trace else BUSY_CPU_S  # half of it is the tracer's
        while still < _STILL and time.monotonic() < deadline_s:
            self.check_alive()
            with contextlib.suppress(vitals.Gone):
                now = self.trace.size_bytes if self.trace else 0
                asleep = all(vitals.pulse(pid).sleeping for pid in self._living())
                restless += asleep and now != size
                still, size = (still + 1 if asleep and now == size else 0), now
            if waiting != (waiting := self._waiting()):
                began_s, restless = self._cpu_s(), 0
            elif restless > _RESTLESS or (not still and self._cpu_s() - began_s > enough_s):
                return False
            time.sleep(0.005)
        return still >= _STILL

    def rest(self) -> None:
        """Wait until it sleeps: what it does behind an answer is done. One look is enough where the last thing heard of
        it was the work of its only thread; a program that never sleeps is left alone, as in `settle`.
        """
        began_s = self._cpu_s()
        while self._cpu_s() - began_s < BUSY_CPU_S:
            self.check_alive()
            with contextlib.suppress(vitals.Gone):
                if vitals.pulse(self.pid).sleeping:
                    return
            time.sleep(0.0005)

    def _waiting(self) -> int:
        """How much waits for the program: while that changes, it has a reason to be awake."""
        return 0

    def busy_s(self) -> float:
        """Processor time that its processes use, in seconds, before all sleep for the first time; it is stopped early.

        Not seconds of a clock: a program that sleeps when nothing is ready uses next to none on any machine.
        """
        before_s = self._cpu_s()
        self.settle()
        return self._cpu_s() - before_s

    # --- measuring

    @contextlib.contextmanager
    def counting(self, *, settled: bool = True) -> Iterator[Calls]:
        """Count the system calls of the whole box from one settled moment to another.

        The last calls that the block causes are waited for. A program that never settles has no last one: then the
        window ends with the block. So does one that is not to be `settled`, which begins with the block, too.
        """
        if settled:
            self.settle()
        since_s = until_s = tracer.now_s()

        def cut() -> tracer.Window | None:
            if self.trace is None:
                return None
            self._bracket(self.trace, until_s)
            return self.trace.between(since_s, until_s)

        yield Calls(cut)
        ended_s = tracer.now_s()
        until_s = tracer.now_s() if settled and self.settle() else ended_s

    def calls_while_quiet(self, seconds: float) -> Count:
        """All its system calls in a window of so many seconds in which nothing is asked."""
        with self.counting() as calls:
            quiet_for(seconds)
        return calls.total()

    def calls_from_its_start(self) -> Calls:
        """All system calls from its first line until now. Nothing makes sure that the trace goes on behind them."""
        until_s = tracer.now_s()
        return Calls(lambda: None if self.trace is None else self.trace.between(0.0, until_s))

    def _bracket(self, trace: tracer.Trace, until_s: float) -> None:
        """Make sure that the trace goes on behind a window, or the window proves nothing.

        Raises:
            CheckFailed: the program has ended, or the trace does not go on: it must not choose to be unmeasured.
            Unmeasured: the trace has stopped because the disk is full.
        """
        if trace.reaches(until_s):
            return
        try:
            with self.stopped():  # strace writes the stop down, and no program can block, catch or ignore it: signal(7)
                self.wait_until(lambda: trace.reaches(until_s))
        except CheckFailed as failure:
            _require_room(trace, failure)
            raise failure.retold(expected=say("a trace that goes on behind the window")) from failure

    @contextlib.contextmanager
    def stepped(self, *, limit: int, afterwards_s: float = _REST_S) -> Iterator[Instructions]:
        """Count the machine instructions that its main thread runs from one sleep to another: what the block causes,
        and what it puts off for a moment. The box must be `alone`.

        Args:
            limit: at so many it is let go, and not counted any more.
            afterwards_s: the count is over when it has slept for so long.

        Raises:
            ForbiddenUse: somebody else in the box works meanwhile: a thread, a process.
            Unmeasured: this machine cannot count them.
        """
        self._rest(_REST_S)
        others = self._others()
        with stepping(self.pid, limit=limit) as steps:
            self._stepped = True
            counted = Instructions(steps, lambda: self._rest(_REST_S, steps))
            try:
                counted.rest()
                before = steps.count
                yield counted
                self._rest(afterwards_s, steps)
                counted.count = steps.count - before
            finally:
                self._stepped = False
        self.check_alive()
        if steps.gave_birth or self._others() != others:
            raise ForbiddenUse(
                expected=say("the thread that is counted does the work itself"),
                seen=say("a thread or process was made for it") if steps.gave_birth else say("others worked meanwhile"),
            )

    def _rest(self, quiet_s: float, steps: Steps | None = None) -> None:
        """Wait until it has slept for so long; but not for a program that is not stepped through any more."""
        began_s, since_s, wake_ups, last = time.monotonic(), 0.0, 0, None
        while wake_ups < _WAKE_UPS and (not steps.over if steps else time.monotonic() - began_s < SETTLED_S):
            self.check_alive()
            with contextlib.suppress(vitals.Gone):
                pulse = vitals.pulse(self.pid)
                if not pulse.sleeping or pulse != last:
                    wake_ups += last is not None and last.sleeping
                    last, since_s = pulse, time.monotonic()
                elif time.monotonic() - since_s >= quiet_s:
                    return
            time.sleep(0.002)

    def _others(self) -> dict[int, int]:
        """How often the threads and processes beside the main thread have given up their processor."""
        found: dict[int, int] = {}
        for pid in self._alive(lambda _pid: self.processes()):
            with contextlib.suppress(vitals.Gone):
                found |= vitals.turns(pid)
        found.pop(self.pid, None)
        return found

    # --- interfering

    def signal(self, number: int) -> None:
        """A signal to the main process."""
        self._alive(lambda _pid: self._box.send_signal(number))

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """Stop the program with SIGSTOP for the length of the block, so that work queues up; then SIGCONT."""
        self._standstill = True
        try:
            self._alive(lambda _pid: self._box.send_signal(signal.SIGSTOP))
            self.wait_until(lambda: self._alive(vitals.is_stopped))
            yield
        finally:
            self._standstill = False
            with contextlib.suppress(ProcessLookupError):
                self._box.send_signal(signal.SIGCONT)


def _require_room(trace: tracer.Trace, failure: CheckFailed) -> None:
    """A trace that stops for want of room on the disk is nobody's fault.

    Raises:
        Unmeasured: there is none.
    """
    if shutil.disk_usage(trace.path.parent).free < _TRACE_ROOM_BYTES:
        raise Unmeasured(say("The disk is full, so the trace stops before the end of the window.")) from failure
