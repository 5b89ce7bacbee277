"""How long the import of a submission is waited for, and what becomes of one that fails.

Knows processes and the words of a failed import; knows nothing of checks. No clock decides: an import that takes long
on a busy machine computes, or waits for its processor; one that hangs has slept through a hundred looks, or has used
seconds of processor time.
"""

import contextlib
import time

from grader.box.box import Box
from grader.box.channel import BoxEnded
from grader.checks.last_words import last_lines, problem
from grader.checks.processes import MESSAGE_S, Processes
from grader.failures import Crashed, NoAnswer, NotImported
from grader.measure import vitals
from grader.words.say import say

_LOOK_S = 0.05
_ASLEEP_LOOKS = 100  # five seconds, during which a program that has anything to do is not asleep
_CPU_S = 5.0
_LONGEST_S = 20.0  # a way out, for a program that is awake now and then


class Loading(Processes):
    """A program that imports the submission."""

    def __init__(self, box: Box, *, file: str) -> None:
        expected = say("{file} can be imported", file=file)
        super().__init__(box, entry=file, goes_on=expected)
        self.expected = expected

    def wait(self) -> None:
        """Wait until it has been imported.

        Raises:
            CheckFailed: it cannot be; the failure's words are its own.
        """
        try:
            self._wait()
            answer = self._box.receive(MESSAGE_S)
        except TimeoutError as error:  # a message that was begun, and does not end
            nothing = say("nothing: the import does not come to its end")
            raise NoAnswer(expected=self.expected, seen=nothing, evidence=last_lines(self._box.output())) from error
        except BoxEnded as error:
            seen = say("{what}: {how}", what=error.args[0] if error.args else say("nothing"), how=self._box.ended_by())
            raise Crashed(expected=self.expected, seen=seen, evidence=last_lines(self._box.output())) from error
        if "loaded" not in answer:
            raise problem(answer.get("problem"), say("importing it raised"), self.expected, raised=NotImported)

    def _wait(self) -> None:
        began_s, asleep, spent_s = time.monotonic(), 0, self._cpu_of_all_s()
        while not self._box.wait_for_message(_LOOK_S):
            silent_s = time.monotonic() - began_s
            with contextlib.suppress(vitals.Gone):
                asleep += all(vitals.pulse(pid).sleeping for pid in self._living())
            if asleep >= _ASLEEP_LOOKS or self._cpu_of_all_s() - spent_s > _CPU_S or silent_s > _LONGEST_S:
                nothing = say("nothing: the import does not come to its end")
                seen, where = self._in_its_lines(nothing, silent_s)
                raise NoAnswer(expected=self.expected, seen=seen, evidence=where)

    def _cpu_of_all_s(self) -> float:
        """Of its processes without a tracer, whose work is none of the import's."""
        used_s = 0.0
        with contextlib.suppress(vitals.Gone):
            for pid in self._living():
                used_s += vitals.cpu_s(pid)
        return used_s
