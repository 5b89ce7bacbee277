"""What a submission of ex01 is graded by. Titles, hints, points and limits: exercises/ex01_callbacks/exercise.yaml.

Values are asked for by programs that nobody foresees. A check draws some from the seed, of those calls that are its
subject (`Draft`); the box carries them out, without a word on what should come of it, and writes down what runs
(`plays`); what was written down is held against the contract here (`Follower`). So whoever forges the answers has to
write a dispatcher. Short programs come first, and the first that goes wrong is told, up to there.
"""

from __future__ import annotations  # what is shipped leaves the names of this file's types behind

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, NoReturn

from typing_extensions import TypedDict

from grader.checks import NOISE_FACTOR, Budgets, Count, Run, Submission, quiet_for
from grader.checks.shipping import source_of
from grader.failures import CheckFailed, Crashed, demand
from grader.measure.strace import CLONE_CALLS

Sizes = Mapping[str, int]
Value = int | str | None
Line = list[Any]  # one call: its name, the number of the dispatcher, and with what
_ROWS = 8  # of a program in a message
_SEEN_CHARS = 400
Entry = tuple[bool, str, str, list[Value]]  # on the caller's thread or not, what, whose, with what


class Tale(TypedDict):
    traces: list[list[Entry]]  # of each program that was begun
    stuck: list[str] | None  # lines of the submission that run, when the last one does not come to its end


# --- programs -----------------------------------------------------------------------------------------------------


@dataclass(kw_only=True)
class Draft:
    """A program: what the caller does, and what callbacks do. No two programs share an event: all end with `tag`."""

    rng: Random
    tag: str
    main: list[Line] = field(default_factory=list)
    bodies: dict[str, list[Line]] = field(default_factory=dict)  # what a callback does, the first time that it runs
    raises: dict[str, tuple[str, str]] = field(default_factory=dict)  # what it raises, each time
    waits: list[str] = field(default_factory=list)  # who waits in its first run until the caller's `open`
    again: list[str] = field(default_factory=list)  # who is registered more than once
    buses: dict[str, int] = field(default_factory=dict)  # callbacks, and the dispatcher that each belongs to
    handles: list[str] = field(default_factory=list)  # what `on` gave
    dispatchers: int = 1

    def events(self, count: int) -> list[str]:
        return [f"{letter}{self.tag}" for letter in "abcdefghij"[:count]]

    def add(self, what: str, *rest: Any, bus: int = 0) -> None:
        self.main.append([what, bus, *rest])

    def on(self, event: str, callback: str = "", *, once: bool = False, bus: int = 0) -> Line:
        """The line that registers a callback, by default a new one."""
        self.again += [callback] if callback else []
        handle = f"off{len(self.handles) + 1}"
        callback = callback or f"f{len(self.buses) + 1}"
        self.handles.append(handle)
        self.buses[callback] = bus
        return ["on", bus, event, callback, once, handle]

    def arguments(self, most: int = 4) -> list[Value]:
        kinds: list[Value] = [self.rng.getrandbits(20), f"{self.rng.getrandbits(20):x}", None]
        return [self.rng.choice(kinds) for _ in range(self.rng.randint(0, most))]

    def shipped(self) -> dict[str, Any]:
        names = ("main", "bodies", "raises", "waits", "again", "dispatchers")
        return {name: getattr(self, name) for name in names}

    def rows(self, lines: Sequence[Line]) -> list[str]:
        """These lines of the caller as a person would write them, and what the callbacks do that they register."""
        within = [line for body in self.bodies.values() for line in body]
        registered = [line[3] for line in (*lines, *within) if line[0] == "on"]
        texts = []
        for name in dict.fromkeys(registered):
            acts = [*map(told, self.bodies.get(name, [])), *(["wait"] if name in self.waits else [])]
            texts += [f"# {name}, the first time that it runs: {', '.join(acts)}"] if acts else []
            if name in self.raises:
                kind, text = self.raises[name]
                texts.append(f"# {name} raises {kind}({text!r})")
        rows = ["#"]
        for text in [*texts, *map(told, lines)]:
            if "#" in text + rows[-1] or len(rows[-1]) + len(text) > 64:
                rows.append(text)
            else:
                rows[-1] += f"; {text}"
        return rows[1:] if len(rows) <= _ROWS else [*rows[1:3], "...", *rows[4 - _ROWS :]]


def drafts(rng: Random, count: int, write: Callable[[Draft, int], None]) -> list[Draft]:
    """Programs, from short ones to long ones; `write` gets a number that grows from 1 to `count`."""
    written = []
    for size in range(1, count + 1):
        draft = Draft(rng=rng, tag=str(size))
        write(draft, size)
        written.append(draft)
    return written


