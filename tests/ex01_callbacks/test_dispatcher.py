"""What a submission of ex01 is graded by. Titles, hints, points and limits: exercises/ex01_callbacks/exercise.yaml.

A story is a function that uses a dispatcher as a program would and returns what came of it, without a word on what
should have come. It is shipped into the box as source, so it stands alone. `told` runs it on a thread of its own: a
story that gets stuck is a finding, with the lines of the submission that it is stuck in.
"""

from __future__ import annotations  # what is shipped leaves the names of this file's types behind

import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from grader.failures import CheckFailed, Crashed, ForbiddenUse
from grader.harness import Budgets, Count, Run, Submission, quiet_for, source_of
from grader.strace import CLONE_CALLS

Sizes = Mapping[str, int]


def on_a_thread(student: Any, _room: Any, source: str, name: str, arguments: list[Any]) -> dict[str, Any]:
    """Run a story; when it does not come to its end, say which lines of the submission are running.

    Waits in slices: on a machine that stands still for seconds, one of them is lost, and not the verdict.
    """
    import linecache
    import sys
    import threading
    from pathlib import Path

    values: list[Any] = []
    failures: list[BaseException] = []
    died: list[str] = []
    threading.excepthook = lambda args: died.append(f"a thread ended with {args.exc_type.__name__}: {args.exc_value}")
    room: dict[str, Any] = {}
    exec(compile(source, "<story>", "exec"), room)

    def tell() -> None:
        try:
            values.append(room[name](student, *arguments))
        except BaseException as error:  # noqa: BLE001  # whatever it is, the thread that asked is to see it
            failures.append(error)

    thread = threading.Thread(target=tell, daemon=True)
    thread.start()
    for _ in range(60):
        thread.join(0.05)
        if not thread.is_alive():
            break
    if failures:
        raise failures[0]
    if values:
        return {"value": values[0]}
    rows = []
    frames = sys._current_frames()
    for ident in sorted(frames, key=lambda ident: ident != thread.ident):
        frame = frames[ident]
        while frame is not None:
            file, line = frame.f_code.co_filename, frame.f_lineno
            if file == student.__file__:
                where = f"{Path(file).name}:{line} in {frame.f_code.co_name}"
                rows.append(f"{where}: {linecache.getline(file, line).strip()}")
            frame = frame.f_back
    return {"stuck": died + rows}


@dataclass(frozen=True, slots=True)
class Told:
    """What a story returned, by name."""

    values: Mapping[str, Any]

    def must(self, name: str, wanted: object, expected: str, seen: str = "{}") -> None:
        """One value must be what is wanted; `expected` says so in words, and `seen` what it is instead, as {}."""
        if (value := self.values.get(name)) != wanted:
            raise CheckFailed(expected=expected, seen=seen.format(shown(value)))


def told(submission: Submission, story: Callable[..., Any], *arguments: Any, comes_to: str) -> Told:
    """What a story returns: a mapping.

    Args:
        comes_to: what has happened when it has come to its end, for the message when it does not.

    Raises:
        CheckFailed: it does not come to its end, or the submission raised.
    """
    with submission.running(on_a_thread, source_of(story), story.__name__, list(arguments)) as run:
        try:
            answer = run.result()
        except Crashed as crash:
            raise Crashed(expected=comes_to, seen=crash.seen, evidence=crash.evidence) from crash
    answer = answer if isinstance(answer, dict) else {}
    if isinstance(values := answer.get("value"), dict):
        return Told(values)
    stuck = answer.get("stuck")
    rows = [str(row) for row in stuck] if isinstance(stuck, list) else []
    seen = "it never comes to that: the program waits or runs for ever"
    raise CheckFailed(expected=comes_to, seen=f"{seen}; where:" if rows else seen, evidence=rows)


def shown(value: object) -> str:
    """A value for a message; names as a person would write them."""
    text = repr(value)
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        text = ", ".join(value) or "none"
    return text if len(text) <= 300 else f"{text[:280]}... ({len(text):,} characters)"


def words(rng: Random, count: int) -> list[str]:
    """Words that no program foresees, all different."""
    return [f"{number}-{rng.getrandbits(32):08x}" for number in range(count)]


# --- synchronous callbacks ----------------------------------------------------------------------------------------


