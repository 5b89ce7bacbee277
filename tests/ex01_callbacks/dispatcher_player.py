"""Carries out a dispatcher's program in the box, next to the submission, and writes down what runs.

No line of it knows what should: it is shipped as source, and expected values never enter the box.
"""

from __future__ import annotations  # what is shipped leaves the names of this file's types behind

from typing import Any

from dispatcher_programs import Value

Entry = tuple[bool, str, str, list[Value]]  # on the caller's thread or not, what, whose, with what


def plays(student: Any, room: Any, programs: list[dict[str, Any]]) -> list[list[Entry]]:  # noqa: C901
    """Carry out programs, and write down what runs. No line of it knows what should."""
    import builtins
    import os
    import threading
    import time

    caller = threading.get_ident()

    def threads() -> int:
        return len(os.listdir("/proc/self/task"))

    def known(value: object) -> object:
        return value if value is None or type(value) in (int, str) else repr(value)[:200]

    class Play:
        def __init__(self, program: dict[str, Any], trace: list[Any]) -> None:
            self.program, self.trace, self.threads = program, trace, threads()
            self.buses = [student.Dispatcher() for _ in range(program["dispatchers"])]
            self.old = [len(bus.errors) for bus in self.buses]
            self.offs: dict[str, Any] = {}
            self.again: dict[str, Any] = {}  # callbacks; all others are held by the dispatcher alone
            self.begun = {name: threading.Event() for name in program["waits"]}
            self.gate, self.done = threading.Event(), threading.Semaphore(0)
            self.raised: list[Exception] = []
            self.helpers: list[threading.Thread] = []

        def note(self, what: str, whose: str, *values: object) -> None:
            if len(self.trace) > 6000:
                threading.Event().wait()  # callbacks without end: what comes of them is not heard of any more
            self.trace.append([threading.get_ident() == caller, what, whose, [known(value) for value in values]])

        def line(self, what: str, bus: int, *rest: Any) -> None:
            self.note("line", what)
            getattr(self, what)(bus, *rest)

        def callback(self, name: str) -> Any:
            to_do = self.program["bodies"].get(name, [])[:]

            def call(*got: object) -> object:
                self.note("call", name, *got)
                lines, to_do[:] = to_do[:], []
                if name in self.begun and not self.begun[name].is_set():
                    self.begun[name].set()
                    self.gate.wait()
                try:
                    for line in lines:
                        self.line(*line)
                except BaseException as error:
                    self.note("broke", name, f"{type(error).__name__}: {error}")
                    raise
                self.note("done", name)
                self.done.release()
                if name in self.program["raises"]:
                    kind, text = self.program["raises"][name]
                    self.raised.append(getattr(builtins, kind)(text))
                    raise self.raised[-1]
                return (None, False, 0, True, name, 2)[len(self.trace) % 6]  # a callback may return what it likes

            return call

        def helped(self, act: Any) -> None:
            self.helpers.append(threading.Thread(target=act, daemon=True))
            self.helpers[-1].start()

        def on(self, bus: int, event: str, name: str, once: bool, handle: str) -> None:
            function = self.again.get(name) or self.callback(name)
            if name in self.program["again"]:
                self.again[name] = function
            self.offs[handle] = self.buses[bus].on(event, function, **({"once": True} if once else {}))

        def off(self, _bus: int, handle: str) -> None:
            self.offs[handle]()

        def emit(self, bus: int, event: str, arguments: list[Any]) -> None:
            try:
                self.note("returned", "", self.buses[bus].emit(event, *arguments))
            except Exception as error:
                if not any(error is one for one in self.raised):
                    raise
                self.note("escaped", "", f"{type(error).__name__}: {error}")

        def emit_async(self, bus: int, event: str, arguments: list[Any]) -> None:
            self.buses[bus].emit_async(event, *arguments)

        def emits_async(self, bus: int, event: str, count: int) -> None:
            for _ in range(count):
                self.buses[bus].emit_async(event)

        def beside(self, bus: int, event: str, arguments: list[Any]) -> None:
            self.helped(lambda: self.buses[bus].emit(event, *arguments))

        def joins(self, _bus: int) -> None:
            for helper in self.helpers:
                helper.join()

        def runs(self, _bus: int, name: str) -> None:
            self.begun[name].wait()

        def ran(self, _bus: int, count: int) -> None:
            for _ in range(count):
                self.done.acquire()

        def rest(self, _bus: int) -> None:
            time.sleep(0.05)  # who should not run now has time to

        def open(self, _bus: int) -> None:
            self.gate.set()

        def errors(self, bus: int, new: bool) -> None:
            values: list[object] = []
            for entry in list(self.buses[bus].errors)[self.old[bus] if new else 0 :]:
                try:
                    event, error = entry
                except (TypeError, ValueError):
                    values += [repr(entry), None, None]
                    continue
                one = next((one for one in self.raised if one is error), None)
                values += [event, repr(error), None] if one is None else [event, type(one).__name__, one.args[0]]
            self.note("errors", "", *values)

        def close(self, bus: int, opens: bool) -> None:
            if opens:
                self.helped(lambda: time.sleep(0.05) or self.gate.set())
            self.buses[bus].close()
            self.note("closed", "")

        def left(self, _bus: int) -> None:
            for _ in range(60):
                if threads() <= self.threads:
                    break
                time.sleep(0.05)
            self.note("left", "", max(threads() - self.threads, 0))

    traces: list[list[Any]] = []
    room.so_far = traces
    for program in programs:
        traces.append([])
        play = Play(program, traces[-1])
        for line in program["main"]:
            play.line(*line)
    return traces
