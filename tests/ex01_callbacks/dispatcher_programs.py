"""Programs for a dispatcher that nobody foresees: drawn from the seed, of those calls that are a check's subject.

A program is what the caller does, line by line, and what callbacks do. Knows how one is written and told; knows nothing
of what comes of it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from grader.checks import say

Value = int | str | None
Line = list[Any]  # one call: its name, the number of the dispatcher, and with what
_ROWS = 8  # of a program in a message


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
        texts: list[str] = []
        for name in dict.fromkeys(registered):
            acts = ", ".join(map(told, self.bodies.get(name, [])))
            if acts and name in self.waits:
                texts.append(say("# {callback}, the first time that it runs: {acts}, wait", callback=name, acts=acts))
            elif acts:
                texts.append(say("# {callback}, the first time that it runs: {acts}", callback=name, acts=acts))
            elif name in self.waits:
                texts.append(say("# {callback}, the first time that it runs: wait", callback=name))
            if name in self.raises:
                kind, text = self.raises[name]
                texts.append(say("# {callback} raises {error}", callback=name, error=f"{kind}({text!r})"))
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
        case "errors", _:
            return f"{name}.errors"
        case "rest", _:
            return "sleep(0.05)"
        case _:
            return remark(what, rest)


def remark(what: str, rest: Sequence[Any]) -> str:
    """What the caller does between its calls, as a person would write it into the program."""
    match what, rest:
        case "runs", [callback]:
            return say("# {callback} runs by now, and waits", callback=callback)
        case "ran", [count]:
            return say("# wait until {count} callbacks have run", count=count)
        case "open", _:
            return say("# who waits may go on")
        case "joins", _:
            return say("# wait for the thread")
        case "left", _:
            return say("# look for threads that are left")
        case _:
            return what


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