def calls_at_once(student: Any, arguments: list[Any]) -> dict[str, Any]:
    import threading

    log: list[Any] = []
    here = threading.get_ident()

    def note(name: str) -> Any:
        return lambda *got: log.append([name, list(got), threading.get_ident() == here])

    def number(value: object) -> object:
        return value if value is None or isinstance(value, int) else repr(value)

    dispatcher, other = student.Dispatcher(), student.Dispatcher()
    unknown = [number(dispatcher.emit("tick", *arguments))]
    for name in ("first", "second"):
        dispatcher.on("tick", note(name))
    dispatcher.on("tock", note("another"))
    count = number(dispatcher.emit("tick", *arguments))
    at_return = log[:]
    unknown.append(number(dispatcher.emit("nobody subscribed to this")))
    elsewhere = number(other.emit("tick", *arguments))
    log.clear()
    dispatcher.emit("tock")
    return {
        "ran": sorted(name for name, _, _ in at_return),
        "arguments": [got for _, got, _ in at_return],
        "here": [thread for _, _, thread in at_return],
        "count": count,
        "unknown": unknown,
        "elsewhere": elsewhere,
        "tock": [[name, got] for name, got, _ in log],
    }


def test_sync(submission: Submission, rng: Random) -> None:
    args = [rng.getrandbits(32), f"{rng.getrandbits(32):x}", None, [rng.random()]]
    story = told(submission, calls_at_once, args, comes_to="emit() calls the callbacks and returns")
    returned = "when emit('tick') returns, the two callbacks of 'tick' have run, first and second, and no other"
    story.must("ran", ["first", "second"], returned, "those that had run: {}")
    story.must("arguments", [args, args], f"emit('tick', *args) calls callback(*args), here {shown(args)}")
    story.must("here", [True, True], "callbacks run on the thread that calls emit()", "they ran on another one")
    story.must("count", 2, "emit() returns how many callbacks ran: 2", "it returned {}")
    nobody = "emit() returns 0 for an event that nobody subscribed to, on a new dispatcher and on one that knows others"
    story.must("unknown", [0, 0], nobody, "it returned {}")
    other = "each Dispatcher has registrations of its own: another one, on which nobody called on(), runs 0 callbacks"
    story.must("elsewhere", 0, other, "it ran {}")
    story.must("tock", [["another", []]], "emit('tock') calls the callback of 'tock' without arguments", "calls: {}")


def calls_in_turn(student: Any, names: list[str]) -> dict[str, Any]:
    dispatcher, log = student.Dispatcher(), []
    for name in names:
        dispatcher.on("tick", lambda name=name: log.append(name))
        dispatcher.on("tock", lambda name=name: log.append(name.lower()))
    dispatcher.emit("tick")
    return {"ran": log}


def test_order(submission: Submission, rng: Random) -> None:
    names = rng.sample(string.ascii_uppercase, 12)
    story = told(submission, calls_in_turn, names, comes_to="emit() calls the callbacks and returns")
    story.must("ran", names, f"callbacks run in the order of their registration: {shown(names)}")


def binds(student: Any, ids: list[int], turns: list[int]) -> dict[str, Any]:
    calls: list[Any] = []

    def fn(one: int) -> str:
        calls.append(one)
        return f"<{one}>"

    bound = list(student.bind_all(iter(ids), fn))
    early = calls[:]
    return {"early": early, "count": len(bound), "results": [bound[turn]() for turn in turns], "calls": calls}


def test_bind_all(submission: Submission, rng: Random) -> None:
    ids = [number * 100 + rng.randrange(100) for number in range(1, 7)]
    turns = [*rng.sample(range(len(ids)), len(ids)), 3, 3]
    due = [ids[turn] for turn in turns]
    story = told(submission, binds, ids, turns, comes_to="bind_all() returns, and so does what it gives")
    story.must("count", len(ids), f"bind_all(iter({ids}), fn) gives a function for each id: {len(ids)}")
    story.must("early", [], f"bind_all(iter({ids}), fn) does not call fn yet", "fn was called with {}")
    calls = f"each function that bind_all(iter({ids}), fn) gives calls fn with its own id, each time that it is called"
    story.must("calls", due, f"{calls}; called in this order: {due}", "fn was called with {}")
    results = [f"<{one}>" for one in due]
    story.must("results", results, f"each function returns what fn returns: {shown(results)}")


