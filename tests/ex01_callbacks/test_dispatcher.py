"""What a submission of ex01 is graded by. Titles, hints, points and limits: exercises/ex01_callbacks/exercise.yaml.

Values are asked for by programs that nobody foresees. A check draws some from the seed, of those calls that are its
subject (`dispatcher_programs`); the box carries them out, without a word on what should come of it, and writes down
what runs (`dispatcher_player`); what was written down is held against the contract (`dispatcher_model`). So whoever
forges the answers has to write a dispatcher. Short programs come first, and the first that goes wrong is told, up to
there.
"""

from __future__ import annotations  # what is shipped leaves the names of this file's types behind

from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from dispatcher_model import NEVER, played, require_right
from dispatcher_programs import Draft, Value, drafts, fill, some_raise
from typing_extensions import TypedDict

from grader.checks import CLONE_CALLS, Budgets, Count, Growth, Run, Submission, quiet_for, require, say

Sizes = Mapping[str, int]


# --- synchronous callbacks ----------------------------------------------------------------------------------------


def test_sync(submission: Submission, rng: Random) -> None:
    def write(draft: Draft, size: int) -> None:
        fill(draft, size, "on on emit")
        if size == 1:
            draft.bodies["f1"] = [["rest", 0]]

    require_right(
        submission,
        drafts(rng, 8, write),
        rule=say("emit() runs each callback of its event once, and returns when all have run"),
        comes_to=say("emit() calls the callbacks and returns"),
    )


def test_call(submission: Submission, rng: Random) -> None:
    require_right(
        submission,
        drafts(rng, 6, lambda draft, size: fill(draft, size, "on emit", arguments=4)),
        asks=["arguments", "thread"],
        rule=say("emit(event, *args) calls callback(*args) on its caller's thread"),
        comes_to=say("emit() calls the callbacks and returns"),
    )


def test_order(submission: Submission, rng: Random) -> None:
    def write(draft: Draft, size: int) -> None:
        events = draft.events(1 + size % 3)
        draft.main += [draft.on(event) for event in events + rng.choices(events, k=3 * size)]
        for event in events:
            draft.add("emit", event, [])

    require_right(
        submission,
        drafts(rng, 4, write),
        asks=["order"],
        rule=say("callbacks run in the order of their registration"),
        comes_to=say("emit() calls the callbacks and returns"),
    )


class Bound(TypedDict):
    count: list[int]
    early: list[Value]
    calls: list[Value]
    results: list[str]


def binds(student: Any, room: Any, cases: list[list[Any]]) -> list[Bound]:
    room.so_far = []
    for ids, turns, salt in cases:
        calls: list[Any] = []

        def fn(one: int, calls: list[Any] = calls, salt: str = salt) -> str:
            calls.append(one)
            return f"<{one} {salt}>"

        bound = list(student.bind_all(iter(ids), fn))
        early, results = calls[:], [bound[turn]() for turn in turns]
        results = [one if isinstance(one, str) else repr(one)[:200] for one in results]
        room.so_far.append({"count": [len(bound)], "early": early, "calls": calls, "results": results})
    return list(room.so_far)


def test_bind_all(submission: Submission, rng: Random) -> None:
    cases = []
    for size in range(1, 8):
        ids = [rng.randrange(1000) for _ in range(size)]
        cases.append((ids, rng.choices(range(size), k=size + 2), f"{rng.getrandbits(20):x}"))
    comes_to = say("bind_all() returns, and so does what it gives")
    told, stuck = played(submission, binds, cases, comes_to=comes_to)
    for (ids, turns, salt), rows in zip(cases, told, strict=False):
        due = [ids[turn] for turn in turns]
        call = f"bind_all(iter({ids}), fn)"
        for what, wanted, expected in (
            ("count", [len(ids)], say("{call} gives a function for each id: {count}", call=call, count=len(ids))),
            ("early", [], say("{call} does not call fn yet", call=call)),
            (
                "calls",
                due,
                say(
                    "each function that {call} gives calls fn with its own id each time; here {ids}", call=call, ids=due
                ),
            ),
            (
                "results",
                [f"<{one} {salt}>" for one in due],
                say("each function that {call} gives returns what fn returns", call=call),
            ),
        ):
            seen = str(rows[what])[:300]
            called = say("fn was called with {ids}", ids=seen)
            require(rows[what] == wanted, expected=expected, seen=called if what in ("early", "calls") else seen)
    require(stuck is None and len(told) == len(cases), expected=comes_to, seen=NEVER, evidence=stuck or [])


