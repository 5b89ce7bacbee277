"""A scenario that runs in its box: one function of a check's file, beside the submission. It pauses, asks and answers.

Knows what a scenario says and how long it may be silent; knows nothing of how its box was made, or of servers.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from grader.box.box import Box
from grader.box.channel import BoxEnded
from grader.checks import processes, program
from grader.checks.last_words import frames, last_lines, problem
from grader.checks.program import Program
from grader.checks.shapes import fitting, fitting_question
from grader.checks.windows import Calls
from grader.failures import Crashed, Evidence, NoAnswer
from grader.measure import strace as tracer
from grader.measure.clients import wait_for
from grader.words.say import say

MAX_QUESTIONS = 100_000  # of one scenario: some ten times what the most talkative check of this course needs


class Stuck(NoAnswer):
    """A scenario that was watched gets no further. Its evidence is where: lines of the submission, a thread after
    another, those of the scenario's own thread first. `so_far` is what the scenario has left in `room.so_far`.
    """

    def __init__(self, *, expected: str, seen: str, evidence: Iterable[Evidence] = (), so_far: Any = None) -> None:
        super().__init__(expected=expected, seen=seen, evidence=evidence)
        self.so_far = so_far


class Run(Program):
    """A scenario that runs, in its box. Made by `Submission.running`.

    The scenario's room has `pause(label)` and `ask(question)`: see `inside.Room`.
    """

    def __init__(
        self,
        box: Box,
        trace: tracer.Trace | None,
        *,
        scenario: Callable[..., Any],
        answering: Callable[[Any], Any] | None = None,
        since_s: float,
        cpu_s: float | None = None,
    ) -> None:
        super().__init__(box, trace, entry=say("the scenario"), goes_on=say("the scenario runs to its end"))
        self._scenario, self._stuck_after_cpu_s = scenario, cpu_s
        self._paused = False
        self._since_s = self._heard_s = since_s
        self._answering = answering
        self._asked = 0

    def check_alive(self) -> None:
        # What it says while it does not pause is waited for, and may come at any moment.
        if self._paused or not (self._box.alive or self._box.has_message()):
            super().check_alive()

    def until(self, label: str) -> None:
        """Wait for the scenario's pause of that name; it goes on if it pauses now.

        Raises:
            CheckFailed: it raises, ends, sleeps for ever, never gets there, or says something else: a check whose own
                scenario does finds its reference crashed.
        """
        message = self._to_the_next()
        if message.get("paused") != label:
            seen = self._unasked(message).seen
            if self._paused:
                seen = say("it pauses at {label!r}", label=message["paused"][:80])
            raise Crashed(expected=say("the scenario pauses at {label!r}", label=label), seen=seen)

    def has_ended(self) -> bool:
        """Whether the scenario has something to say: what it returns or raises, or a pause; or is gone."""
        return self._box.has_message() or not self._box.alive

    def go(self, value: Any = None) -> None:
        """Let a scenario that pauses go on; `room.pause()` gives it this value.

        What depends on a value that it could not know cannot have been done before: no program moves the beginning of a
        window that is opened so.
        """
        if self._paused:
            self._paused = False
            self._tell({"op": "go", "value": value})

    def _tell(self, message: Mapping[str, Any]) -> None:
        try:
            self._box.send(message)
        except BoxEnded as error:
            self.check_alive()  # what it has said before it ended tells more
            seen = say("{what}: {how}", what=error.args[0], how=self._box.ended_by())
            raise Crashed(expected=self._goes_on, seen=seen, evidence=last_lines(self._box.output())) from error

    def result(self) -> Any:
        """What the scenario returns. Pauses on the way are passed.

        Raises:
            Stuck: it was watched, and gets no further.
            CheckFailed: it raises, ends, sleeps for ever, never gets there, or is not what its annotation declares.
        """
        while "value" not in (message := self._to_the_next()):
            pass
        return fitting(self._scenario, self._came_to(message["value"]))

    def _came_to(self, value: Any) -> Any:
        """What it returned; of one that was watched, as `watchdog.watched` says it."""
        if self._stuck_after_cpu_s is None:
            return value
        match value:
            case {"ended": ended}:
                return ended
            case {"stuck": [*rows], "busy": busy, "so_far": so_far} if len(where := list(frames(rows))) == len(rows):
                seen = say("it waits for what never comes")
                if busy:
                    seen = say(
                        "it was still busy after {seconds:g} seconds of processor time: a loop that does not end",
                        seconds=self._stuck_after_cpu_s,
                    )
                raise Stuck(
                    expected=self._goes_on,
                    seen=seen,
                    evidence=where,
                    so_far=None if so_far is None else fitting(self._scenario, so_far),
                )
        raise Crashed(expected=self._goes_on, seen=say("the program garbled its last words"))

    def _to_the_next(self) -> Mapping[str, Any]:
        self.go()
        return self._next()

    def _next(self) -> Mapping[str, Any]:
        """What the scenario says next: a pause, or its value. What it asks meanwhile is answered."""
        while "ask" in (message := self._message()) and self._answering is not None:
            self._answer(message["ask"], self._answering)
        self._paused = isinstance(message.get("paused"), str)
        if "problem" in message:
            raise problem(message["problem"], say("it raised"), self._goes_on)
        if not self._paused and "value" not in message:
            raise self._unasked(message)
        return message

    def _answer(self, question: Any, answering: Callable[[Any], Any]) -> None:
        self._asked += 1
        if self._asked > MAX_QUESTIONS:
            raise Crashed(
                expected=self._goes_on, seen=say("the program asks more than {most:,} questions", most=MAX_QUESTIONS)
            )
        fitting_question(answering, question)
        self._tell({"op": "answer", "value": answering(question)})

    def _message(self) -> Mapping[str, Any]:
        before_s: float | None = None

        def watch(silent_s: float) -> None:
            nonlocal before_s
            self.watch(silent_s, computes=True)
            if before_s is None:
                before_s = self._cpu_s()
            elif self._cpu_s() - before_s > program.SILENT_S:
                endless = say("no end after {seconds:.0f} seconds of processor time", seconds=program.SILENT_S)
                seen, where = self._in_its_lines(endless, silent_s)
                raise NoAnswer(expected=self._goes_on, seen=seen, evidence=where)

        wait_for(self._box.wait_for_message, watch)
        try:
            message = self._box.receive(processes.MESSAGE_S)
        except (BoxEnded, TimeoutError) as error:
            raise self._how_it_ended() from error
        self._heard_s = tracer.now_s()
        return message

    def calls(self) -> Calls:
        """All system calls so far: from when the submission began to be imported until the scenario's last word, by the
        judge's clock. Nothing stands outside of it."""
        until_s = self._heard_s

        def cut() -> tracer.Window | None:
            if self.trace is None:
                return None
            self._bracket(self.trace, until_s)
            return self.trace.between(self._since_s, until_s)

        return Calls(cut)