def leaves(student: Any) -> dict[str, Any]:
    dispatcher, log = student.Dispatcher(), []

    def note(name: str) -> Any:
        return lambda: log.append(name)

    def ran(event: str) -> list[str]:
        log.clear()
        dispatcher.emit(event)
        return log[:]

    twice = note("twice")
    off_first = dispatcher.on("tick", twice)
    dispatcher.on("tick", note("between"))
    off_second = dispatcher.on("tick", twice)
    dispatcher.on("tick", note("last"))
    dispatcher.on("tock", twice)
    story = {"all": ran("tick")}
    off_second()
    story["second"] = ran("tick")
    off_second()
    story["again"] = ran("tick")
    off_first()
    story["first"] = ran("tick")
    off_first()
    off_second()
    story["left"] = ran("tick")
    story["tock"] = ran("tock")
    return story


def test_off(submission: Submission) -> None:
    story = told(submission, leaves, comes_to="the function that on() gives ends the registration and returns")
    both = "registered are twice, between, twice, last: a callback that is registered twice runs twice"
    story.must("all", ["twice", "between", "twice", "last"], both)
    second = "the second `twice` is unsubscribed: left are twice, between, last"
    story.must("second", ["twice", "between", "last"], second)
    story.must("again", ["twice", "between", "last"], "unsubscribed once more, nothing changes: twice, between, last")
    story.must("first", ["between", "last"], "the first `twice` is unsubscribed too: left are between, last")
    story.must("left", ["between", "last"], "both are unsubscribed once more, and nothing changes: between, last")
    story.must("tock", ["twice"], "the same callback, registered for another event, still runs there: twice")


def calls_once(student: Any) -> dict[str, Any]:
    dispatcher, log = student.Dispatcher(), []

    def ran(event: str) -> list[Any]:
        log.clear()
        dispatcher.emit(event)
        return log[:]

    def both() -> None:
        log.append("both")

    off = dispatcher.on("tick", lambda: log.append("once"), once=True)
    story = {"first": ran("tick"), "second": ran("tick"), "count": dispatcher.emit("tick")}
    off()
    dispatcher.on("tock", both)
    dispatcher.on("tock", both, once=True)
    story["both"] = ran("tock")
    story["left"] = ran("tock")
    dispatcher.on("tack", lambda: log.append("once"), once=True)()
    story["never"] = ran("tack")
    return story


def test_once(submission: Submission) -> None:
    story = told(
        submission, calls_once, comes_to="a callback with once=True is called, and may be unsubscribed after it"
    )
    story.must("first", ["once"], "the first emit() runs a callback with once=True", "ran: {}")
    story.must("second", [], "the second emit() runs it no more", "ran: {}")
    story.must("count", 0, "the third emit() returns 0, for it runs nobody", "it returned {}")
    both = "one callback, registered without once and again with it, runs twice at the first emit()"
    story.must("both", ["both", "both"], both, "ran: {}")
    story.must("left", ["both"], "at the second emit() it runs once: the other registration is still there", "ran: {}")
    story.must("never", [], "unsubscribed before the first emit(), it never runs", "ran: {}")


def changes_while_running(student: Any) -> dict[str, Any]:
    log: list[str] = []

    def subscribed(*callbacks: Any) -> Any:
        dispatcher, off = student.Dispatcher(), {}
        for name, act in zip("abc", callbacks, strict=True):

            def callback(name: str = name, act: Any = act) -> None:
                log.append(name)
                act(dispatcher, off)

            off[name] = dispatcher.on("tick", callback, once=act is nothing_once)
        return dispatcher

    def nothing(_dispatcher: Any, _off: Any) -> None: ...
    def nothing_once(_dispatcher: Any, _off: Any) -> None: ...

    def ends_itself(_dispatcher: Any, off: Any) -> None:
        off["a"]()

    def ends_c(_dispatcher: Any, off: Any) -> None:
        off["c"]()

    def brings_d(dispatcher: Any, off: Any) -> None:
        if "d" not in off:
            off["d"] = dispatcher.on("tick", lambda: log.append("d"))

    def runs(dispatcher: Any) -> list[list[str]]:
        both = []
        for _ in range(2):
            log.clear()
            dispatcher.emit("tick")
            both.append(log[:])
        return both

    (first, second) = runs(subscribed(ends_c, nothing, nothing))
    return {
        "itself": runs(subscribed(ends_itself, nothing, nothing)),
        "another": [[name for name in first if name != "c"], second],
        "brings": runs(subscribed(brings_d, nothing, nothing)),
        "once": runs(subscribed(nothing_once, nothing_once, nothing)),
    }


