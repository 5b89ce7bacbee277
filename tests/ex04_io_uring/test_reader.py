"""What a submission of ex04 is graded by. Titles, hints, points and limits stand in its exercise.yaml.

Three worlds: a simulated kernel, which can be as nasty as a check likes; the real one; and a machine that has none for
us, where what only the real one can tell is unmeasured. Scenarios are shipped into the box, so each stands alone. What
a file holds and what came back crosses the wall in files without a name, and is compared here.
"""

import contextlib
import errno
import functools
import os
import re
import secrets
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Literal

from grader.checks import Budgets, Calls, Count, Plain, Run, Submission
from grader.failures import CheckFailed, Crashed, ForbiddenUse, Unmeasured, demand
from grader.measure.strace import Call

sys.path.append(str(Path(__file__).parents[2] / "exercises" / Path(__file__).parent.name))  # the course's own copy
from uring_sim import Done, Kernel, Look

Sizes = Mapping[str, int]
Enter = tuple[Literal["enter"], Look]  # what a scenario asks at each call of enter

WRAPS = 0xFFFFFFF0  # 16 steps before heads and tails begin again at 0
BUDGET_BLOCKS = 4096  # the limits in exercise.yaml are for this many: 1.25 * ceil(blocks / depth) + 2


# --- the two queues, each alone -----------------------------------------------------------------------------------