def told(line: Line) -> str:
    """A line as a person would write it."""
    what, bus, *rest = line
    name = f"bus{bus or ''}"
    match what, rest:
        case "on", [event, callback, once, handle]:
            return f"{handle} = {name}.on({event!r}, {callback}{', once=True' if once else ''})"
        case "off", [handle]:
            return f"{handle}()"
        case "emit" | "emit_async", [event, arguments]:
            return f"{name}.{what}({', '.join(map(repr, [event, *arguments]))})"
        case "beside", [event, arguments]:
            return f"Thread(target={name}.emit, args={(event, *arguments)!r}).start()"
        case "emits_async", [event, count]:
            return f"for _ in range({count}): {name}.emit_async({event!r})"
        case "close", _:
            return f"{name}.close()"
        case "runs", [callback]:
            return f"# {callback} runs by now, and waits"
        case "errors", _:
            return f"{name}.errors"
        case "ran", [count]:
            return f"# wait until {count} callbacks have run"
        case "open", _:
            return "# who waits may go on"
        case "joins", _:
            return "# wait for the thread"
        case _:
            return {"rest": "sleep(0.05)", "left": "# look for threads that are left"}.get(what, what)


# --- in the box ---------------------------------------------------------------------------------------------------


def on_a_thread(student: Any, _room: Any, source: str, name: str, argument: list[Any]) -> Tale:
    """Run a story; when it does not come to its end, say which lines of the submission are running.

    Waits in slices: on a machine that stands still for seconds, one of them is lost, and not the verdict.
    """
    import sys
    import threading

    traces: list[list[Any]] = []
    failures: list[BaseException] = []
    rows: list[str] = []
    threading.excepthook = lambda args: rows.append(f"a thread ended with {args.exc_type.__name__}: {args.exc_value}")
    room: dict[str, Any] = {}
    exec(compile(source, "<story>", "exec"), room)

    def tell() -> None:
        try:
            room[name](student, traces, argument)
        except BaseException as error:  # noqa: BLE001  # whatever it is, the thread that asked is to see it
            failures.append(error)

    thread = threading.Thread(target=tell, daemon=True)
    thread.start()
    heard = slices = 0
    while slices < 60:
        thread.join(0.05)
        if failures:
            raise failures[0]
        if not thread.is_alive():
            return {"traces": traces, "stuck": None}
        before, heard = heard, sum(map(len, traces))
        slices = slices + 1 if heard == before else 0
    import linecache  # here, for it takes a while, and most stories end

    frames = sys._current_frames()
    for ident in sorted(frames, key=lambda ident: ident != thread.ident):
        frame = frames[ident]
        while frame is not None:
            file, line = frame.f_code.co_filename, frame.f_lineno
            if file == student.__file__:
                where = f"{file.rpartition('/')[2]}:{line} in {frame.f_code.co_name}"
                rows.append(f"{where}: {linecache.getline(file, line).strip()}")
            frame = frame.f_back
    return {"traces": [trace[:] for trace in traces], "stuck": rows}


def plays(student: Any, traces: list[list[Any]], programs: list[dict[str, Any]]) -> None:  # noqa: C901
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

    for program in programs:
        traces.append([])
        play = Play(program, traces[-1])
        for line in program["main"]:
            play.line(*line)


# --- what should come of it ---------------------------------------------------------------------------------------


@dataclass(eq=False, slots=True)
class Registration:
    callback: str
    once: bool
    living: bool = True
    spent: bool = False


Stream = deque[tuple[int, Entry]]