def test_mutate(submission: Submission) -> None:
    story = told(submission, changes_while_running, comes_to="on() and unsubscribing return inside of a callback")
    itself = "a, b and c are subscribed, and a unsubscribes itself: one emit() runs a, b, c, the next one b, c"
    story.must("itself", [["a", "b", "c"], ["b", "c"]], itself)
    another = "a, b and c are subscribed, and a unsubscribes c: one emit() runs a, b, and c or not, the next one a, b"
    story.must("another", [["a", "b"], ["a", "b"]], another, "{}, when c is left out of the first")
    brings = "a, b and c are subscribed, and a subscribes d: one emit() runs a, b, c, the next one a, b, c, d"
    story.must("brings", [["a", "b", "c"], ["a", "b", "c", "d"]], brings)
    once = "a and b with once=True, and c are subscribed: one emit() runs a, b, c, the next one c"
    story.must("once", [["a", "b", "c"], ["c"]], once)


def goes_on(student: Any, how: str, first: str, second: str) -> dict[str, Any]:
    import threading
    import time

    log, escaped = [], []
    handled = {event: threading.Event() for event in ("tick", "tock", "done")}
    dispatcher, other = student.Dispatcher(), student.Dispatcher()

    def readable(entry: Any) -> object:
        try:
            event, error = entry
            return [event, type(error).__name__, str(error)]
        except (TypeError, ValueError):
            return repr(entry)

    def note(place: str, event: str) -> Any:
        def callback() -> None:
            log.append(f"{place} {event}")
            handled[event].set()

        return callback

    def failing(error: Exception) -> Any:
        def callback() -> None:
            raise error

        return callback

    at_start = [readable(entry) for entry in dispatcher.errors]
    for event, error in (("tick", ValueError(first)), ("tock", LookupError(second))):
        dispatcher.on(event, note("before", event))
        dispatcher.on(event, failing(error))
        dispatcher.on(event, note("after", event))
    dispatcher.on("done", note("in", "done"))
    for event, was_handled in handled.items():
        try:
            getattr(dispatcher, how)(event)
        except Exception as error:  # noqa: BLE001  # whatever comes out is what the check is about
            escaped.append(f"{type(error).__name__}: {error}")
        was_handled.wait()
    for _ in range(20):  # where events overtake one another, the last was not the last
        if len(log) + len(dispatcher.errors) < 7:
            time.sleep(0.01)
    errors = [readable(entry) for entry in dispatcher.errors]
    elsewhere = [readable(entry) for entry in other.errors]
    return {"at_start": at_start, "escaped": escaped, "ran": sorted(log), "errors": errors, "elsewhere": elsewhere}


def require_that_it_goes_on(submission: Submission, rng: Random, how: str, comes_to: str) -> None:
    first, second = words(rng, 2)
    story = told(submission, goes_on, how, first, second, comes_to=comes_to)
    story.must("escaped", [], f"{how}() catches what a callback raises", f"{how}() itself raised {{}}")
    ran = ["after tick", "after tock", "before tick", "before tock", "in done"]
    expected = "of two events, tick and tock, the callbacks before and after the one that raises run; then done's runs"
    story.must("ran", ran, expected, "those that ran: {}")
    story.must("at_start", [], "errors is an empty list at first")
    errors = [["tick", "ValueError", first], ["tock", "LookupError", second]]
    report = "errors holds (event, exception) for each callback that raised; event, type and text are"
    story.must("errors", errors, f"{report} {errors}")
    story.must("elsewhere", [], "each Dispatcher has errors of its own: another one has none")


def test_error(submission: Submission, rng: Random) -> None:
    require_that_it_goes_on(submission, rng, "emit", "emit() returns although a callback raised")