def test_off(submission: Submission, rng: Random) -> None:
    def write(draft: Draft, size: int) -> None:
        (event,) = draft.events(10)[-1:]
        draft.main += [draft.on(event), draft.on(event), draft.on(event, "f1"), draft.on(event)]
        for _ in range(2):
            draft.add("off", "off3")
            draft.add("emit", event, [])
        fill(draft, size, "on again again off off emit")

    require_right(
        submission,
        drafts(rng, 8, write),
        asks=["order"],
        rule=say("what on() returns ends exactly its own registration, and does nothing the second time"),
        comes_to=say("the function that on() gives ends the registration and returns"),
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

    require_right(
        submission,
        drafts(rng, 8, write),
        rule=say("a registration with once=True is over with the first event"),
        comes_to=say("a callback with once=True is called, and may be unsubscribed after it"),
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

    require_right(
        submission,
        drafts(rng, 18, write),
        rule=say("who subscribes meanwhile runs from the next event on, and nobody is skipped because others leave"),
        comes_to=say("on() and unsubscribing return inside of a callback"),
    )


def test_error(submission: Submission, rng: Random) -> None:
    def write(draft: Draft, size: int) -> None:
        fill(draft, size, "on on on emit")
        some_raise(draft, 0.5)
        draft.add("errors", 1)

    require_right(
        submission,
        drafts(rng, 8, write),
        asks=["errors"],
        rule=say("what a callback raises stops no other, and is reported in errors"),
        comes_to=say("emit() returns although a callback raised"),
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

    require_right(
        submission,
        drafts(rng, 4, write),
        asks=["errors"],
        rule=say("each Dispatcher has registrations and errors of its own"),
        comes_to=say("emit() calls the callbacks and returns"),
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

    require_right(
        submission,
        drafts(rng, 6, write),
        asks=["arguments", "errors"],
        rule=say("emit() inside of a callback does what it does elsewhere, and returns when its callbacks have run"),
        comes_to=say("emit() inside of a callback calls callbacks and returns"),
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

    require_right(
        submission,
        drafts(rng, 7, write),
        asks=["count"],
        rule=say("emit() returns how many callbacks ran"),
        comes_to=say("emit() returns, also for an event that nobody subscribed to"),
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

    require_right(
        submission,
        drafts(rng, 4, write),
        asks=["anyhow"],
        rule=say("emit_async() returns at once, whatever the worker does, and callbacks run on another thread"),
        comes_to=say("calls of emit_async() return while the callback of the first waits, and then all run"),
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

    require_right(
        submission,
        drafts(rng, 1, write),
        asks=["arguments"],
        rule=say("queued events are handled one after another, in the order of the calls, each with its own arguments"),
        comes_to=say("emit_async() puts events into a queue, and the worker handles them"),
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

    require_right(
        submission,
        drafts(rng, 5, write),
        asks=["errors"],
        rule=say("the worker does for each event what emit() does, also when a callback raises"),
        comes_to=say("the worker goes on with the next event although a callback raised"),
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

    require_right(
        submission,
        drafts(rng, 1, write),
        rule=say(
            "close() waits until all that was queued has been handled, and ends the worker of this dispatcher alone"
        ),
        comes_to=say("close() returns, also when nothing was ever queued"),
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
    each = say("each of {events} events runs its {callbacks} callbacks", events=emits, callbacks=len(weights))
    require(run.result() == emits * sum(weights), expected=each, seen=say("others ran"))


def test_threads(submission: Submission, budget: Budgets, sizes: Sizes, rng: Random) -> None:
    emits, weights = sizes["emits"], rng.sample(range(1 << 30), 3)
    with submission.running(held, emits, traced=True) as run:
        run.until("begin")
        with run.counting() as calls:
            run.go(weights)  # which no callback can have had before
            run.until("held")
            beside = run.threads() - 1
            worker = say("a worker, in the callback of the first event")
            require(beside > 0, expected=worker, seen=say("no thread beside the caller's"))
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


def emits(student: Any, room: Any, few: int, many: int, places: list[int], rounds: int) -> dict[str, list[int]]:
    """Emits of these events where few are registered and where many are, between pauses: some rounds beforehand, as
    many emits as the judge says, a hundred rounds, and again as many. It goes on when the judge says none."""
    heard: dict[str, list[int]] = {"few": [], "many": []}
    emitters = {}
    for label, events in (("few", few), ("many", many)):
        dispatcher = student.Dispatcher()
        for number in range(events):
            dispatcher.on(f"event {number}", lambda number=number, log=heard[label]: log.append(number))
        emitters[label] = dispatcher.emit, [f"event {place % events}" for place in places]
    told: dict[str, list[int]] = {"few": [], "many": []}
    for before in (rounds, 100):
        for label, (emit, chosen) in emitters.items():
            room.pause(f"{label}_round")
            for _ in range(before):
                for name in chosen:
                    emit(name)
            heard[label].clear()
        while wanted := room.pause("unstepped"):
            for label, (emit, chosen) in emitters.items():
                names = chosen[:wanted]
                done = label + "_done"
                room.pause(label, then=done)
                for name in names:
                    emit(name)
                room.pause(done)
        for label, numbers in heard.items():
            told[label] += numbers
    return told


def test_ops(submission: Submission, budget: Budgets, sizes: Sizes, rng: Random) -> None:
    growth = Growth(
        budget=budget,
        one="instructions_per_emit",
        each="instructions_per_other_event",
        few=10,
        many=sizes["events"],
    )

    def used_s(run: Run, label: str) -> float:
        """Processor time until the next pause, which has this name."""
        began_s = run.cpu_s()
        run.until(label)
        return run.cpu_s() - began_s

    def compared() -> tuple[float, float]:
        places, emitted = rng.sample(range(growth.many), 5), []
        rounds = 10 + rng.randrange(100)  # nobody knows which emit is counted, not even by its number
        with submission.running(emits, growth.few, growth.many, places, rounds, alone=True) as run:
            for pause in ("few_round", "many_round", "unstepped"):
                run.until(pause)

            def instructions(many: bool, count: int, limit: int) -> float:
                label = "many" if many else "few"
                if not many:
                    run.go(count)
                    emitted.append(count)
                run.until(label)
                with run.stepped(limit=limit) as counted:
                    run.until(label + "_done")
                return counted.count / count

            def grew() -> bool:
                """Whether a hundred rounds take more processor time where many are registered."""
                run.until("unstepped")
                run.go(0)
                run.until("few_round")
                few_s, many_s = used_s(run, "many_round"), used_s(run, "unstepped")
                return many_s > 1.5 * few_s

            one, further = growth.compared(instructions, grew=grew)
            run.go(0)
            heard = run.result()
        for label, events in (("few", growth.few), ("many", growth.many)):
            wanted = [place % events for count in emitted for place in places[:count]]
            expected = say(
                "with {events:,} events, emits of single ones run the callbacks {callbacks}",
                events=events,
                callbacks=wanted,
            )
            require(heard[label] == wanted, expected=expected, seen=heard[label])
        return one, further

    growth.at_most(compared)