class Follower:
    """Holds what was written down of one program against the contract, entry by entry."""

    def __init__(
        self, draft: Draft, trace: Sequence[Entry], asks: Sequence[str], rule: str, stuck: Sequence[str] | None
    ):
        self.draft, self.asks, self.rule, self.stuck = draft, asks, rule, stuck
        self.table: dict[tuple[int, str], list[Registration]] = defaultdict(list)
        self.handles: dict[str, tuple[list[Registration], Registration]] = {}
        self.bodies = {name: list(lines) for name, lines in draft.bodies.items()}
        self.waits = set(draft.waits)
        self.queued: dict[int, deque[Line]] = defaultdict(deque)
        self.errors: dict[int, list[Value]] = defaultdict(list)
        self.opened = -1  # the entry from which on who waits may go on
        self.lines: list[Line] = []  # of the caller, so far
        self.line: Line = ["Dispatcher", 0]  # that was begun last
        self.caller, self.workers = self._streams(trace)

    def _streams(self, trace: Sequence[Entry]) -> tuple[Stream, dict[int, Stream]]:
        """What ran on the caller's thread, and beside it for each dispatcher. Where nothing should, all is one."""
        caller: Stream = deque()
        workers: dict[int, Stream] = defaultdict(deque)
        alone = not any(line[0] in ("emit_async", "beside") for line in self.draft.main)
        bus = 0
        for number, entry in enumerate(trace):
            here, what, whose, _ = entry
            if alone or here:
                caller.append((number, entry))
                continue
            if what in ("call", "done", "broke"):
                bus = self.draft.buses.get(whose, 0)
            workers[bus].append((number, entry))
        return caller, workers

    def follow(self) -> None:
        for line in self.draft.main:
            self.lines.append(line)
            self.act(line, self.caller)
        for stream in (self.caller, *self.workers.values()):
            if stream:
                self.fail(f"nothing runs after {told(self.line)}", f"{listed(names_ahead(stream))} then")

    def act(self, line: Line, stream: Stream) -> None:
        self.take(stream, "line")
        self.line = line
        what, bus, *rest = line
        match what:
            case "on":
                event, callback, once, handle = rest
                row = self.table[bus, event]
                row.append(Registration(callback, once))
                self.handles[handle] = (row, row[-1])
            case "off":
                self.end(*self.handles[rest[0]])
            case "emit":
                self.returned(line, self.handle(line, stream), stream)
            case "emit_async" | "beside":
                self.queued[bus].append(line)
            case "emits_async":
                self.queued[bus] += [["emit_async", bus, rest[0], []]] * rest[1]
            case "errors":
                self.reported(self.take(stream, "errors")[3], self.errors[bus])
            case "open":
                self.opened = self.last
            case "ran" | "joins":
                for one in self.workers.keys() | self.queued.keys():
                    self.work_off(one)
            case "close":
                self.closed(bus, rest[0])
            case "left":
                self.left(first(self.take(stream, "left")))

    def reported(self, values: list[Value], due: list[Value]) -> None:
        if "errors" in self.asks and values != due:
            form = "errors holds (event, exception) of each callback that raised, the exception itself"
            self.fail(f"{form}: {in_threes(due)}", in_threes(values))

    def left(self, threads: Value) -> None:
        if threads != 0:
            self.fail("close() ends the worker", f"{threads} threads are left that were not there before")

    def closed(self, bus: int, opens: bool) -> None:
        self.opened = self.last if opens else self.opened
        self.work_off(bus)
        handled = self.last
        self.take(self.caller, "closed")
        if self.last < handled:
            self.fail("when close() returns, all that was queued has been handled", "it returned before that")

    def end(self, row: list[Registration], one: Registration) -> None:
        if one.living:
            row.remove(one)
            one.living = False

    def work_off(self, bus: int) -> None:
        if "anyhow" in self.asks:
            self.tally(bus)
        while self.queued[bus]:
            line = self.queued[bus].popleft()
            self.handle(line, self.workers[bus])

    def tally(self, bus: int) -> None:
        """All that was queued, in any order: that has a check of its own."""
        stream, due = self.workers[bus], Counter()
        for _, _, event, _ in self.queued[bus]:
            due.update(one.callback for one in self.table[bus, event])
        ran = Counter(entry[2] for _, entry in stream if entry[1] == "done")
        if ran != due:
            self.fail(f"so often runs each: {dict(due)}", f"{dict(ran)}", where=True)
        for name in self.draft.waits:
            now = [entry[1] for number, entry in stream if number < self.opened and entry[2] == name]
            if now.count("done") >= now.count("call"):
                self.fail(f"{name} waits until the caller, whose calls have returned, lets it go on", "it did not wait")
        stream.clear()
        self.queued[bus].clear()

    def handle(self, line: Line, stream: Stream) -> list[str]:
        """One event: the calls of its callbacks, in the order in which they ran."""
        _, bus, event, arguments = line
        row = self.table[bus, event]
        ahead, ran = row[:], []
        due = [one.callback for one in ahead]
        while upcoming(stream) == "call":
            here, _, name, got = stream[0][1]
            found = next((one for one in ahead if one.callback == name and not one.spent), None)
            if found is None and stream is not self.caller and not any(one.living for one in ahead):
                break  # it belongs to the next event
            early = found and "order" in self.asks and any(one.living for one in ahead[: ahead.index(found)])
            if found is None or early:
                self.fail_at(line, due, [*ran, *names_ahead(stream)])
            if "thread" in self.asks and not here:
                self.fail(f"{told(line)} runs {name} on the thread that calls emit()", "it ran on another one")
            if "arguments" in self.asks and got != arguments:
                self.fail(f"{told(line)} calls {name}{in_brackets(arguments)}", f"it calls {name}{in_brackets(got)}")
            self.last = stream.popleft()[0]
            ahead.remove(found)
            ran.append(name)
            if found.once:
                found.spent = True
                self.end(row, found)
            self.run(name, bus, event, stream)
        if any(one.living for one in ahead):
            self.fail_at(line, due, ran, ended=not stream)
        return ran

    def run(self, name: str, bus: int, event: str, stream: Stream) -> None:
        """What a callback does between its call and its end."""
        waits = name in self.waits
        self.waits.discard(name)
        around, lines = self.line, self.bodies.pop(name, [])
        for line in lines:
            self.act(line, stream)
        if upcoming(stream) == "broke":
            self.fail(f"{told(self.line)} returns, in {name}", f"it raises {first(self.take(stream, 'broke'))}")
        if waits and upcoming(stream) == "call":
            self.fail(f"while {name} waits, no later event begins", f"{listed(names_ahead(stream))} run meanwhile")
        self.take(stream, "done", name)
        if waits and self.last < self.opened:
            self.fail(f"{name} waits until the caller, whose calls have returned, lets it go on", "it did not wait")
        self.line = around
        if name in self.draft.raises:
            self.errors[bus] += [event, *self.draft.raises[name]]

    def returned(self, line: Line, ran: list[str], stream: Stream) -> None:
        what = upcoming(stream)
        value = first(self.take(stream, what if what == "escaped" else "returned"))
        if what == "escaped":
            if "errors" in self.asks:
                self.fail(f"{told(line)} catches what a callback raises", f"it raised {value}")
        elif "count" in self.asks and value != len(ran):
            self.fail(f"{told(line)} returns how many ran: {len(ran)}", f"it returned {value!r}")

    # --- what is not as it should be

    def take(self, stream: Stream, what: str, whose: str = "") -> Entry:
        if not stream:
            self.never()
        self.last, entry = stream.popleft()
        if entry[1] == "call":
            self.fail(f"{told(self.line)} calls nobody on the caller's thread", f"it calls {entry[2]}")
        if entry[1] != what or (whose and entry[2] != whose):
            self.fail(f"{told(self.line)} goes on with {what} {whose}", f"{entry[1]} {entry[2]}")
        return entry

    def never(self) -> NoReturn:
        self.fail(
            f"{told(self.line)} comes to its end", "it never does: the program waits or runs for ever", where=True
        )

    def fail_at(self, line: Line, due: list[str], ran: list[str], *, ended: bool = False) -> NoReturn:
        never = ended and self.stuck is not None
        seen = f"it runs {listed(ran)}{', and then waits or runs for ever' if never else ''}"
        self.fail(f"{told(line)} runs {listed(due)}", seen, where=never)

    def fail(self, expected: str, seen: str, *, where: bool = False) -> NoReturn:
        rows = [*(self.stuck or [])][:4] if where else []
        if rows:
            seen += "; where:"
        seen = seen if len(seen) <= _SEEN_CHARS else f"{seen[:_SEEN_CHARS]}..."
        raise CheckFailed(
            expected=f"{self.rule}. Here, {expected}", seen=seen, evidence=[*rows, *self.draft.rows(self.lines)]
        )