def put_in(student: Any, room: Any, queues: list[list[Any]]) -> None:
    """For each queue, in each round, prepare these requests and submit. Their completions are thrown away."""
    import signal

    from uring_sim import Done, Rings

    def stuck(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt("it was still busy after 4 seconds of processor time: a loop that does not end")

    signal.signal(signal.SIGVTALRM, stuck)
    signal.setitimer(signal.ITIMER_VIRTUAL, 4.0)
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
        submission.run(put_in, queues, answering=rounds.answer)
        seen = [len(told) for told in rounds.told]
        wanted = [len(requests) for _, requests in queues]
        if seen != wanted:
            raise Crashed(expected=f"rounds of prep_read() and submit(): {wanted}", seen=str(seen))
    return rounds.told


def random_request(rng: Random, *, user_data_bits: int = 64) -> list[int]:
    """fd, addr, nbytes, offset, user_data. No file has this descriptor, so nothing is read or written."""
    wide = rng.getrandbits
    return [wide(20) + (1 << 20), wide(47), wide(31), wide(62), wide(user_data_bits)]


def call_of(request: Sequence[int]) -> str:
    fd, addr, nbytes, offset, user_data = request
    return f"prep_read(fd={fd}, addr={addr:#x}, nbytes={nbytes}, offset={offset}, user_data={user_data})"


def test_one(submission: Submission, rng: Random) -> None:
    request = random_request(rng, user_data_bits=31)
    ((told,),) = rounds_of(submission, [(4, [[request]])], strict=False)
    demand(told.answers == [True], "prep_read() on an empty queue returns True", told.answers[0])
    if not told.taken:
        raise CheckFailed(
            expected="the kernel takes one request",
            seen=f"none; calls of enter: {told.all_enters}, requests that sq_tail says are there: {told.left}",
        )
    if told.taken != [request]:
        names = ("fd", "addr", "len", "off", "user_data")
        seen = [f"{n}={v}" for n, v, w in zip(names, told.taken[0], request, strict=True) if v != w]
        raise CheckFailed(
            expected=f"the kernel takes the request of {call_of(request)}",
            seen=f"a request with {', '.join(seen)}" if len(told.taken) == 1 else f"{len(told.taken)} requests",
        )


def test_fill(submission: Submission, sizes: Sizes, rng: Random) -> None:
    queues: list[tuple[int, list[list[list[int]]]]] = []
    for entries, count in ((8, sizes["rounds"]), (1, sizes["rounds"] // 20)):
        counts = [entries, entries + 2] + [rng.randint(1, entries + 2) for _ in range(count - 2)]
        queues.append((entries, [[random_request(rng) for _ in range(count)] for count in counts]))
    for (entries, rounds), told in zip(queues, rounds_of(submission, queues), strict=True):
        for number, (requests, seen) in enumerate(zip(rounds, told, strict=True)):
            room = min(len(requests), entries)
            demand(
                seen.enters == 0,
                "prep_read() only writes to memory; submit() makes the system call",
                f"calls of enter: {seen.enters}",
            )
            place = f"(round {number + 1}, a submission queue of {entries})"
            if seen.answers != [True] * room + [False] * (len(requests) - room):
                wrong = next((n for n, answer in enumerate(seen.answers) if answer is not (n < entries)), 0)
                raise CheckFailed(
                    expected=f"prep_read() returns {wrong < entries} when {wrong} of {entries} places are taken",
                    seen=f"{seen.answers[wrong : wrong + 1]} {place}",
                )
            if seen.taken != requests[:room]:
                others = why_others(requests[:room], seen.taken)
                raise CheckFailed(
                    expected=f"the kernel takes the {room} requests that were prepared",
                    seen=f"it took {len(seen.taken)} requests: {others} {place}",
                )
            demand(seen.submitted == room, f"submit() returns {room}, as many as the kernel has taken", seen.submitted)


def why_others(wanted: list[list[int]], taken: list[list[int]]) -> str:
    known = [wanted.index(request) + 1 if request in wanted else "an unknown one" for request in taken]
    return f"numbers {', '.join(map(str, known))} of those" if known else "none"


def take_out(student: Any, room: Any, entries: int) -> None:
    """Let be reaped what the kernel posts, again and again."""
    import signal

    from uring_sim import Done, Rings

    def stuck(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt("it was still busy after 4 seconds of processor time: a loop that does not end")

    signal.signal(signal.SIGVTALRM, stuck)
    signal.setitimer(signal.ITIMER_VIRTUAL, 4.0)
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
        if got != batch:
            seen = f"a list of {len(got)}" if len(got) != len(batch) else f"first {next(pair_off(batch, got))}"
            raise CheckFailed(
                expected="reap() returns (user_data, res) of each completion in the queue", seen=f"{seen} {place}"
            )
        left = self._kernel.news().cq_tail - cq_head
        demand(left == 0, "reap() advances cq_head to cq_tail", f"it is {left} behind {place}")
        demand(enters == 0, "reap() reads memory and makes no system call", f"calls of enter: {enters} {place}")

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


def test_reap(submission: Submission, sizes: Sizes, rng: Random) -> None:
    entries = 4
    counts = [1, 0, 2 * entries, 3] + [rng.randint(0, 2 * entries) for _ in range(sizes["rounds"])]
    batches = [[(rng.getrandbits(64), rng.randint(-133, 1 << 30)) for _ in range(count)] for count in counts]
    reaping = Reaping(entries, batches, rng)
    expected = f"reap(), {len(batches)} times, a completion queue of {2 * entries}"
    with told_as(expected):
        submission.run(take_out, entries, answering=reaping.answer)
    demand(reaping.posted == len(batches), expected, f"{reaping.posted} times")


def pair_off(wanted: list[tuple[int, int]], got: list[tuple[int, int]]) -> Iterator[str]:
    for want, have in zip(wanted, got, strict=True):
        if want != have:
            yield f"({have[0]}, {have[1]}) where the completion has user_data={want[0]}, res={want[1]}"


# --- whole files, through a simulated kernel ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One file and one simulated kernel to read it through. `there` is how long the file is; as `size`, if None."""

    size: int
    block: int
    entries: int
    seed: int
    there: int | None = None
    kernel: Mapping[str, Any] = field(default_factory=dict)

    @property
    def content(self) -> bytes:
        return Random(self.seed).randbytes(self.size if self.there is None else self.there)

    @property
    def blocks(self) -> int:
        return -(-self.size // self.block)

    @property
    def queue(self) -> int:
        """Places of the submission queue, a power of two."""
        return Kernel(self.entries, {}).entries

    def __str__(self) -> str:
        ways = [WAYS[name] for name, value in self.kernel.items() if name in WAYS and value]
        if self.kernel.get("first"):
            ways.append(f"sq_head and sq_tail begin at {self.kernel['first']:#x}")
        if self.kernel.get("cq_first"):
            ways.append(f"cq_head and cq_tail at {self.kernel['cq_first']:#x}")
        if "broken_at" in self.kernel:
            ways.append(f"a read of byte {self.kernel['broken_at']} gives -EIO")
        there = "" if self.there is None else f" of a file with {self.there:,} bytes"
        return (
            f"read_file(ring, fd, size={self.size}, block={self.block}){there}, a submission queue of {self.entries}"
            f"{''.join('; ' + way for way in ways)}"
        )

    @property
    def fails(self) -> str:
        """The error that it must raise."""
        if "broken_at" in self.kernel:
            return f"OSError with the errno {errno.EIO}" if self.kernel["broken_at"] < self.size else ""
        return "EOFError" if self.there is not None and self.there < self.size else ""

    @property
    def outcome(self) -> str:
        """What must come of it."""
        return f"{self}: {self.fails or 'what the file holds'}"


WAYS = {
    "short": "half of the reads are short",
    "again": "some reads give -EAGAIN",
    "partial": "enter often takes fewer requests than it is asked to",
    "interrupt": "signals interrupt enter (EINTR)",
    "order": "completions out of order",
    "lag": "no more completions than enter waits for",
}


def read_simulated(student: Any, room: Any, jobs: list[list[int]], result_fd: int) -> None:
    """Read one file after another, each through rings of its own; what comes back goes to result_fd."""
    import os
    import signal

    from uring_sim import Done, Rings

    def stuck(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt("it was still busy after 4 seconds of processor time: a loop that does not end")

    signal.signal(signal.SIGVTALRM, stuck)
    for entries, first, cq_first, fd, size, block, fails in jobs:
        rings = Rings(entries, lambda look: Done(*room.ask(["enter", look])), first=first, cq_first=cq_first)
        signal.setitimer(signal.ITIMER_VIRTUAL, 4.0)
        ring = student.Ring(rings.mem, rings.enter)
        error, got = "", b""
        try:
            got = student.read_file(ring, fd, size, block)
        except EOFError:
            error = "EOFError"
        except OSError as failure:
            if not fails:
                raise  # with the lines of the program that it came from
            error = f"OSError with the errno {failure.errno}"
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        if not isinstance(got, (bytes, bytearray)):
            error = f"a {type(got).__name__} came back"
        if not error:
            os.write(result_fd, got)
        room.ask(["read", error])


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What one simulated kernel has seen."""

    enters: int
    most_in_flight: int
    asked: list[tuple[int, int]]  # offset and length
    asked_again: int  # bytes


class Simulation:
    """The kernels of `read_simulated`, one after another. The files and all counts are here, on the judge's side."""

    def __init__(self, jobs: Sequence[Job], result: int) -> None:
        self._jobs, self._result = jobs, result
        self.stories: list[Story] = []
        self._kernels = map(kernel_of, jobs)
        self._kernel = next(self._kernels, None)

    @property
    def job(self) -> Job:
        """The one that is being read, or was the last."""
        return self._jobs[min(len(self.stories), len(self._jobs) - 1)]

    def answer(self, question: Enter | tuple[Literal["read"], str]) -> Done | None:
        if self._kernel is None:
            raise Crashed(expected=f"{len(self._jobs)} files are read", seen="more")
        match question:
            case ["enter", look]:
                return self._kernel.answer(Look(*look))
            case ["read", error]:
                self._end(self._kernel, error)
        return None

    def _end(self, kernel: Kernel, error: str) -> None:
        job = self.job
        demand(not kernel.misuse, job.outcome, f"the simulated kernel: {kernel.misuse}")
        got = written_to(self._result, job.size)
        compare(job, error, got)
        demand(kernel.in_flight == 0, f"{job}: nothing is in flight when it returns", f"requests: {kernel.in_flight}")
        asked = [(request.off, request.len) for request in kernel.accepted]
        self.stories.append(
            Story(
                enters=kernel.enters,
                most_in_flight=kernel.most_in_flight,
                asked=asked,
                asked_again=kernel.asked_again,
            )
        )
        self._kernel = next(self._kernels, None)


FD = 2_000_000  # of the simulated kernels' files: beyond any limit, no system call can read from it


def kernel_of(job: Job) -> Kernel:
    """Not strict: when a request is written is what `fill` asks."""
    most = 2_000 + 20 * job.blocks  # ten times what short reads and -EAGAIN can make of them
    return Kernel(job.entries, {FD: job.content}, seed=job.seed, strict=False, most_requests=most, **job.kernel)


def written_to(result: int, size: int) -> bytes:
    """What the program has written, as much of it as can tell that it is too long; the file is empty then."""
    got = os.pread(result, min(os.fstat(result).st_size, size + 65536), 0)
    os.ftruncate(result, 0)
    os.lseek(result, 0, os.SEEK_SET)  # the program's position too: it is one open file
    return got


def read_all(submission: Submission, jobs: Sequence[Job]) -> list[Story]:
    """Read the files and compare; one that is too short must be told by EOFError."""
    orders = [
        [j.queue, j.kernel.get("first", 0), j.kernel.get("cq_first", 0), FD, j.size, j.block, int(bool(j.fails))]
        for j in jobs
    ]
    with unnamed_file() as result:
        simulation = Simulation(jobs, result)
        with (
            told_as(lambda: simulation.job.outcome),
            submission.running(read_simulated, orders, result, pass_fds=[result], answering=simulation.answer) as run,
        ):
            run.result()
        demand(len(simulation.stories) == len(jobs), f"{len(jobs)} files are read", f"{len(simulation.stories)}")
    return simulation.stories


def compare(job: Job, error: str, got: bytes) -> None:
    if job.fails or error:
        demand(error == job.fails, job.outcome, error or f"it returned {len(got):,} bytes")
    else:
        same(job.outcome, job.content[: job.size], got, job.block)


def same(what: str, content: bytes, got: bytes, block: int) -> None:
    """What came back is what the file holds; else say where it is not, and what stands there."""
    if got == content:
        return
    demand(len(got) == len(content), f"{what}, {len(content):,} bytes", f"{len(got):,} bytes")
    blocks = [(n, content[n : n + block], got[n : n + block]) for n in range(0, len(content), block)]
    wrong = [(offset, want, have) for offset, want, have in blocks if want != have]
    offset, want, have = wrong[0]
    inner = next(n for n, (a, b) in enumerate(zip(want, have, strict=True)) if a != b)
    what_stands = f"{have[inner : inner + 8].hex(' ')}, the file has {want[inner : inner + 8].hex(' ')}"
    if not any(have[inner:]):
        what_stands = "zeros stand from there to the end of the block: nobody has read that part"
    elif other := next((n // block for n, content_there, _ in blocks if n != offset and content_there == have), None):
        what_stands = f"the bytes of block {other} stand there"
    raise CheckFailed(
        expected=what,
        seen=f"blocks that differ: {len(wrong)} of {len(blocks)}; the first is block {offset // block}, from its byte "
        f"{inner} on: {what_stands}",
    )


def test_equal(submission: Submission, sizes: Sizes, rng: Random) -> None:
    def job(size: int, block: int, entries: int) -> Job:
        return Job(size=size, block=block, entries=entries, seed=rng.getrandbits(32))

    block = sizes["block"]
    lengths = (1, block - 1, block, block + 1, 3 * block, 10 * block + 7)
    jobs = [job(size, block, depth) for depth in (1, 3, 7, 32) for size in lengths]
    jobs += [job(1000, 1, 7), job(1000, 5000, 7), job(sizes["big_file"], 4096, 32)]
    jobs += [Job(size=4096, there=4101, block=1000, entries=3, seed=rng.getrandbits(32))]
    read_all(submission, jobs)


def test_empty(submission: Submission, sizes: Sizes, rng: Random) -> None:
    """With a file of some bytes among them: who reads nothing at all makes no call either, and has nothing to show."""
    block = sizes["block"]
    jobs = [Job(size=size, there=there, block=block, entries=8, seed=rng.getrandbits(32)) for size, there in EMPTY]
    for job, story in zip(jobs, read_all(submission, jobs), strict=True):
        if not job.size:
            seen = f"calls of enter: {story.enters}"
            demand(story.enters == 0, f"{job}: no system call, there is nothing to read", seen)


EMPTY = ((0, 0), (100, 1000), (0, 1000))  # what is to be read, and what is there


def test_order(submission: Submission, sizes: Sizes, rng: Random) -> None:
    block = sizes["block"]
    jobs = [
        # The last block is short and stands in a batch with others, so that mistaking it for another shows.
        Job(size=count * block + 5, block=block, entries=entries, seed=rng.getrandbits(32), kernel={"order": order})
        for order in ("reversed", "shuffled", "shuffled")
        for entries, count in ((8, 7), (8, 47), (32, 95))
    ]
    read_each_byte_once(submission, jobs, "a completion was taken for another request's")


def read_each_byte_once(submission: Submission, jobs: Sequence[Job], because: str) -> None:
    for job, story in zip(jobs, read_all(submission, jobs), strict=True):
        demand(
            story.asked_again == 0,
            f"{job}: no byte is asked for again that has come, or is to come",
            f"{len(story.asked)} requests for {job.blocks} blocks, {story.asked_again:,} bytes too many: {because}",
        )


def test_short(submission: Submission, sizes: Sizes, rng: Random) -> None:
    block = sizes["block"]

    def job(count: int, entries: int, *, missing: int | None = None, **kernel: Any) -> Job:
        size = count * block + 5
        there = None if missing is None else size - missing
        return Job(size=size, there=there, block=block, entries=entries, seed=rng.getrandbits(32), kernel=kernel)

    jobs = [job(count, entries, short=0.5) for entries, count in ((1, 5), (8, 47), (32, 95))]
    jobs += [job(count, entries, missing=missing) for entries, count, missing in ((8, 20, 1), (8, 20, 5), (1, 3, 11))]
    jobs += [job(9, 8, missing=9 * block), job(3, 8, missing=3 * block + 5), job(20, 8, missing=block, short=0.5)]
    read_each_byte_once(submission, jobs, "of a short read, only the rest is missing")


def test_error(submission: Submission, sizes: Sizes, rng: Random) -> None:
    block = sizes["block"]
    jobs = [
        Job(
            size=count * block + 5,
            block=block,
            entries=entries,
            seed=rng.getrandbits(32),
            there=(count + 2) * block,
            kernel={"broken_at": broken * block + 3},
        )
        # The last one cannot be read beyond what is to be read, which harms nobody.
        for entries, count, broken in ((1, 3, 1), (8, 20, 20), (8, 20, 0), (32, 40, rng.randrange(40)), (8, 20, 21))
    ]
    read_all(submission, jobs)


def test_partial(submission: Submission, sizes: Sizes, rng: Random) -> None:
    block = sizes["block"]
    ways = ({"partial": 0.5}, {"interrupt": 0.7}, {"again": 0.3}, {"partial": 0.5, "interrupt": 0.5, "again": 0.2})
    jobs = [
        Job(size=count * block + 5, block=block, entries=entries, seed=rng.getrandbits(32), kernel=way)
        for way in ways
        for entries, count in ((1, 9), (8, 47), (32, 95))
    ]
    for job, story in zip(jobs, read_all(submission, jobs), strict=True):
        # A negative res that is taken for the length of a short read makes the next request start before its block, and
        # longer than it. Whoever asks for more from the start fails `honest`, and not here.
        most = max(job.block, story.asked[0][1] if story.asked else 0)
        length, offset = max(((length, offset) for offset, length in story.asked), default=(0, 0))
        demand(
            length <= most,
            f"{job}: what could not be read is asked for again, no request for more than {most:,} bytes",
            f"a request for {length:,} bytes at offset {offset:,}",
        )


def test_wrap32(submission: Submission, sizes: Sizes, rng: Random) -> None:
    block = sizes["block"]
    jobs = [
        Job(
            size=count * block + 5,
            block=block,
            entries=entries,
            seed=rng.getrandbits(32),
            kernel={"first": first, "cq_first": cq_first},
        )
        for first, cq_first, entries, count in (
            (WRAPS, WRAPS, 8, 47),
            (WRAPS + 3, WRAPS - 9, 32, 95),
            (WRAPS + 15, 5, 1, 5),
            (1 << 31, WRAPS, 8, 47),
        )
    ]
    read_all(submission, jobs)


def test_lag(submission: Submission, sizes: Sizes, rng: Random) -> None:
    block = sizes["block"]
    jobs = [
        Job(size=count * block + 5, block=block, entries=entries, seed=rng.getrandbits(32), kernel=kernel)
        for kernel in ({"lag": True}, {"lag": True, "order": "shuffled"})
        for entries, count in ((1, 5), (8, 47), (32, 95))
    ]
    read_all(submission, jobs)


# --- whole files, through the real kernel -------------------------------------------------------------------------


def why_no_ring(_student: Any, _room: Any) -> str:
    """Why a program in the box cannot use io_uring on this machine; empty when it can."""
    import uring_abi

    try:
        with uring_abi.setup(4, only_reads=True) as (_, enter):
            enter(0, 0, 0)
    except OSError as error:
        return str(error)
    return ""


def require_io_uring(submission: Submission) -> None:
    """
    Raises:
        Unmeasured: this machine has none for us, as a box without a submission has found out.
    """
    reason = submission.on_this_machine(why_no_ring)
    if reason:
        raise Unmeasured(f"No ring can be made on this machine ({reason}). `grade doctor` says what can be done.")


def read_real(student: Any, room: Any, jobs: list[list[int]], result_fd: int) -> None:
    """Read one file after another, each through a ring of its own; what comes back goes to result_fd."""
    import os

    import uring_abi

    for number, (entries, fd, size, block) in enumerate(jobs):
        room.pause(f"ready_{number}")
        with uring_abi.setup(entries, only_reads=True) as (mem, enter):
            ring = student.Ring(mem, enter)
            got = student.read_file(ring, fd, size, block)
        os.write(result_fd, got)
        room.pause(f"read_{number}")


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file of the judge's to read. It is empty until its turn has come, and nothing in the box knows its name."""

    fd: int  # to read from, in the box
    data: bytes
    writable: int  # of the judge's
    entries: int
    block: int

    def __str__(self) -> str:
        return (
            f"read_file(ring, fd={self.fd}, size={len(self.data)}, block={self.block}), the real kernel, a submission "
            f"queue of {self.entries}: what the file holds"
        )


def read_through_rings(submission: Submission, files: Sequence[File]) -> list[Calls]:
    """Let these files be read and compare what comes back, and how it came; the calls of each reading.

    What a file holds is written into it when its window has begun, and what came back is taken before the window ends:
    so nothing that a program does outside of the window can have read it. A mapping made before would see it, too.
    """
    jobs = [[file.entries, file.fd, len(file.data), file.block] for file in files]
    windows = []
    with (
        unnamed_file() as result,
        submission.running(
            read_real, jobs, result, pass_fds=[*(file.fd for file in files), result], traced=True
        ) as run,
    ):
        for number, file in enumerate(files):
            with told_as(str(file)):
                run.until(f"ready_{number}")
                with run.counting(settled=False) as calls:  # it pauses before and behind
                    require_unmapped(run, file)
                    os.pwrite(file.writable, file.data, 0)
                    run.until(f"read_{number}")
                    got = written_to(result, len(file.data))
            same(str(file), file.data, got, file.block)
            windows.append(calls)
        for file, calls in zip(files, windows, strict=True):
            require_through_the_ring(submission, calls.everything(), file)
        require_no_other_ring(run, len(files))
    return windows


@contextlib.contextmanager
def file_with(data: bytes, entries: int, block: int, *, in_memory: bool = False) -> Iterator[File]:
    """A file without a name that can only be read; one in memory is read by workers of the kernel, out of order."""
    with unnamed_file(in_memory=in_memory) as writable:
        fd = os.open(f"/proc/self/fd/{writable}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            yield File(fd=fd, data=data, writable=writable, entries=entries, block=block)
        finally:
            os.close(fd)


@contextlib.contextmanager
def unnamed_file(*, in_memory: bool = True) -> Iterator[int]:
    if in_memory:
        fd = os.memfd_create(f"ex04-{secrets.token_hex(8)}", os.MFD_CLOEXEC)
    else:
        with tempfile.TemporaryFile() as file:
            fd = os.dup(file.fileno())
    try:
        yield fd
    finally:
        os.close(fd)


@contextlib.contextmanager
def some_files(sizes: Sizes, rng: Random) -> Iterator[list[File]]:
    """Of both kinds, with queues and blocks of several sizes."""
    size = sizes["real_file"]
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(file_with(rng.randbytes(length), entries, block, in_memory=in_memory))
            for length, entries, block, in_memory in (
                (size, 32, 4096, False),
                (size // 3, 32, 1000, True),
                (1, 1, 4096, False),
                (10_001, 3, 1000, True),
            )
        ]


def test_real(submission: Submission, sizes: Sizes, rng: Random) -> None:
    require_io_uring(submission)
    with some_files(sizes, rng) as files:
        read_through_rings(submission, files)


def test_budget(submission: Submission, budget: Budgets, rng: Random) -> None:
    batches_in_the_simulator(submission, budget, rng)
    require_io_uring(submission)

    def enters(entries: int) -> Count:
        with file_with(rng.randbytes(BUDGET_BLOCKS * 4096), entries, 4096) as file:
            (calls,) = read_through_rings(submission, [file])
        return calls.of("io_uring_enter")

    budget.at_most("enters_depth_32", lambda: enters(32))
    budget.at_most("enters_depth_256", lambda: enters(256))


def batches_in_the_simulator(submission: Submission, budget: Budgets, rng: Random) -> None:
    """With fewer blocks. The simulated kernel sees how long a request is; the real one's trace tells of none."""
    job = Job(size=512 * 16, block=16, entries=32, seed=rng.getrandbits(32))
    most = budget.limit_of("enters_depth_32") * job.blocks / BUDGET_BLOCKS
    (story,) = read_all(submission, [job])
    longest = max((length for _, length in story.asked), default=0)
    demand(longest <= job.block, f"{job}: no request is longer than a block", f"one of {longest:,} bytes")
    demand(story.enters <= most, f"{job}: at most {most:.0f} calls of enter", f"{story.enters:,} calls of enter")


def test_honest(submission: Submission, sizes: Sizes, rng: Random) -> None:
    honest_in_the_simulator(submission, sizes, rng)
    require_io_uring(submission)
    if submission.strace is None:
        raise Unmeasured(submission.untraceable)
    with some_files(sizes, rng) as files:
        longest = files[:2]
        for file, calls in zip(longest, read_through_rings(submission, longest), strict=True):
            require_blocks(file, calls)


def require_blocks(file: File, calls: Calls) -> None:
    enters = [call.text for call in calls.everything() or () if call.name == "io_uring_enter"]
    taken, blocks = sum(map(taken_by, enters)), -(-len(file.data) // file.block)
    demand(
        taken >= blocks,
        f"{file}: at least {blocks} requests, one for each block",
        f"the kernel took {taken}",
        enters[:5],
    )


def honest_in_the_simulator(submission: Submission, sizes: Sizes, rng: Random) -> None:
    block = sizes["block"]
    jobs = [
        Job(size=count * block + 5, block=block, entries=entries, seed=rng.getrandbits(32), kernel={"lag": True})
        for entries, count in ((8, 100), (32, 400))
    ]
    for job, story in zip(jobs, read_all(submission, jobs), strict=True):
        longest = max((length for _, length in story.asked), default=0)
        demand(longest <= block, f"{job}: no request is longer than a block", f"one of {longest:,} bytes")
        whole = range(job.size)
        missing = len(set(whole).difference(*(whole[offset : offset + length] for offset, length in story.asked)))
        demand(missing == 0, f"{job}: every byte is asked of the kernel", f"{missing:,} bytes were not asked for")
        places = 2 * job.entries
        demand(
            story.most_in_flight <= places,
            f"{job}: at most {places} requests in flight, as many as the completion queue has places",
            f"{story.most_in_flight} at one time: the kernel has no place for all their completions",
        )


# What a program may call while it reads, besides io_uring_enter: nothing that brings it bytes of a file. It is a list
# of what is allowed, as there are many ways to read, and new ones.
ALLOWED = frozenset(
    [
        *("io_uring_enter", "io_uring_register"),  # the ring takes nothing but reads, and no registration
        *("brk", "munmap", "mremap", "madvise", "mprotect", "mlock", "munlock", "membarrier"),
        *("futex", "sched_yield", "sched_getaffinity", "getcpu", "set_robust_list", "rseq", "gettid", "exit"),
        *("clone", "clone3", "fork", "vfork", "wait4", "waitid", "exit_group"),  # whoever it makes is traced, too
        *("getpid", "getppid", "getpgrp", "getpgid", "getsid", "getuid", "geteuid", "getgid", "getegid", "uname"),
        *("clock_gettime", "clock_getres", "clock_nanosleep", "nanosleep", "gettimeofday", "time", "times"),
        *("getrusage", "getrlimit", "prlimit64", "sysinfo", "getrandom", "prctl", "arch_prctl"),
        *("rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigpending", "rt_sigtimedwait", "sigaltstack"),
        *("kill", "tkill", "tgkill", "pause", "alarm", "setitimer", "getitimer", "restart_syscall"),
        *("timer_create", "timer_settime", "timer_gettime", "timer_getoverrun", "timer_delete"),
        *("poll", "ppoll", "select", "pselect6", "epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait"),
        *("eventfd2", "timerfd_create", "timerfd_settime", "pipe2", "socketpair"),
        *("write", "writev", "pwrite64", "sendto", "ftruncate", "fsync", "fdatasync", "umask", "mkdir", "unlink"),
        *("open", "openat", "close", "lseek", "fcntl", "dup", "dup2", "dup3", "ioctl"),
        *("access", "faccessat", "faccessat2", "stat", "lstat", "fstat", "newfstatat", "statx", "statfs", "fstatfs"),
        *("readlink", "readlinkat", "getcwd", "getdents64"),
    ]
)
READS = frozenset({"read", "pread64", "readv", "preadv", "preadv2", "mmap"})  # with what it opened itself, of these:
LIBRARY = (
    "/usr/",
    "/lib",
    "/etc/",
    "/sys/",
    *('/dev/zero"', '/dev/null"', '/dev/random"', '/dev/urandom"'),
    *(f'/proc/self/{name}"' for name in ("stat", "statm", "status", "maps", "smaps", "smaps_rollup", "io", "limits")),
    *('/proc/stat"', '/proc/meminfo"', '/proc/cpuinfo"', '/proc/uptime"', '/proc/loadavg"', "/proc/sys/"),
)
RESULT = re.compile(r"\) += (-?\d+)")
BROKEN_OFF = re.compile(r"recvfrom\(\d+, 0x[0-9a-f]+, \d+, 0, NULL, NULL\) += \? ERESTARTSYS\b")
GO_BYTES, GO_CALLS = 64, 4  # of the scenario's own channel: "go", and the length before it


def require_unmapped(run: Run, file: File) -> None:
    name = Path(os.readlink(f"/proc/self/fd/{file.fd}")).name  # it has none in a folder; this one is the kernel's
    if run.mappings(name):
        raise ForbiddenUse(
            expected="every byte of the file comes through the ring",
            seen="the file is mapped into memory before it is to be read",
        )


def require_no_other_ring(run: Run, rings: int) -> None:
    """The rings that a program was given are the only ones it ever has. One that was made early could read later, even
    without a call."""
    made = [call.text for call in run.calls().everything() or () if call.name == "io_uring_setup"]
    if len(made) > rings:
        other = next((text for text in made if "{flags=IORING_SETUP_R_DISABLED, " not in text), made[-1])
        raise ForbiddenUse(
            expected="the ring that was given to Ring(mem, enter)", seen=a_ring_of_its_own(other), evidence=[other]
        )


def a_ring_of_its_own(line: str) -> str:
    return f"a ring of its own{', polled by a kernel thread (SQPOLL)' if 'IORING_SETUP_SQPOLL' in line else ''}"


def require_through_the_ring(submission: Submission, everything: Sequence[Call] | None, file: File) -> None:
    """Whatever was called while a file was read, one of these rules allows it."""
    if everything is None:  # what cannot be counted is unmeasured, where it is what the check is about
        return
    reasons = {name: reason.in_("en") for name, reason in submission.exercise.forbidden.calls.items()}
    level = submission.level
    conduct = Conduct(file.fd, reasons, (*LIBRARY, f"{sys.base_prefix}/", f"{level.folder}/", f"{level.given}/"))
    for call in everything:
        if seen := conduct.offence(call):
            raise ForbiddenUse(
                expected="every byte of the file comes through the ring", seen=seen, evidence=[call.text]
            )
    restrictions = [call.text for call in everything if RESTRICTS.match(call.text) and ") = -1" not in call.text]
    allowed = [re.findall(r"sqe_op=(\w+)", text) for text in restrictions]
    # An old strace shows none; and a list without any is of a ring that takes no request at all.
    if allowed not in ([["IORING_OP_READ"]], [[]]):
        raise ForbiddenUse(
            expected="the ring that was given to Ring(mem, enter), which takes nothing but IORING_OP_READ",
            seen="a ring that takes other requests",
            evidence=restrictions[:2],
        )


RESTRICTS = re.compile(r"io_uring_register\(\d+, (?:IORING_REGISTER_RESTRICTIONS|0xb|11)\b")


class Conduct:
    """What a program did in one window, call by call."""

    def __init__(self, fd: int, reasons: Mapping[str, str], libraries: tuple[str, ...]) -> None:
        self._reasons, self._libraries = reasons, libraries
        self._past_the_ring = re.compile(
            rf"(?!fcntl)\w+\({fd}\b|fcntl\({fd}, F_DUPFD|(?:sendfile|copy_file_range)\(.*\b{fd}, |"
            rf"mmap\((?:[^,]+, ){{4}}{fd}\b"
        )
        self._own: set[tuple[int, int]] = set()  # thread and descriptor of what it opened itself
        self._rings: set[int] = set()  # descriptors that a ring was made as
        self._ring_areas: set[tuple[int, str]] = set()  # descriptor and offset
        self._received = [0, 0]  # calls and bytes

    def offence(self, call: Call) -> str:
        """What is wrong with it; nothing when it is allowed."""
        match call.name:
            case "io_uring_setup" if "{flags=IORING_SETUP_R_DISABLED, " in call.text:
                self._rings |= {int(result[1]) for result in RESULT.finditer(call.text)}
                return ""  # how many there were is looked at in the end
            case "io_uring_setup":
                return a_ring_of_its_own(call.text)
            case "open" | "openat":
                return self._opens(call)
            case "mmap" if "MAP_ANONYMOUS" in call.text:
                return ""
            case "mmap" if (area := RING_AREA.search(call.text)) and self._maps_a_ring(int(area[1]), area[2]):
                return ""
            case "recvfrom" if self._is_go(call.text):
                return ""
            case name if name in self._reasons and self._past_the_ring.match(call.text):
                return f"{name}: {self._reasons[name]}"
            case name if name in READS and (call.pid, descriptor_of(call.text)) in self._own:
                return ""
            case name if name not in ALLOWED:
                return f"{name}: a program that reads through its ring has no need of it"
        self._forget(call)
        return ""

    def _opens(self, call: Call) -> str:
        if re.search(r'"(?:/proc/.*/fd/|/dev/fd/)', call.text):
            return "it opens the file once more"
        self._forget(call)
        result = RESULT.search(call.text)
        path = call.text.partition('"')[2]
        if result and path.startswith(self._libraries) and "/../" not in path:
            self._own.add((call.pid, int(result[1])))
        return ""

    def _forget(self, call: Call) -> None:
        """A number that means another descriptor from now on. Who has it by an unfinished line is not known."""
        if call.name == "close":
            self._own = {(pid, fd) for pid, fd in self._own if fd != descriptor_of(call.text)}
            self._rings.discard(descriptor_of(call.text))
        elif call.name in {"open", "openat", "dup", "dup2", "dup3", "fcntl"}:
            result = RESULT.search(call.text)
            self._own = {(pid, fd) for pid, fd in self._own if result and fd != int(result[1])}
            self._rings = {fd for fd in self._rings if result and fd != int(result[1])}

    def _maps_a_ring(self, fd: int, offset: str) -> bool:
        """Whether it may be one of the three areas of the one ring."""
        new = (fd, offset) not in self._ring_areas and all(fd == other for other, _ in self._ring_areas)
        new = new and fd in self._rings
        self._ring_areas.add((fd, offset))
        return new

    def _is_go(self, text: str) -> bool:
        """Whether it may be the word that lets the scenario go on. When a ring is closed, the kernel breaks off the
        wait for it, some times, and begins it anew: such a line has brought nothing.
        """
        if BROKEN_OFF.match(text):
            return True
        size = re.search(r", (\d+), 0, NULL, NULL\) += ", text)
        self._received[0] += 1
        self._received[1] += int(size[1]) if size else 0
        return self._received[0] <= GO_CALLS and self._received[1] <= GO_BYTES


RING_AREA = re.compile(r"MAP_SHARED\|MAP_POPULATE, (\d+), (0|0x8000000|0x10000000)\)")


def descriptor_of(line: str) -> int:
    """The one that a call is about; -1 when its line does not tell."""
    found = re.match(r"mmap\((?:[^,]+, ){4}(\d+)\b|\w+\((\d+)\b", line)
    return int(found[1] or found[2]) if found else -1


def taken_by(line: str) -> int:
    """How many requests one line of the trace says that the kernel took; what it was asked to, if the line was cut."""
    asked = re.match(r"io_uring_enter\(\d+, (\d+)", line)
    result = re.search(r"\) += (-?\d+)", line)
    return max(0, int(result[1])) if result else int(asked[1]) if asked else 0


def many_rings(student: Any, room: Any, rounds: int, fd: int, size: int) -> int:
    """Rings, one after another; pauses with nothing in use after a few, and after all. A checksum of what was read."""
    import gc
    import zlib

    import uring_abi

    def once(checksum: int) -> int:
        with uring_abi.setup(8) as (mem, enter):
            ring = student.Ring(mem, enter)
            return zlib.crc32(student.read_file(ring, fd, size, 16384), checksum)

    for _ in range(5):
        once(0)
    gc.collect()
    room.pause("few")
    checksum = 0
    for _ in range(rounds):
        checksum = once(checksum)
    gc.collect()
    room.pause("many")
    return checksum


def test_leak(submission: Submission, budget: Budgets, sizes: Sizes, rng: Random) -> None:
    require_io_uring(submission)
    rounds = sizes["rings"]
    data = rng.randbytes(256 * 1024)
    with file_with(data, 8, 16384) as file, contextlib.ExitStack() as stack:
        os.pwrite(file.writable, data, 0)
        run = stack.enter_context(submission.running(many_rings, rounds, file.fd, len(data), pass_fds=[file.fd]))
        stack.enter_context(told_as(f"{rounds} rings one after another, a file of {len(data):,} bytes through each"))
        run.until("few")
        before = (run.open_fds(), run.mappings("[io_uring]"), run.rss_bytes())
        run.until("many")
        after = (run.open_fds(), run.mappings("[io_uring]"), run.rss_bytes())
        checksum = run.result()
    due = functools.reduce(lambda checksum, _: zlib.crc32(data, checksum), range(rounds), 0)
    demand(checksum == due, f"{rounds} times the {len(data):,} bytes of the file", "other bytes")
    fds, mappings, memory = (max(0, b - a) for a, b in zip(before, after, strict=True))
    budget.at_most("fds_left", fds)
    budget.at_most("mappings_left", mappings)
    budget.at_most("bytes_left_per_ring", memory / rounds)


# --- words --------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def told_as(expected: str | Callable[[], str]) -> Iterator[None]:
    """A failure in the block is told as that of this expectation; what the simulated kernel says, in its own words."""
    try:
        yield
    except ForbiddenUse:
        raise
    except CheckFailed as failure:
        what = expected if isinstance(expected, str) else expected()
        words = re.fullmatch(r"it raised (?:uring_sim\.)?(Misuse|KeyboardInterrupt): (.*)", failure.seen, re.DOTALL)
        if words is not None:
            seen = words[2] if words[1] == "KeyboardInterrupt" else f"the simulated kernel: {words[2]}"
            raise CheckFailed(expected=what, seen=seen, evidence=failure.evidence) from failure
        if not failure.seen.startswith("it raised"):
            raise
        seen = failure.seen
        if "[Errno 9]" in seen and "real kernel" not in what:
            seen += "; only the simulated kernel knows this descriptor, so nothing but the ring can read from it"
        raise type(failure)(expected=what, seen=seen, evidence=failure.evidence) from failure
