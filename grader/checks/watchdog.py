"""Ends a scenario that never ends, and says in which of the student's lines it is stuck.

Its source runs in the box, before a scenario's: so it holds nothing but the standard library. What it answers, `ended`
or `stuck`, comes from a stranger: `Run` looks at it.
"""

import os
import sys
import threading
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

_LOOK_S = 0.05
_LOOKS = 60  # at each of which all was asleep; on a machine that stands still for seconds, one of them is lost


class WatchedRoom:
    """The scenario's room, which counts what is said in it. What is told of a scenario that is stuck, as far as it has
    come, it leaves in `so_far`; while a list within that grows, it gets further.
    """

    so_far: list[Any] | None = None

    def __init__(self, room: Any) -> None:
        self._room = room
        self._steps = self._questions = 0
        self._waits = False

    def pause(self, label: str, *, then: str = "") -> Any:
        value = self._said(lambda label: self._room.pause(label, then=then), label)
        self.further()
        return value

    def ask(self, question: Any) -> Any:
        self._questions += 1
        return self._said(self._room.ask, question)

    def further(self) -> None:
        """Say that a part is done: processor time counts anew. To ask alone is no part, as one can ask for ever."""
        self._steps += 1

    def _said(self, say: Callable[[Any], Any], what: Any) -> Any:
        self._waits = True
        try:
            return say(what)
        finally:
            self._waits = False

    def parts(self) -> int:
        """How far it has come."""
        entries = self.so_far or []
        return self._steps + len(entries) + sum(len(one) for one in entries if isinstance(one, list))

    def signs(self) -> object:
        """What is another when it shows a sign of life; while the judge has the word, at each look."""
        return object() if self._waits else (self.parts(), self._questions)


def watched(scenario: Callable[..., Any], cpu_s: float) -> Callable[..., Any]:
    """The scenario on a thread of its own, beside one that looks whether it gets any further.

    It is stuck when it has used so much processor time without getting further, or was asleep at many looks in a row
    without a sign of life: load keeps a program runnable, not asleep.
    """

    def run(student: ModuleType, judges_room: Any, *arguments: Any) -> dict[str, Any]:
        ended: list[Any] = []
        failures: list[BaseException] = []
        last_words: list[tuple[str, ...]] = []
        room = WatchedRoom(judges_room)

        def act() -> None:
            try:
                ended.append(scenario(student, room, *arguments))
            except BaseException as error:  # noqa: BLE001 - whatever it is, the thread that asked is to see it
                failures.append(error)

        def note(error: threading.ExceptHookArgs) -> None:
            last_words.append((f"a thread ended with {error.exc_type.__name__}: {error.exc_value}",))

        threading.excepthook = note
        thread = threading.Thread(target=act, daemon=True)
        thread.start()
        parts, signs = 0, object()
        looks, since_s = 0, time.process_time()
        while looks < _LOOKS and time.process_time() - since_s < cpu_s:
            thread.join(_LOOK_S)
            if failures:
                raise failures[0]
            if not thread.is_alive():
                return {"ended": ended[0]}
            if parts != (parts := room.parts()):
                since_s = time.process_time()
            if signs != (signs := room.signs()):
                looks = 0
            elif others_sleep():
                looks += 1
        so_far = room.so_far and [one[:] if isinstance(one, list) else one for one in room.so_far]
        return {"stuck": [*last_words, *lines_of(student, thread)], "busy": looks < _LOOKS, "so_far": so_far}

    return run


def others_sleep() -> bool:
    """Whether all other threads of the process sleep."""
    for task in set(os.listdir("/proc/self/task")) - {str(threading.get_native_id())}:
        try:
            with open(f"/proc/self/task/{task}/stat", "rb") as file:
                state = file.read().rpartition(b")")[2].split()[0]
        except OSError:  # it has ended
            continue
        if state in (b"R", b"D"):
            return False
    return True


def lines_of(student: ModuleType, first: threading.Thread) -> list[tuple[str, str, int]]:
    """Where each thread is in the submission, this one first: in words, and as file and line."""
    import linecache  # here, for it takes a while, and most scenarios end

    rows = []
    frames = sys._current_frames()
    for ident in sorted(frames, key=lambda ident: ident != first.ident):
        frame = frames.get(ident)
        while frame is not None:
            file, line = frame.f_code.co_filename, frame.f_lineno
            if file == student.__file__:
                name, code = file.rpartition("/")[2], linecache.getline(file, line).strip()
                rows.append((f"{name}:{line} in {frame.f_code.co_name}: {code}", name, line))
            frame = frame.f_back
    return rows