def emits_inside(student: Any) -> dict[str, Any]:
    dispatcher, log, counts = student.Dispatcher(), [], []

    def outer() -> None:
        log.append("outer begins")
        counts.append(dispatcher.emit("inner"))
        log.append("outer ends")

    def countdown(number: int) -> None:
        log.append(str(number))
        if number:
            dispatcher.emit("countdown", number - 1)

    dispatcher.on("outer", outer)
    dispatcher.on("inner", lambda: log.append("inner"))
    dispatcher.on("countdown", countdown)
    dispatcher.emit("outer")
    nested = log[:]
    log.clear()
    dispatcher.emit("countdown", 3)
    return {"errors": [str(entry) for entry in dispatcher.errors], "nested": nested, "counts": counts, "countdown": log}


def test_reenter(submission: Submission) -> None:
    story = told(submission, emits_inside, comes_to="emit() inside of a callback calls callbacks and returns")
    story.must("errors", [], "emit() inside of a callback raises nothing", "errors holds {}")
    nested = ["outer begins", "inner", "outer ends"]
    inside = "emit('inner') inside of a callback of 'outer' runs the callback of 'inner' before it returns"
    story.must("nested", nested, f"{inside}: {shown(nested)}")
    story.must("counts", [1], "there, emit('inner') returns 1", "it returned {}")
    countdown = "a callback of 'countdown' emits 'countdown' with one less, from 3 on: it runs with 3, 2, 1, 0"
    story.must("countdown", ["3", "2", "1", "0"], countdown)


# --- asynchronous callbacks ---------------------------------------------------------------------------------------


def returns_first(student: Any, calls: int) -> dict[str, Any]:
    import threading

    begun, gate, done = threading.Event(), threading.Event(), threading.Semaphore(0)
    here, threads = threading.get_ident(), []

    def callback() -> None:
        begun.set()
        gate.wait()  # nobody gets through here before all calls have returned
        threads.append(threading.get_ident())
        done.release()

    dispatcher = student.Dispatcher()
    dispatcher.on("tick", callback)
    dispatcher.emit_async("tick")
    begun.wait()
    for _ in range(calls - 1):
        dispatcher.emit_async("tick")
    gate.set()
    for _ in range(calls):
        done.acquire()
    return {"here": threads.count(here)}


def test_async_returns(submission: Submission) -> None:
    comes_to = (
        "ten calls of emit_async() return while the callback of the first waits for a gate; their caller opens it, and "
        "the callback runs ten times"
    )
    story = told(submission, returns_first, 10, comes_to=comes_to)
    story.must("here", 0, "callbacks run on another thread than the caller's", "{} of 10 ran on the caller's")


def drains(student: Any, events: list[Any]) -> dict[str, Any]:
    import threading
    import time

    begun, gate, log, unused = threading.Event(), threading.Event(), [], []
    dispatcher, other = student.Dispatcher(), student.Dispatcher()
    closing = threading.Thread(target=lambda: [other.close(), unused.append("closed")], daemon=True)
    closing.start()

    def hold() -> None:
        begun.set()
        gate.wait()
        log.append(["hold", []])

    dispatcher.on("hold", hold)
    for name in ("left", "right"):
        dispatcher.on(name, lambda *got, name=name: log.append([name, list(got)]))
    dispatcher.emit_async("hold")
    begun.wait()  # the worker is held from here on, so all others have to queue
    for name, arguments in events:
        dispatcher.emit_async(name, *arguments)
    time.sleep(0.05)  # a second worker, if there is one, has time to run ahead
    early = len(log)
    threading.Timer(0.1, gate.set).start()
    dispatcher.close()
    at_close = log[:]
    closing.join()
    return {"early": early, "count": len(at_close), "log": at_close, "unused": unused}


def test_async_args(submission: Submission, sizes: Sizes, rng: Random) -> None:
    texts = words(rng, sizes["queued"])
    events = [[rng.choice(["left", "right"]), [text, number][: 1 + number % 2]] for number, text in enumerate(texts)]
    due = [["hold", []], *events]
    story = told(submission, drains, events, comes_to="close() returns, also when nothing was ever queued")
    alone = "while the callback of one event runs, no later event begins: they run one after another"
    story.must("early", 0, alone, f"{{}} of {len(events)} later events ran meanwhile")
    story.must(
        "count", len(due), f"when close() returns, all {len(due)} queued events have been handled", "only {} had been"
    )
    log = story.values.get("log")
    for number, (seen, wanted) in enumerate(zip(log if isinstance(log, list) else [], due, strict=False)):
        if seen != wanted:
            expected = (
                f"queued events run in their order, each with its own arguments; number {number}: {shown(wanted)}"
            )
            raise CheckFailed(expected=expected, seen=shown(seen))
    story.must("unused", ["closed"], "close() returns when nothing was ever queued", "it raised an exception")


