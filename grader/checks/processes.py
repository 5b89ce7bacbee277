"""The processes of a program that runs in its box, as the system tells of them now: which live, what they hold and use,
and how the main one ended.

This is where a box and the vitals meet. It waits for nothing, and knows nothing of traces, clients or scenarios.
"""

import contextlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from grader.box.box import Box
from grader.box.channel import BoxEnded
from grader.checks.last_words import frames, last_lines, problem
from grader.failures import CheckFailed, Crashed, Evidence
from grader.measure import vitals
from grader.words.say import say

_T = TypeVar("_T")

_MOST_ROWS = 6
_CALL_CHARS = 40
MESSAGE_S = 5.0  # from the first byte of a message to its last


class Processes:
    """A program's processes. `entry` is what runs in it, and `goes_on` is what that is expected to do."""

    def __init__(self, box: Box, *, entry: str, goes_on: str) -> None:
        self._box, self._entry, self._goes_on = box, entry, goes_on
        self._ended: CheckFailed | None = None

    @property
    def pid(self) -> int:
        """The main process, as the host numbers it."""
        return self._box.pid

    def check_alive(self) -> None:
        """Raise what ended it, with the program's last words, when it has ended or said what it was not asked for."""
        if self._ended is None and (self._box.has_message() or not self._box.alive):
            self._ended = self._how_it_ended()
        if self._ended is not None:
            raise self._ended

    def _how_it_ended(self) -> CheckFailed:
        try:
            message = self._box.receive(MESSAGE_S)
        except (BoxEnded, TimeoutError):
            return Crashed(
                expected=self._goes_on,
                seen=say("the program ended with {how}", how=self._box.ended_by()),
                evidence=last_lines(self._box.output()),
            )
        if "problem" in message:
            return problem(message["problem"], say("{entry} raised", entry=self._entry), self._goes_on)
        return self._unasked(message)

    def _unasked(self, message: Mapping[str, Any]) -> CheckFailed:
        """What a message means that nobody waits for."""
        return Crashed(expected=self._goes_on, seen=say("the program says {word!r}", word=", ".join(message)[:80]))

    # --- what they hold and use

    def cpu_s(self) -> float:
        """Processor time that the program has used, in seconds."""
        return self._alive(vitals.cpu_s)

    def _cpu_s(self) -> float:
        """Of all processes that it has now, and of its tracer, whom a program that goes round in circles keeps busy."""
        used_s = 0.0
        with contextlib.suppress(vitals.Gone):
            for pid in (*self._living(), *([self._box.outermost_pid] if self._box.traced else [])):
                used_s += vitals.cpu_s(pid)
        return used_s

    def threads(self) -> int:
        return self._alive(vitals.threads)

    def open_fds(self) -> int:
        return self._alive(vitals.open_fds)

    def descriptors(self) -> tuple[str, ...]:
        """What each open descriptor is, as the kernel names it."""
        return self._alive(vitals.descriptors)

    def held(self) -> Counter[str]:
        """What is open now, to compare with later."""
        return Counter(self.descriptors())

    def opened_since(self, held: Counter[str]) -> int:
        """How many of its descriptors were not there then. One that was closed meanwhile makes up for none."""
        return (self.held() - held).total()

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

    def others(self) -> tuple[int, ...]:
        """All of them but the main one; none, while it is about to end."""
        try:
            return tuple(pid for pid in self.processes() if pid != self.pid)
        except vitals.Gone:
            return ()

    def inner(self, pids: Iterable[int]) -> dict[int, int]:
        """The numbers that those of them that live have in the box, each with the host's."""
        found = {}
        for pid in pids:
            with contextlib.suppress(vitals.Gone):
                found[vitals.inner_pid(pid)] = pid
        return found

    def descriptors_of(self, pid: int) -> tuple[str, ...] | None:
        """As `descriptors`, of one of them; None when it has ended."""
        with contextlib.suppress(vitals.Gone):
            return vitals.descriptors(pid)
        return None

    def waits_in(self, pid: int) -> str:
        """The system call that one of them sleeps in, as far as the kernel tells."""
        with contextlib.suppress(vitals.Gone):
            return vitals.waits_in(pid) or ""
        return ""

    def sleeps(self, pid: int) -> bool:
        """Whether one of them sleeps; one that has ended does so for ever."""
        with contextlib.suppress(vitals.Gone):
            return vitals.pulse(pid).sleeping
        return True

    def deaf(self, number: int) -> int:
        """To how many of them this signal has come, and is blocked."""
        found = 0
        for pid in (self.pid, *self.others()):
            with contextlib.suppress(vitals.Gone):
                found += vitals.is_pending(pid, number)
        return found

    def further_threads(self) -> int:
        """Threads of all of them, beyond the one that each has."""
        found = 0
        for pid in (self.pid, *self.others()):
            with contextlib.suppress(vitals.Gone):
                found += vitals.threads(pid) - 1
        return found

    def _living(self) -> tuple[int, ...]:
        if self._box.first_pid:
            others = vitals.children(self._box.first_pid)
        else:  # bare: an orphan is the judge's child, in the session that the box was started in, perhaps by strace
            first = self._box.outermost_pid
            ours = (pid for pid in vitals.children(os.getpid()) if _session(pid) == first)
            others = tuple(pid for pid in ours if pid == self.pid or pid != first)
        return tuple(sorted(others, key=lambda pid: pid != self.pid))

    def printed(self) -> list[Evidence]:
        """The last lines that it has printed so far, as evidence."""
        return last_lines(self._box.output())

    def _in_its_lines(self, seen: str, silent_s: float) -> tuple[str, list[Evidence]]:
        """What was seen of a program that nobody waits for any longer, and where in its lines it is, if it tells: the
        innermost line first.

        Args:
            silent_s: for how long nothing has come of it.
        """
        told = self._box.ask_where() or {}
        rows, call = told.get("where"), told.get("call")
        where = list(frames(rows[:_MOST_ROWS])) if isinstance(rows, list) else []
        if not where or where[0].line is None:
            return seen, []
        if isinstance(call, str) and call.isidentifier():
            return say(
                "{seen}, in {call}() of line {line} for {seconds:.0f} s",
                seen=seen,
                call=call[:_CALL_CHARS],
                line=where[0].line,
                seconds=silent_s,
            ), where
        return say("{seen}, in line {line} for {seconds:.0f} s", seen=seen, line=where[0].line, seconds=silent_s), where

    def _alive(self, look: Callable[[int], _T]) -> _T:
        try:
            return look(self.pid)
        except (vitals.Gone, ProcessLookupError) as gone:
            self.check_alive()
            raise Crashed(expected=self._goes_on, seen=say("process {pid} has ended", pid=self.pid)) from gone


def _session(pid: int) -> int | None:
    try:
        return vitals.session(pid)
    except vitals.Gone:
        return None