def upcoming(stream: Stream) -> str:
    """What the next entry says; nothing, where there is none."""
    return stream[0][1][1] if stream else ""


def names_ahead(stream: Stream) -> list[str]:
    """The callbacks that run next, but for those that run within one of them."""
    names, depth = [], 0
    for _, (_, what, whose, _) in stream:
        if what == "call":
            names += [] if depth else [whose]
            depth += 1
        elif what in ("done", "broke"):
            depth -= 1
        elif not depth and what in ("line", "returned", "escaped"):
            break
    return names


def first(entry: Entry) -> Value:
    """What it was with: of one value, if the program is honest."""
    return next(iter(entry[3]), None)


def listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "nobody"


def in_brackets(values: Sequence[Value]) -> str:
    return f"({', '.join(map(repr, values))})"


def in_threes(values: Sequence[Value]) -> str:
    """Errors: event, type and text of each."""
    return str([tuple(values[at : at + 3]) for at in range(0, len(values), 3)])


NEVER = "it never comes to that: the program waits or runs for ever"


def tell(submission: Submission, story: Callable[..., Any], argument: Sequence[Any], *, comes_to: str) -> Tale:
    """What a story wrote down.

    Args:
        comes_to: what has happened when it has come to its end, for the message when the submission raises.
    """
    with submission.running(on_a_thread, source_of(story), story.__name__, list(argument)) as run:
        try:
            tale: Tale = run.result()
        except Crashed as crash:
            raise Crashed(expected=comes_to, seen=crash.seen, evidence=crash.evidence) from crash
    return tale


def plays_right(
    submission: Submission, programs: Sequence[Draft], *, rule: str, comes_to: str, asks: Sequence[str] = ()
) -> None:
    """Each program comes to what the contract says.

    Args:
        asks: what is looked at besides which callbacks run: order, thread, arguments, count, errors.

    Raises:
        CheckFailed: one does not, or the submission raised.
    """
    tale = tell(submission, plays, [draft.shipped() for draft in programs], comes_to=comes_to)
    traces, stuck = tale["traces"], tale["stuck"]
    for number, (draft, trace) in enumerate(zip(programs, traces, strict=False), start=1):
        Follower(draft, trace, asks, rule, stuck if number == len(traces) else None).follow()
    demand(stuck is None and len(traces) == len(programs), comes_to, NEVER, stuck or [])


# --- synchronous callbacks ----------------------------------------------------------------------------------------


