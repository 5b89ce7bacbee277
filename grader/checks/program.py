"""A program that runs in its box, seen from outside: is it alive, has it settled, what does it call, what does it hold.

This is where a box, its trace and the vitals meet. It knows nothing of clients, scenarios or `exercise.yaml`.
"""

import contextlib
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from grader.box.box import Box
from grader.box.channel import BoxEnded
from grader.checks.budgets import Count
from grader.failures import CheckFailed, Crashed, ForbiddenUse, Unmeasured
from grader.measure import strace as tracer
from grader.measure import vitals
from grader.measure.clients import polled, wait_for
from grader.measure.stepping import Steps, stepping

_T = TypeVar("_T")

SILENT_S = 10.0  # nobody waits longer than this without any progress
ASLEEP_S = 3.0  # nor than this for a program that sleeps through it: load keeps a program runnable, not asleep
SILENT_CPU_S = 5.0  # nor for one that has used so much processor time without any progress: it goes round in circles
SETTLED_S = 3.0
BUSY_CPU_S = 0.2
MESSAGE_S = 5.0  # from the first byte of a message to its last
_STILL = 4  # looks in a row, 5 ms apart, at which nothing has changed
_RESTLESS = 40  # looks at which it slept, but had been awake since the last one: a timer wakes it, and will again
_REST_S = 0.01  # so long a program sleeps that has done what it was asked
_WAKE_UPS = 5  # more often nobody waits for it to sleep for so long: a timer wakes it, and will again
_TRACE_ROOM_BYTES = 1 << 20  # with less room on its disk, a trace may have stopped for want of it


def quiet_for(seconds: float) -> None:
    """The length of a window in which nothing is asked. Not a wait for something to happen."""
    time.sleep(seconds)


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

    def everything(self) -> tuple[tracer.Call, ...] | None:
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


