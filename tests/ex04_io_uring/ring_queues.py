"""The two queues, each alone: rounds of prep_read() and submit(), and of reap(), in front of a simulated kernel.

The scenarios are shipped; kernels and comparisons are on the judge's side.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Literal

from ring_words import CPU_S, told_as
from uring_sim import Done, Kernel, Look

from grader.checks import Crashed, Plain, Submission, require

Enter = tuple[Literal["enter"], Look]  # what a scenario asks at each call of enter


def put_in(student: Any, room: Any, queues: list[list[Any]]) -> None:
    """For each queue, in each round, prepare these requests and submit. Their completions are thrown away."""
    from uring_sim import Done, Rings

    for entries, rounds in queues:
        rings = Rings(entries, lambda look: Done(*room.ask(["enter", look])))
        ring = student.Ring(rings.mem, rings.enter)
        for requests in rounds:
            room.ask(["prepared", [ring.prep_read(*request) for request in requests]])
            submitted = ring.submit()
            rings.mem.cq_head.value = rings.mem.cq_tail.value
            room.ask(["submitted", submitted, rings.mem.sq_tail.value])


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What came of one round: what the program says, and what the kernel has seen."""

    answers: list[Plain]
    enters: int  # by prep_read()
    submitted: Plain
    taken: list[list[int]]
    all_enters: int
    left: int  # requests that sq_tail says are there


class Rounds:
    """The kernels of `put_in`, one after another, and what they see."""

    def __init__(self, queues: Sequence[tuple[int, list[list[list[int]]]]], *, strict: bool) -> None:
        self._queues, self._strict = queues, strict
        self.told: list[list[Round]] = []
        self._begin()

    def _begin(self) -> None:
        self._kernel = Kernel(self._queues[len(self.told)][0], {}, strict=self._strict)
        self.told.append([])
        self._known = self._enters = self._enters_before = 0
        self._answers: list[Plain] | None = None

    @property
    def entries(self) -> int:
        return self._kernel.entries

    def answer(
        self, question: Enter | tuple[Literal["prepared"], list[Plain]] | tuple[Literal["submitted"], Plain, int]
    ) -> Done | None:
        match question:
            case ["enter", look]:
                return self._kernel.answer(Look(*look))
            case ["prepared", answers]:
                self._answers, self._enters = answers, self._kernel.enters
            case ["submitted", submitted, sq_tail]:
                self._end(submitted, sq_tail)
        return None

    def _end(self, submitted: Plain, sq_tail: int) -> None:
        kernel = self._kernel
        rounds = self._queues[len(self.told) - 1][1]
        if self._answers is None or len(self.told[-1]) == len(rounds):
            raise Crashed(expected=f"{len(rounds)} rounds of prep_read() and submit()", seen="others")
        taken = [[r.fd, r.addr, r.len, r.off, r.user_data] for r in kernel.accepted[self._known :]]
        self.told[-1].append(
            Round(
                answers=self._answers,
                enters=self._enters - self._enters_before,
                submitted=submitted,
                taken=taken,
                all_enters=kernel.enters - self._enters_before,
                left=kernel.ready(sq_tail),
            )
        )
        self._known, self._enters_before, self._answers = len(kernel.accepted), kernel.enters, None
        if len(self.told[-1]) == len(rounds) and len(self.told) < len(self._queues):
            self._begin()


def rounds_of(
    submission: Submission, queues: Sequence[tuple[int, list[list[list[int]]]]], *, strict: bool = True
) -> list[list[Round]]:
    rounds = Rounds(queues, strict=strict)
    with told_as(lambda: f"prep_read() and submit(), in turn, a submission queue of {rounds.entries}"):
        submission.run(put_in, queues, answering=rounds.answer, cpu_s=CPU_S)
        seen = [len(told) for told in rounds.told]
        wanted = [len(requests) for _, requests in queues]
        require(seen == wanted, expected=f"rounds of prep_read() and submit(): {wanted}", seen=seen, kind=Crashed)
    return rounds.told