def fill(draft: Draft, size: int, acts: str, *, arguments: int = 0) -> None:
    """Calls that `acts` names, at random, then an emit() of each event, so whoever is registered then shows.

    No event is emitted before somebody has subscribed to it: that is the subject of `count` alone.
    """
    rng, events = draft.rng, draft.events(1 + size // 4)
    draft.main += [draft.on(event) for event in events]
    for act in rng.choices(acts.split(), k=size):
        event = rng.choice(events)
        match act:
            case "on":
                draft.main.append(draft.on(event))
            case "again":
                draft.main.append(draft.on(event, rng.choice(list(draft.buses))))
            case "once":
                draft.main.append(draft.on(event, once=True))
            case "off":
                draft.add("off", rng.choice(draft.handles))
            case "emit":
                draft.add("emit", event, draft.arguments(arguments))
    for event in rng.sample(events, len(events)):
        draft.add("emit", event, draft.arguments(arguments))


def test_sync(submission: Submission, rng: Random) -> None:
    def write(draft: Draft, size: int) -> None:
        fill(draft, size, "on on emit")
        if size == 1:
            draft.bodies["f1"] = [["rest", 0]]

    plays_right(
        submission,
        drafts(rng, 8, write),
        rule="emit() runs each callback of its event once, and returns when all have run",
        comes_to="emit() calls the callbacks and returns",
    )


def test_call(submission: Submission, rng: Random) -> None:
    plays_right(
        submission,
        drafts(rng, 6, lambda draft, size: fill(draft, size, "on emit", arguments=4)),
        asks=["arguments", "thread"],
        rule="emit(event, *args) calls callback(*args) on its caller's thread",
        comes_to="emit() calls the callbacks and returns",
    )


def test_order(submission: Submission, rng: Random) -> None:
    def write(draft: Draft, size: int) -> None:
        events = draft.events(1 + size % 3)
        draft.main += [draft.on(event) for event in events + rng.choices(events, k=3 * size)]
        for event in events:
            draft.add("emit", event, [])

    plays_right(
        submission,
        drafts(rng, 4, write),
        asks=["order"],
        rule="callbacks run in the order of their registration",
        comes_to="emit() calls the callbacks and returns",
    )


def binds(student: Any, traces: list[list[Any]], cases: list[list[Any]]) -> None:
    for ids, turns, salt in cases:
        calls: list[Any] = []

        def fn(one: int, calls: list[Any] = calls, salt: str = salt) -> str:
            calls.append(one)
            return f"<{one} {salt}>"

        bound = list(student.bind_all(iter(ids), fn))
        early, results = calls[:], [bound[turn]() for turn in turns]
        results = [one if isinstance(one, str) else repr(one)[:200] for one in results]
        rows = {"count": [len(bound)], "early": early, "calls": calls, "results": results}
        traces.append([[True, what, "", values] for what, values in rows.items()])


def test_bind_all(submission: Submission, rng: Random) -> None:
    cases = []
    for size in range(1, 8):
        ids = [rng.randrange(1000) for _ in range(size)]
        cases.append((ids, rng.choices(range(size), k=size + 2), f"{rng.getrandbits(20):x}"))
    comes_to = "bind_all() returns, and so does what it gives"
    tale = tell(submission, binds, cases, comes_to=comes_to)
    for (ids, turns, salt), trace in zip(cases, tale["traces"], strict=False):
        rows = {what: values for _, what, _, values in trace}
        due = [ids[turn] for turn in turns]
        every = f"each function that bind_all(iter({ids}), fn) gives"
        for what, wanted, expected, seen in (
            ("count", [len(ids)], f"bind_all(iter({ids}), fn) gives a function for each id: {len(ids)}", "{}"),
            ("early", [], f"bind_all(iter({ids}), fn) does not call fn yet", "fn was called with {}"),
            ("calls", due, f"{every} calls fn with its own id each time; here {due}", "fn was called with {}"),
            ("results", [f"<{one} {salt}>" for one in due], f"{every} returns what fn returns", "{}"),
        ):
            demand(rows.get(what) == wanted, expected, seen.format(str(rows.get(what))[:300]))
    demand(tale["stuck"] is None and len(tale["traces"]) == len(cases), comes_to, NEVER, tale["stuck"] or [])


def test_off(submission: Submission, rng: Random) -> None:
    def write(draft: Draft, size: int) -> None:
        (event,) = draft.events(10)[-1:]
        draft.main += [draft.on(event), draft.on(event), draft.on(event, "f1"), draft.on(event)]
        for _ in range(2):
            draft.add("off", "off3")
            draft.add("emit", event, [])
        fill(draft, size, "on again again off off emit")

    plays_right(
        submission,
        drafts(rng, 8, write),
        asks=["order"],
        rule="what on() returns ends exactly its own registration, and does nothing the second time",
        comes_to="the function that on() gives ends the registration and returns",
    )


def test_once(submission: Submission, rng: Random) -> None:
    def write(draft: Draft, size: int) -> None:
        a, b, c = draft.events(3)
        if size == 2:  # with the first event it is over: also when it emits that event, and when it raises
            draft.main += [draft.on(a, once=True), draft.on(b, once=True)]
            draft.bodies["f1"] = [["emit", 0, a, []]]
            draft.raises["f2"] = ("ValueError", "once")
            for event in (a, b, b, a):
                draft.add("emit", event, [])
        else:
            fill(draft, size, "on once once again off emit emit")
            last = rng.choice(list(draft.buses))
            draft.main += [draft.on(c, last), draft.on(c, last, once=True)]
            for _ in range(2):
                draft.add("emit", c, [])
            draft.add("off", draft.handles[-1])
            draft.add("emit", c, [])

    plays_right(
        submission,
        drafts(rng, 8, write),
        rule="a registration with once=True is over with the first event",
        comes_to="a callback with once=True is called, and may be unsubscribed after it",
    )


def test_mutate(submission: Submission, rng: Random) -> None:
    def write(draft: Draft, size: int) -> None:
        a, b = draft.events(2)
        many = rng.randint(2, 3 + size // 4)
        draft.main += [draft.on(a, once=rng.random() < 0.3) for _ in range(many)]
        lasting = [line[5] for line in draft.main if not line[4]]
        rng.shuffle(lasting)  # each is ended once at most: more is the subject of `off`
        if size % 6 == 0:  # another thread emits, and its callback waits while others subscribe and unsubscribe
            draft.main.append(draft.on(b))
            draft.waits.append(f"f{many + 1}")
            draft.add("beside", b, [])
            draft.add("runs", f"f{many + 1}")
            draft.main += [draft.on(a), *(["off", 0, handle] for handle in lasting[:1])]
            draft.add("emit", a, [])
            draft.add("open")
            draft.add("joins")
        else:
            for name in rng.sample(list(draft.buses), rng.randint(1, many)):
                comes = rng.random() < 0.4 or not lasting
                draft.bodies[name] = [draft.on(a) if comes else ["off", 0, lasting.pop()]]
        for _ in range(3):
            draft.add("emit", a, [])

    plays_right(
        submission,
        drafts(rng, 18, write),
        rule="who subscribes meanwhile runs from the next event on, and nobody is skipped because others leave",
        comes_to="on() and unsubscribing return inside of a callback",
    )


KINDS = (
    "ValueError",
    "KeyError",
    "IndexError",
    "TypeError",
    "AttributeError",
    "StopIteration",
    "RuntimeError",
    "OSError",
)


def some_raise(draft: Draft, share: float) -> None:
    for name in draft.buses:
        if draft.rng.random() < share:
            draft.raises[name] = (draft.rng.choice(KINDS), f"{draft.rng.getrandbits(20):x}")


def test_error(submission: Submission, rng: Random) -> None:
    def write(draft: Draft, size: int) -> None:
        fill(draft, size, "on on on emit")
        some_raise(draft, 0.5)
        draft.add("errors", 1)

    plays_right(
        submission,
        drafts(rng, 8, write),
        asks=["errors"],
        rule="what a callback raises stops no other, and is reported in errors",
        comes_to="emit() returns although a callback raised",
    )


def test_apart(submission: Submission, rng: Random) -> None:
    def write(draft: Draft, size: int) -> None:
        draft.dispatchers = 2 + size % 2
        events = draft.events(2)
        draft.main += [draft.on(event, bus=bus) for event in events for bus in range(draft.dispatchers)]
        draft.main += [draft.on(rng.choice(events), bus=rng.randrange(draft.dispatchers)) for _ in range(size)]
        some_raise(draft, 0.5)
        for bus in rng.sample(range(draft.dispatchers), draft.dispatchers):
            draft.add("errors", 0, bus=bus)
            for event in events:
                draft.add("emit", event, [], bus=bus)
            draft.add("errors", 0, bus=bus)

    plays_right(
        submission,
        drafts(rng, 4, write),
        asks=["errors"],
        rule="each Dispatcher has registrations and errors of its own",
        comes_to="emit() calls the callbacks and returns",
    )


def test_reenter(submission: Submission, rng: Random) -> None:
    def write(draft: Draft, size: int) -> None:
        events = draft.events(1 + size // 2)
        draft.main += [draft.on(event) for event in events + rng.choices(events, k=1 + size // 2)]
        for name in draft.buses:
            emits = rng.choice([0, 1, 1, 2])
            draft.bodies[name] = [["emit", 0, rng.choice(events), draft.arguments()] for _ in range(emits)]
        some_raise(draft, 0.2)
        for event in events:
            draft.add("emit", event, draft.arguments())
        draft.add("errors", 1)

    plays_right(
        submission,
        drafts(rng, 6, write),
        asks=["arguments", "errors"],
        rule="emit() inside of a callback does what it does elsewhere, and returns when its callbacks have run",
        comes_to="emit() inside of a callback calls callbacks and returns",
    )


def test_count(submission: Submission, rng: Random) -> None:
    def write(draft: Draft, size: int) -> None:
        unknown, outer, inner = draft.events(10)[-3:]
        if size > 1:
            draft.add("emit", unknown, [])
        fill(draft, size, "on once again off emit")
        draft.main += [draft.on(outer), draft.on(inner), draft.on(inner), draft.on(outer)]
        draft.bodies[f"f{len(draft.buses) - rng.choice([0, 3])}"] = [["emit", 0, inner, []]]
        draft.add("emit", outer, [])
        draft.add("emit", unknown, [])

    plays_right(
        submission,
        drafts(rng, 7, write),
        asks=["count"],
        rule="emit() returns how many callbacks ran",
        comes_to="emit() returns, also for an event that nobody subscribed to",
    )


# --- asynchronous callbacks ---------------------------------------------------------------------------------------


def test_async_returns(submission: Submission, rng: Random) -> None:
    def write(draft: Draft, size: int) -> None:
        (event,) = draft.events(1)
        callbacks, calls = rng.randint(1, 4), rng.randint(2, 12)
        if size == 4:  # a queue that has an end is as good as full
            callbacks, calls = 1, rng.randint(1100, 1300)
        draft.main += [draft.on(event) for _ in range(callbacks)]
        draft.waits = [rng.choice(list(draft.buses))]
        draft.add("emit_async", event, [])
        draft.add("runs", draft.waits[0])
        draft.add("emits_async", event, calls)
        draft.add("open")
        draft.add("ran", callbacks * (calls + 1))

    plays_right(
        submission,
        drafts(rng, 4, write),
        asks=["anyhow"],
        rule="emit_async() returns at once, whatever the worker does, and callbacks run on another thread",
        comes_to="calls of emit_async() return while the callback of the first waits, and then all run",
    )


def test_async_args(submission: Submission, sizes: Sizes, rng: Random) -> None:
    def write(draft: Draft, _size: int) -> None:
        a, b, c = draft.events(3)
        registered = {a: 1, b: rng.randint(1, 2), c: rng.randint(1, 2)}
        draft.main += [draft.on(event) for event, number in registered.items() for _ in range(number)]
        draft.waits = ["f1"]
        later = [rng.choice([b, c]) for _ in range(2)]
        for name, event in zip(("f2", list(draft.buses)[-1]), later, strict=True):
            draft.bodies[name] = [["emit_async", 0, event, draft.arguments()]]
        queued = [(event, draft.arguments()) for event in [a, b, c, *rng.choices([b, c], k=sizes["queued"])]]
        queued += rng.choices(queued[1:], k=3)  # the same once more
        queued += queued[-1:]
        for number, (event, arguments) in enumerate(queued):
            draft.add("emit_async", event, arguments)
            if not number:
                draft.add("runs", "f1")
        draft.add("rest")
        draft.add("open")
        draft.add("ran", sum(registered[event] for event in [*(event for event, _ in queued), *later]))

    plays_right(
        submission,
        drafts(rng, 1, write),
        asks=["arguments"],
        rule="queued events are handled one after another, in the order of the calls, each with its own arguments",
        comes_to="emit_async() puts events into a queue, and the worker handles them",
    )


def test_async_error(submission: Submission, rng: Random) -> None:
    def write(draft: Draft, size: int) -> None:
        *events, last = draft.events(4)
        registered = [(event, rng.random() < 0.3) for event in events + rng.choices(events, k=size)]
        draft.main += [draft.on(event, once=once) for event, once in registered]
        some_raise(draft, 0.5)
        draft.main.append(draft.on(last))
        queued = rng.choices(events, k=size + 2)
        for event in (*queued, last):
            draft.add("emit_async", event, [])
        times = [min(queued.count(event), 1 if once else len(queued)) for event, once in registered]
        draft.add("ran", sum(times) + 1)
        draft.add("errors", 1)

    plays_right(
        submission,
        drafts(rng, 5, write),
        asks=["errors"],
        rule="the worker does for each event what emit() does, also when a callback raises",
        comes_to="the worker goes on with the next event although a callback raised",
    )


def test_close(submission: Submission, rng: Random) -> None:
    def write(draft: Draft, _size: int) -> None:
        a, b, c = draft.events(3)
        draft.dispatchers = 3
        draft.main += [draft.on(a), draft.on(b), draft.on(b), draft.on(c, bus=1)]
        draft.waits = ["f1"]
        draft.add("emit_async", a, [])
        draft.add("runs", "f1")
        for bus in rng.choices([0, 1], k=rng.randint(8, 16)):
            draft.add("emit_async", [b, c][bus], [], bus=bus)
        draft.add("close", False, bus=1)  # while another dispatcher's worker waits
        draft.add("close", False, bus=2)  # there never was anything to do
        draft.add("close", True)
        draft.add("left")

    plays_right(
        submission,
        drafts(rng, 1, write),
        rule="close() waits until all that was queued has been handled, and ends the worker of this dispatcher alone",
        comes_to="close() returns, also when nothing was ever queued",
    )


# --- what it costs ------------------------------------------------------------------------------------------------


def held(student: Any, room: Any, count: int) -> int:
    import threading

    begun, gate, ran, log = threading.Event(), threading.Event(), threading.Semaphore(0), []

    def weighing(weight: int) -> Any:
        def hold(*_arguments: object) -> None:
            begun.set()
            gate.wait()
            log.append(weight)
            ran.release()

        return hold

    weights = room.pause("begin")
    dispatcher = student.Dispatcher()
    for number in range(10):
        for weight in weights:
            dispatcher.on(f"tick-{number}", weighing(weight))
    dispatcher.emit_async("tick-0")
    begun.wait()
    for number in range(1, count):
        dispatcher.emit_async(f"tick-{number % 10}")
    room.pause("held")
    gate.set()
    for _ in range(count * len(weights)):
        ran.acquire()
    return sum(log)


def require_all_ran(run: Run, emits: int, weights: list[int]) -> None:
    """That each callback ran for each event: all weigh something, and together what only these do."""
    demand(
        run.result() == emits * sum(weights), f"each of {emits} events runs its {len(weights)} callbacks", "others ran"
    )


def test_threads(submission: Submission, budget: Budgets, sizes: Sizes, rng: Random) -> None:
    emits, weights = sizes["emits"], rng.sample(range(1 << 30), 3)
    with submission.running(held, emits, traced=True) as run:
        run.until("begin")
        with run.counting() as calls:
            run.go(weights)  # which no callback can have had before
            run.until("held")
            beside = run.threads() - 1
            demand(beside > 0, "a worker, in the callback of the first event", "no thread beside the caller's")
            budget.at_most("threads_beside_the_callers", beside)
            require_all_ran(run, emits, weights)
        budget.at_most("threads_started", calls.of(*CLONE_CALLS))


def burst(student: Any, room: Any, count: int, weights: list[int]) -> int:
    import threading

    gate, ran, log = threading.Event(), threading.Semaphore(0), []

    def weighing(weight: int) -> Any:
        def callback(*_arguments: object) -> None:
            gate.wait()
            log.append(weight)
            ran.release()

        return callback

    dispatcher = student.Dispatcher()
    for weight in weights:
        dispatcher.on("tick", weighing(weight))
    for _ in range(count):
        dispatcher.emit_async("tick")
    gate.set()  # not before: a worker that ends with its queue is started once
    for _ in range(count * len(weights)):
        ran.acquire()
    room.pause("idle")
    return sum(log)


def test_idle(submission: Submission, budget: Budgets, sizes: Sizes, rng: Random) -> None:
    emits, weights = sizes["emits"], rng.sample(range(1 << 30), 2)
    with submission.running(burst, emits, weights, traced=True) as run:
        run.until("idle")
        looks = [half_a_second(run)]

        def least(metric: str) -> Callable[[], Count]:
            def take() -> Count:
                if metric in taken:
                    looks.append(half_a_second(run))
                taken.add(metric)
                return looks[-1][metric]

            return take

        taken: set[str] = set()
        budget.at_most("idle_switches", least("switches"))
        budget.at_most("idle_cpu", least("cpu_ms"))
        budget.at_most("idle_syscalls", least("calls"))
        require_all_ran(run, emits, weights)


def half_a_second(run: Run) -> dict[str, Count]:
    began_s = run.cpu_s()  # before counting() waits for it to sleep: who never sleeps is seen on a busy machine too
    with run.counting() as calls:
        slept = run.switches()
        quiet_for(0.5)
        switches, cpu_ms = run.switches() - slept, 1000 * (run.cpu_s() - began_s)
    total = calls.total()
    return {
        "calls": total,
        "switches": Count(value=switches, evidence=total.evidence),
        "cpu_ms": Count(value=cpu_ms, evidence=total.evidence),
    }


def emits(student: Any, room: Any, few: int, many: int, places: list[int]) -> dict[str, list[int]]:
    """Emits of these events where few are registered and where many are, between pauses: a hundred rounds beforehand,
    then as many as the judge says, until it says none."""
    heard: dict[str, list[int]] = {"few": [], "many": []}
    emitters = {}
    for label, events in (("few", few), ("many", many)):
        dispatcher = student.Dispatcher()
        for number in range(events):
            dispatcher.on(f"event {number}", lambda number=number, log=heard[label]: log.append(number))
        emitters[label] = dispatcher.emit, [f"event {place % events}" for place in places]
    for rounds in (10, 100):
        for label, (emit, chosen) in emitters.items():
            room.pause(f"{label}_{rounds}")
            for _ in range(rounds):
                for name in chosen:
                    emit(name)
            heard[label].clear()
    while wanted := room.pause("unstepped"):
        for label, (emit, chosen) in emitters.items():
            names = chosen[:wanted]
            room.pause(label)
            for name in names:
                emit(name)
            room.pause(label + "_done")
    return heard


def test_ops(submission: Submission, budget: Budgets, sizes: Sizes, rng: Random) -> None:
    few, many = 10, sizes["events"]
    most, most_each = budget.limit_of("instructions_per_emit"), budget.limit_of("instructions_per_other_event")

    def compared() -> tuple[float, float]:
        places, emitted = rng.sample(range(many), 5), [1]
        with submission.running(emits, few, many, places, alone=True) as run:
            for pause in ("few_10", "many_10", "few_100"):
                run.until(pause)
            few_s, many_s = used_s(run, "many_100"), used_s(run, "unstepped")
            one, further = dearer(run, 1)
            # Where a hundred emits use as much processor time, one tells. Else five in a row are counted as well: what
            # is done at each fifth emit only is work for an emit too.
            if further <= most_each and many_s > 1.5 * few_s:
                run.until("unstepped")
                emitted.append(len(places))
                further = dearer(run, len(places))[1]
            run.until("unstepped")
            run.go(0)
            heard = run.result()
        for label, events in (("few", few), ("many", many)):
            wanted = [place % events for count in emitted for place in places[:count]]
            expected = f"with {events:,} events, emits of single ones run the callbacks {wanted}"
            demand(heard[label] == wanted, expected, heard[label])
        return one, further

    def used_s(run: Run, label: str) -> float:
        """Processor time until the next pause, which has this name."""
        began_s = run.cpu_s()
        run.until(label)
        return run.cpu_s() - began_s

    def dearer(run: Run, emitted: int) -> tuple[float, float]:
        """Instructions of an emit where few events are registered, and how many more it has for each further one.

        Counting ends at the limit, so more than that is seen as a little more.
        """

        def instructions(label: str, limit: float) -> float:
            run.until(label)
            with run.stepped(limit=round(emitted * limit) + 10_000) as counted:
                run.until(label + "_done")
            return counted.count / emitted

        run.go(emitted)
        one = instructions("few", most)
        further = instructions("many", one + 1.01 * NOISE_FACTOR * most_each * (many - few)) - one
        return one, max(0.0, further) / (many - few)

    first = [compared()]
    budget.at_most("instructions_per_emit", first[0][0])
    budget.at_most("instructions_per_other_event", lambda: (first.pop() if first else compared())[1])