class Program:
    """A submission that runs in its box. `trace` is None when it is not traced."""

    def __init__(self, box: Box, trace: tracer.Trace | None, *, entry: str, goes_on: str) -> None:
        self.trace = trace
        self._box, self._entry, self._goes_on = box, entry, goes_on
        self._ended: CheckFailed | None = None
        self._pulse: tuple[vitals.Pulse, ...] = ()
        self._pulse_since_s = 0.0
        self._silent_from_cpu_s: float | None = None
        self._stepped = False
        self._standstill = False  # the judge has stopped it

    @property
    def pid(self) -> int:
        """The main process, as the host numbers it."""
        return self._box.pid

    # --- waiting

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition that the program brings about; polled, as the kernel has no event for it."""
        wait_for(polled(condition), self.watch)

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
                does = (
                    "has stopped itself"
                    if any(beat.stopped for beat in pulse)
                    else f"sleeps{f' in {place}' if place else ''}"
                )
                raise CheckFailed(expected="an answer", seen=f"nothing: the program {does}")
        if computes or self._stepped:  # single steps take a hundred thousand times as long
            return
        used_s = self._cpu_s() - self._silent_from_cpu_s
        if used_s > SILENT_CPU_S:
            raise CheckFailed(
                expected="an answer", seen=f"nothing, while the program used {used_s:.0f} s of processor time"
            )
        if silent_s > SILENT_S:
            raise CheckFailed(expected="an answer", seen=f"nothing for {SILENT_S:.0f} seconds, while the program runs")

    def _has_stopped_itself(self, beat: vitals.Pulse) -> bool:
        return beat.stopped and not self._standstill and not self._stepped

    def check_alive(self) -> None:
        """Raise what ended it, with the program's last words, when it has ended or said what it was not asked for."""
        if self._ended is None and (self._box.has_message() or not self._box.alive):
            self._ended = self._how_it_ended()
        if self._ended is not None:
            raise self._ended

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

    def _how_it_ended(self) -> CheckFailed:
        try:
            message = self._box.receive(MESSAGE_S)
        except (BoxEnded, TimeoutError):
            return Crashed(
                expected=self._goes_on,
                seen=f"the program ended with {self._box.ended_by()}",
                evidence=last_lines(self._box.output()),
            )
        if "problem" in message:
            return problem(message["problem"], f"{self._entry} raised", self._goes_on)
        return self._unasked(message)

    def _unasked(self, message: Mapping[str, Any]) -> CheckFailed:
        """What a message means that nobody waits for."""
        return Crashed(expected=self._goes_on, seen=f"the program says {', '.join(message)[:80]!r}")

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

    def _cpu_s(self) -> float:
        """Of all processes that it has now, and of its tracer, whom a program that goes round in circles keeps busy."""
        used_s = 0.0
        with contextlib.suppress(vitals.Gone):
            for pid in (*self._living(), *([self._box.outermost_pid] if self._box.traced else [])):
                used_s += vitals.cpu_s(pid)
        return used_s

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
            expected = "a trace that goes on behind the window"
            raise type(failure)(expected=expected, seen=failure.seen, evidence=failure.evidence) from failure

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
                expected="the thread that is counted does the work itself",
                seen="a thread or process was made for it" if steps.gave_birth else "others worked meanwhile",
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

    def cpu_s(self) -> float:
        """Processor time that the program has used, in seconds."""
        return self._alive(vitals.cpu_s)

    def threads(self) -> int:
        return self._alive(vitals.threads)

    def open_fds(self) -> int:
        return self._alive(vitals.open_fds)

    def descriptors(self) -> tuple[str, ...]:
        """What each open descriptor is, as the kernel names it."""
        return self._alive(vitals.descriptors)

    def rss_bytes(self) -> int:
        """Memory of all its processes, what they hold in files without a name, and what lies in the box's folders."""
        folders = ("/tmp", "/dev/shm") if self._box.first_pid else ()  # a bare program's are the machine's own

        def look(_pid: int) -> int:
            held = vitals.unseen_bytes(self.pid, folders=folders)
            for pid in self.processes():
                with contextlib.suppress(vitals.Gone):
                    held += vitals.rss_bytes(pid) + (vitals.unseen_bytes(pid) if pid != self.pid else 0)
            return held

        return self._alive(look)

    def mappings(self, name: str) -> int:
        """How many mappings with this name its processes have now."""
        return self._alive(lambda _pid: sum(vitals.mappings(pid, name) for pid in self._living()))

    def switches(self) -> int:
        """How often the threads that it has now have gone to sleep so far."""
        return self._alive(vitals.switches)

    def children(self) -> tuple[int, ...]:
        """Descendants of the main process that are no zombies."""
        return self._alive(vitals.children)

    def zombies(self) -> int:
        """Descendants that have ended, and that nobody has waited for."""
        return len(self._alive(vitals.zombies))

    def processes(self) -> tuple[int, ...]:
        """All living processes of the program, the main one first, orphans too; as the host numbers them.

        Raises:
            CheckFailed: all have ended.
        """
        try:
            return self._living()
        except vitals.Gone:
            self.check_alive()
            raise

    def _living(self) -> tuple[int, ...]:
        if self._box.first_pid:
            others = vitals.children(self._box.first_pid)
        else:  # bare: an orphan is the judge's child, in the session that the box was started in, perhaps by strace
            first = self._box.outermost_pid
            ours = (pid for pid in vitals.children(os.getpid()) if _session(pid) == first)
            others = tuple(pid for pid in ours if pid == self.pid or pid != first)
        return tuple(sorted(others, key=lambda pid: pid != self.pid))

    def printed(self) -> list[str]:
        """The last lines that it has printed so far, as evidence."""
        return last_lines(self._box.output())

    def _alive(self, look: Callable[[int], _T]) -> _T:
        try:
            return look(self.pid)
        except (vitals.Gone, ProcessLookupError) as gone:
            self.check_alive()
            raise Crashed(expected=self._goes_on, seen=f"process {self.pid} has ended") from gone

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


def _session(pid: int) -> int | None:
    try:
        return vitals.session(pid)
    except vitals.Gone:
        return None


def _require_room(trace: tracer.Trace, failure: CheckFailed) -> None:
    """A trace that stops for want of room on the disk is nobody's fault.

    Raises:
        Unmeasured: there is none.
    """
    if shutil.disk_usage(trace.path.parent).free < _TRACE_ROOM_BYTES:
        raise Unmeasured("The disk is full, so the trace stops before the end of the window.") from failure


def problem(found: Any, what: str, expected: str) -> CheckFailed:
    """What a box says went wrong, as the failure that it is. The words come from a stranger."""
    if not isinstance(found, dict):
        return Crashed(expected=expected, seen="the program garbled its last words")
    text, rows = found.get("text"), found.get("trace")
    text = text if isinstance(text, str) else ""
    trace = [row for row in rows if isinstance(row, str)][:12] if isinstance(rows, list) else []
    match found.get("kind"):
        case "forbidden":
            return ForbiddenUse(expected="a solution without it", seen=text, evidence=trace)
        case "missing":
            return CheckFailed(expected=expected, seen=text)
        case _:
            return Crashed(expected=expected, seen=f"{what} {text}", evidence=trace)


def last_lines(output: bytes, count: int = 5) -> list[str]:
    return [f"printed: {line}" for line in output.decode("utf-8", "backslashreplace").splitlines()[-count:]]
