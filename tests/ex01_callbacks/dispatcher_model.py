"""What should come of a dispatcher's program: what was written down of it is held against the contract, entry by entry.

Knows the contract of ex01; knows nothing of boxes. `require_right` plays programs and follows each.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from dispatcher_player import Entry, plays
from dispatcher_programs import Draft, Line, Value, told

from grader.checks import CheckFailed, Crashed, Evidence, Stuck, Submission, expecting, require, say

_SEEN_CHARS = 400


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
        self, draft: Draft, trace: Sequence[Entry], asks: Sequence[str], rule: str, stuck: Sequence[Evidence] | None
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
                nothing = say("nothing runs after {line}", line=told(self.line))
                self.fail(nothing, say("{callbacks} then", callbacks=listed(names_ahead(stream))))

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
            form = say(
                "errors holds (event, exception) of each callback that raised, the exception itself: {errors}",
                errors=in_threes(due),
            )
            self.fail(form, in_threes(values))

    def left(self, threads: Value) -> None:
        if threads != 0:
            seen = say("{threads} threads are left that were not there before", threads=threads)
            self.fail(say("close() ends the worker"), seen)

    def closed(self, bus: int, opens: bool) -> None:
        self.opened = self.last if opens else self.opened
        self.work_off(bus)
        handled = self.last
        self.take(self.caller, "closed")
        if self.last < handled:
            handled_all = say("when close() returns, all that was queued has been handled")
            self.fail(handled_all, say("it returned before that"))

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
            self.fail(say("so often runs each: {times}", times=dict(due)), cut(str(dict(ran))), where=True)
        for name in self.draft.waits:
            now = [entry[1] for number, entry in stream if number < self.opened and entry[2] == name]
            if now.count("done") >= now.count("call"):
                self.did_not_wait(name)
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
                on_its_own = say(
                    "{line} runs {callback} on the thread that calls emit()", line=told(line), callback=name
                )
                self.fail(on_its_own, say("it ran on another one"))
            if "arguments" in self.asks and got != arguments:
                call = say("{line} calls {call}", line=told(line), call=f"{name}{in_brackets(arguments)}")
                self.fail(call, say("it calls {call}", call=cut(f"{name}{in_brackets(got)}")))
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
            error = cut(str(first(self.take(stream, "broke"))))
            returns = say("{line} returns, in {callback}", line=told(self.line), callback=name)
            self.fail(returns, say("it raises {error}", error=error))
        if waits and upcoming(stream) == "call":
            seen = say("{callbacks} run meanwhile", callbacks=listed(names_ahead(stream)))
            self.fail(say("while {callback} waits, no later event begins", callback=name), seen)
        self.take(stream, "done", name)
        if waits and self.last < self.opened:
            self.did_not_wait(name)
        self.line = around
        if name in self.draft.raises:
            self.errors[bus] += [event, *self.draft.raises[name]]

    def returned(self, line: Line, ran: list[str], stream: Stream) -> None:
        what = upcoming(stream)
        value = first(self.take(stream, what if what == "escaped" else "returned"))
        if what == "escaped":
            if "errors" in self.asks:
                catches = say("{line} catches what a callback raises", line=told(line))
                self.fail(catches, say("it raised {error}", error=cut(str(value))))
        elif "count" in self.asks and value != len(ran):
            number = say("{line} returns how many ran: {number}", line=told(line), number=len(ran))
            self.fail(number, say("it returned {value}", value=cut(repr(value))))

    # --- what is not as it should be

    def take(self, stream: Stream, what: str, whose: str = "") -> Entry:
        if not stream:
            self.never()
        self.last, entry = stream.popleft()
        if entry[1] == "call":
            nobody = say("{line} calls nobody on the caller's thread", line=told(self.line))
            self.fail(nobody, say("it calls {call}", call=cut(entry[2])))
        if entry[1] != what or (whose and entry[2] != whose):
            due = say("{line} goes on with {entry}", line=told(self.line), entry=f"{what} {whose}")
            self.fail(due, cut(f"{entry[1]} {entry[2]}"))
        return entry

    def never(self) -> NoReturn:
        ends = say("{line} comes to its end", line=told(self.line))
        self.fail(ends, say("it never does: the program waits or runs for ever"), where=True)

    def did_not_wait(self, name: str) -> NoReturn:
        waits = say("{callback} waits until the caller, whose calls have returned, lets it go on", callback=name)
        self.fail(waits, say("it did not wait"))

    def fail_at(self, line: Line, due: list[str], ran: list[str], *, ended: bool = False) -> NoReturn:
        never = ended and self.stuck is not None
        seen = say("it runs {callbacks}", callbacks=listed(ran))
        if never:
            seen = say("it runs {callbacks}, and then waits or runs for ever", callbacks=listed(ran))
        self.fail(say("{line} runs {callbacks}", line=told(line), callbacks=listed(due)), seen, where=never)

    def fail(self, expected: str, seen: str, *, where: bool = False) -> NoReturn:
        rows = [*(self.stuck or [])][:4] if where else []
        raise CheckFailed(
            expected=say("{rule}. Here, {expected}", rule=self.rule, expected=expected),
            seen=say("{seen}; where:", seen=seen) if rows else seen,
            evidence=[*rows, *self.draft.rows(self.lines)],
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
    return cut(", ".join(names)) or say("nobody")


def cut(text: str) -> str:
    """What a program brought, in a message."""
    return text if len(text) <= _SEEN_CHARS else f"{text[:_SEEN_CHARS]}..."


def in_brackets(values: Sequence[Value]) -> str:
    return f"({', '.join(map(repr, values))})"


def in_threes(values: Sequence[Value]) -> str:
    """Errors: event, type and text of each."""
    return cut(str([tuple(values[at : at + 3]) for at in range(0, len(values), 3)]))


NEVER = say("it never comes to that: the program waits or runs for ever")


def played(
    submission: Submission, scenario: Callable[..., Any], argument: Sequence[Any], *, comes_to: str
) -> tuple[Any, list[Evidence] | None]:
    """What a scenario answers; of one that is stuck, what it has written down so far, and where it is.

    Args:
        comes_to: what has happened when it has come to its end, for the message when the submission raises.
    """
    try:
        with expecting(comes_to, only=Crashed):
            return submission.run(scenario, argument, cpu_s=3.0), None
    except Stuck as stuck:
        return stuck.so_far or [], list(stuck.evidence)


def require_right(
    submission: Submission, programs: Sequence[Draft], *, rule: str, comes_to: str, asks: Sequence[str] = ()
) -> None:
    """Each program comes to what the contract says.

    Args:
        asks: what is looked at besides which callbacks run: order, thread, arguments, count, errors.

    Raises:
        CheckFailed: one does not, or the submission raised.
    """
    traces, stuck = played(submission, plays, [draft.shipped() for draft in programs], comes_to=comes_to)
    for number, (draft, trace) in enumerate(zip(programs, traces, strict=False), start=1):
        Follower(draft, trace, asks, rule, stuck if number == len(traces) else None).follow()
    ended = stuck is None and len(traces) == len(programs)
    require(ended, expected=comes_to, seen=NEVER, evidence=stuck or [])