def random_request(rng: Random, *, user_data_bits: int = 64) -> list[int]:
    """fd, addr, nbytes, offset, user_data. No file has this descriptor, so nothing is read or written."""
    wide = rng.getrandbits
    return [wide(20) + (1 << 20), wide(47), wide(31), wide(62), wide(user_data_bits)]


def call_of(request: Sequence[int]) -> str:
    fd, addr, nbytes, offset, user_data = request
    return f"prep_read(fd={fd}, addr={addr:#x}, nbytes={nbytes}, offset={offset}, user_data={user_data})"


def why_others(wanted: list[list[int]], taken: list[list[int]]) -> str:
    known = [wanted.index(request) + 1 if request in wanted else "an unknown one" for request in taken]
    return f"numbers {', '.join(map(str, known))} of those" if known else "none"


def take_out(student: Any, room: Any, entries: int) -> None:
    """Let be reaped what the kernel posts, again and again."""
    from uring_sim import Done, Rings

    rings = Rings(entries, lambda look: Done(*room.ask(["enter", look])))
    ring = student.Ring(rings.mem, rings.enter)
    news = room.ask(["reaped", [], 0])
    while news is not None:
        rings.apply(Done(*news))
        reaped = ring.reap()
        if not isinstance(reaped, list):
            raise TypeError(f"reap() returned a {type(reaped).__name__}, not a list")
        pairs = [[int(user_data), int(res)] for user_data, res in reaped]
        cq_head, rings.mem.cq_head.value = rings.mem.cq_head.value, rings.mem.cq_tail.value
        news = room.ask(["reaped", pairs, cq_head])


class Reaping:
    """The kernel of `take_out`, which posts these completions, batch by batch, and compares what is reaped."""

    def __init__(self, entries: int, batches: list[list[tuple[int, int]]], rng: Random) -> None:
        self._kernel, self._batches, self._rng = Kernel(entries, {}), batches, rng
        self.posted = 0  # batches

    def answer(self, question: Enter | tuple[Literal["reaped"], list[tuple[int, int]], int]) -> Done | None:
        match question:
            case ["enter", look]:
                return self._kernel.answer(Look(*look))
            case ["reaped", got, cq_head]:
                if self.posted:
                    self._compare(got, cq_head)
                return self._next()
        return None

    def _compare(self, got: list[tuple[int, int]], cq_head: int) -> None:
        batch, enters = self._batches[self.posted - 1], self._kernel.enters
        place = f"(call {self.posted} of reap; completions in the queue: {len(batch)})"
        got = [(user_data, res) for user_data, res in got]
        seen = f"a list of {len(got)}" if len(got) != len(batch) else f"first {next(pair_off(batch, got), '')}"
        expected = "reap() returns (user_data, res) of each completion in the queue"
        require(got == batch, expected=expected, seen=f"{seen} {place}")
        left = self._kernel.news().cq_tail - cq_head
        require(left == 0, expected="reap() advances cq_head to cq_tail", seen=f"it is {left} behind {place}")
        require(
            enters == 0,
            expected="reap() reads memory and makes no system call",
            seen=f"calls of enter: {enters} {place}",
        )

    def _next(self) -> Done | None:
        """The news of one more batch. Each completion says its place; in which order they come, says nothing."""
        if self.posted == len(self._batches):
            return None
        for user_data, res in self._batches[self.posted]:
            self._kernel.post(user_data, res)
        self.posted += 1
        news = self._kernel.news()
        self._rng.shuffle(news.completions)
        return news


def pair_off(wanted: list[tuple[int, int]], got: list[tuple[int, int]]) -> Iterator[str]:
    for want, have in zip(wanted, got, strict=True):
        if want != have:
            yield f"({have[0]}, {have[1]}) where the completion has user_data={want[0]}, res={want[1]}"