def test_async_error(submission: Submission, rng: Random) -> None:
    comes_to = "the worker goes on with the next event although a callback raised"
    require_that_it_goes_on(submission, rng, "emit_async", comes_to)


# --- what it costs ------------------------------------------------------------------------------------------------


def held(student: Any, room: Any, count: int) -> None:
    import threading

    begun, gate = threading.Event(), threading.Event()

    def hold() -> None:
        begun.set()
        gate.wait()

    room.mark("begin")
    dispatcher = student.Dispatcher()
    for number in range(10):
        for _ in range(3):
            dispatcher.on(f"tick-{number}", hold)
    dispatcher.emit_async("tick-0")
    begun.wait()
    for number in range(1, count):
        dispatcher.emit_async(f"tick-{number % 10}")
    room.mark("end")
    room.pause("held")
    gate.set()


def test_threads(submission: Submission, budget: Budgets, sizes: Sizes) -> None:
    with submission.running(held, sizes["emits"], traced=True) as run:
        run.until("held")
        budget.at_most("threads_beside_the_callers", run.threads() - 1)
        run.result()
        started = run.between("begin", "end").of(*CLONE_CALLS)
        if started.value is not None:  # where nothing can be traced, the threads that are there have been counted
            budget.at_most("threads_started", started)


def burst(student: Any, room: Any, count: int) -> int:
    import threading

    done, log = threading.Event(), []

    def callback(number: int) -> None:
        log.append(number)
        if number == count - 1:
            done.set()

    dispatcher = student.Dispatcher()
    dispatcher.on("tick", callback)
    for number in range(count):
        dispatcher.emit_async("tick", number)
    done.wait()
    room.pause("idle")
    return len(log)


def test_idle(submission: Submission, budget: Budgets, sizes: Sizes) -> None:
    with submission.running(burst, sizes["emits"], traced=True) as run:
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
        if looks[-1]["calls"].value is not None:  # where nothing can be traced, the other two have told
            budget.at_most("idle_syscalls", least("calls"))


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


def emits(student: Any, room: Any, events: int, tag: str) -> dict[str, Any]:
    class Name(str):
        """The name of an event, whose comparisons are Python: so a search that C does is counted too."""

        __slots__ = ()

        def __eq__(self, other: object) -> bool:
            return str.__eq__(self, other)

        def __hash__(self) -> int:
            return str.__hash__(self)

    dispatcher, heard = student.Dispatcher(), []
    names = [Name(f"{tag}-{number}") for number in range(events)]
    for name in names:
        dispatcher.on(name, lambda name=name: heard.append(str(name)))
    opcodes = 0
    for name in (names[0], names[events // 2], names[-1]):
        dispatcher.emit(name)  # the first one is dearer
        opcodes += room.opcodes(dispatcher.emit, name)[0]
    return {"heard": heard[1::2], "opcodes": opcodes}


def test_ops(submission: Submission, budget: Budgets, sizes: Sizes, rng: Random) -> None:
    # Three callbacks that append to a list take 15 and more themselves; the reference needs some 100 for three events.
    honest_floor = 15

    def needed(events: int) -> int:
        tag = f"{rng.getrandbits(32):x}"
        value = submission.run(emits, events, tag)
        heard, opcodes = value.get("heard"), value.get("opcodes")
        wanted = [f"{tag}-{number}" for number in (0, events // 2, events - 1)]
        if heard != wanted or not isinstance(opcodes, int):
            raise CheckFailed(expected=f"with {events:,} events, three emits run {shown(wanted)}", seen=shown(heard))
        if opcodes < honest_floor:
            raise ForbiddenUse(
                expected=f"at least {honest_floor} opcodes", seen=f"{opcodes}: the count was switched off"
            )
        return opcodes

    budget.at_most("opcode_ratio", lambda: needed(sizes["events"]) / needed(10))
