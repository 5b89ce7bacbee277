"""What a submission of ex04 is graded by. Titles, hints, points and limits stand in its exercise.yaml.

Three worlds: a simulated kernel, which can be as nasty as a check likes; the real one; and a machine that has none for
us, where what only the real one can tell is unmeasured. Scenarios are shipped into the box, so each stands alone. What
a file holds and what came back crosses the wall in files without a name, and is compared here.
"""

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from grader.failures import CheckFailed, ForbiddenUse, Unmeasured, demand
from grader.harness import Budgets, Calls, Count, Run, Submission

Sizes = Mapping[str, int]

WRAPS = 0xFFFFFFF0  # 16 steps before heads and tails begin again at 0
BUDGET_BLOCKS = 4096  # the limits in exercise.yaml are for this many: 1.25 * ceil(blocks / depth) + 2


# --- the two queues, each alone -----------------------------------------------------------------------------------


def put_in(student: Any, room: Any, queues: list[list[Any]]) -> list[Any]:
    """For each queue, in each round, prepare these requests and submit. Their completions are thrown away."""
    import signal

    from uring_sim import Kernel

    def stuck(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt("it was still busy after 4 seconds of processor time: a loop that does not end")

    signal.signal(signal.SIGVTALRM, stuck)
    signal.setitimer(signal.ITIMER_VIRTUAL, 4.0)
    everything = []
    for entries, rounds in queues:
        kernel = Kernel(entries, {})
        ring = student.Ring(kernel.mem, kernel.enter)
        told = []
        for requests in rounds:
            before, known = kernel.enters, len(kernel.accepted)
            answers = [ring.prep_read(*request) for request in requests]
            enters = kernel.enters - before
            submitted = ring.submit()
            taken = [[r.fd, r.addr, r.len, r.off, r.user_data] for r in kernel.accepted[known:]]
            kernel.mem.cq_head.value = kernel.mem.cq_tail.value
            left = kernel.mem.sq_tail.value - kernel.mem.sq_head.value
            told.append([answers, enters, submitted, taken, kernel.enters - before, left])
        everything.append(told)
        room.pause(f"queue_{entries}")
    return everything


def random_request(rng: Random) -> list[int]:
    """fd, addr, nbytes, offset, user_data. No file has this descriptor, so nothing is read or written."""
    wide = rng.getrandbits
    return [wide(20) + (1 << 20), wide(47), wide(31), wide(62), wide(64)]


def call_of(request: Sequence[int]) -> str:
    fd, addr, nbytes, offset, user_data = request
    return f"prep_read(fd={fd}, addr={addr:#x}, nbytes={nbytes}, offset={offset}, user_data={user_data})"


def test_one(submission: Submission, rng: Random) -> None:
    request = random_request(rng)
    with told_as("prep_read() and submit() hand one request to the kernel"):
        (((answers, enters, submitted, taken, all_enters, left),),) = submission.run(put_in, [[4, [[request]]]])
    demand(answers == [True], "prep_read() on an empty queue returns True", answers[0])
    demand(
        enters == 0, "prep_read() only writes to memory; submit() makes the system call", f"calls of enter: {enters}"
    )
    if not taken:
        raise CheckFailed(
            expected="the kernel takes one request",
            seen=f"none; calls of enter: {all_enters}, requests that sq_tail says are there: {left}",
        )
    if taken != [request]:
        names = ("fd", "addr", "len", "off", "user_data")
        seen = [f"{n}={v}" for n, v, w in zip(names, taken[0], request, strict=True) if v != w]
        raise CheckFailed(
            expected=f"the kernel takes the request of {call_of(request)}",
            seen=f"a request with {', '.join(seen)}" if len(taken) == 1 else f"{len(taken)} requests",
        )
    demand(submitted == 1, "submit() returns 1, the number of requests that the kernel has taken", submitted)


def test_fill(submission: Submission, sizes: Sizes, rng: Random) -> None:
    queues: list[tuple[int, list[list[list[int]]]]] = []
    for entries, count in ((8, sizes["rounds"]), (1, sizes["rounds"] // 20)):
        counts = [entries, entries + 2] + [rng.randint(1, entries + 2) for _ in range(count - 2)]
        queues.append((entries, [[random_request(rng) for _ in range(count)] for count in counts]))
    with submission.running(put_in, queues) as run:
        for entries, rounds in queues:
            with told_as(f"{len(rounds)} rounds of prep_read() and submit(), a submission queue of {entries}"):
                run.until(f"queue_{entries}")
        result = run.result()
    for (entries, rounds), told in zip(queues, result, strict=True):
        for number, (requests, (answers, _, submitted, taken, _, _)) in enumerate(zip(rounds, told, strict=True)):
            room = min(len(requests), entries)
            place = f"(round {number + 1}, a submission queue of {entries})"
            if answers != [True] * room + [False] * (len(requests) - room):
                wrong = next(n for n, answer in enumerate(answers) if answer is not (n < entries))
                raise CheckFailed(
                    expected=f"prep_read() returns {wrong < entries} when {wrong} of {entries} places are taken",
                    seen=f"{answers[wrong]!r} {place}",
                )
            if taken != requests[:room]:
                seen = f"it took {len(taken)} requests: {why_others(requests[:room], taken)} {place}"
                raise CheckFailed(expected=f"the kernel takes the {room} requests that were prepared", seen=seen)
            demand(submitted == room, f"submit() returns {room}, as many as the kernel has taken", submitted)


def why_others(wanted: list[list[int]], taken: list[list[int]]) -> str:
    known = [wanted.index(request) + 1 if request in wanted else "an unknown one" for request in taken]
    return f"numbers {', '.join(map(str, known))} of those" if known else "none"


def post(student: Any, _room: Any, entries: int, batches: list[list[list[int]]]) -> list[Any]:
    """Post these completions, batch by batch, and let each be reaped."""
    import signal

    from uring_sim import Kernel

    def stuck(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt("it was still busy after 4 seconds of processor time: a loop that does not end")

    signal.signal(signal.SIGVTALRM, stuck)
    signal.setitimer(signal.ITIMER_VIRTUAL, 4.0)
    kernel = Kernel(entries, {})
    ring = student.Ring(kernel.mem, kernel.enter)
    told = []
    for batch in batches:
        for user_data, res in batch:
            kernel.complete(user_data, res)
        got = ring.reap()
        pairs = [[int(user_data), int(res)] for user_data, res in got]
        told.append([pairs, kernel.mem.cq_tail.value - kernel.mem.cq_head.value, kernel.enters])
        kernel.mem.cq_head.value = kernel.mem.cq_tail.value
    return told


def test_reap(submission: Submission, sizes: Sizes, rng: Random) -> None:
    entries = 4
    counts = [1, 0, 2 * entries, 3] + [rng.randint(0, 2 * entries) for _ in range(sizes["rounds"])]
    batches = [[[rng.getrandbits(64), rng.randint(-133, 1 << 30)] for _ in range(count)] for count in counts]
    with told_as(f"reap(), {len(batches)} times, a completion queue of {2 * entries}"):
        told = submission.run(post, entries, batches)
    for number, (batch, (got, left, enters)) in enumerate(zip(batches, told, strict=True)):
        place = f"(call {number + 1} of reap; completions in the queue: {len(batch)})"
        if got != batch:
            seen = f"a list of {len(got)}" if len(got) != len(batch) else f"first {next(pair_off(batch, got))}"
            raise CheckFailed(
                expected="reap() returns (user_data, res) of each completion in the queue", seen=f"{seen} {place}"
            )
        demand(left == 0, "reap() advances cq_head to cq_tail", f"it is {left} behind {place}")
        demand(enters == 0, "reap() reads memory and makes no system call", f"calls of enter: {enters} {place}")


def pair_off(wanted: list[list[int]], got: list[list[int]]) -> Iterator[str]:
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

    def __str__(self) -> str:
        ways = [WAYS[name] for name, value in self.kernel.items() if name in WAYS and value]
        if self.kernel.get("first"):
            ways.append(f"heads and tails begin at {self.kernel['first']:#x}")
        there = "" if self.there is None else f" of a file with {self.there:,} bytes"
        return (
            f"read_file(ring, fd, size={self.size}, block={self.block}){there}, a submission queue of {self.entries}"
            f"{''.join('; ' + way for way in ways)}"
        )

    @property
    def outcome(self) -> str:
        """What must come of it."""
        too_short = self.there is not None and self.there < self.size
        return f"{self}: {'EOFError' if too_short else 'what the file holds'}"


WAYS = {
    "short": "half of the reads are short",
    "again": "some reads give -EAGAIN",
    "partial": "enter often takes fewer requests than it is asked to",
    "interrupt": "signals interrupt enter (EINTR)",
    "order": "completions out of order",
    "lag": "no more completions than enter waits for",
}


def read_simulated(student: Any, room: Any, jobs: list[dict[str, Any]], result_fd: int) -> list[Any]:
    """Read one file after another, each through a kernel of its own; what comes back goes to result_fd."""
    import os
    import random
    import signal

    from uring_sim import Kernel

    def stuck(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt("it was still busy after 4 seconds of processor time: a loop that does not end")

    signal.signal(signal.SIGVTALRM, stuck)
    told = []
    for number, job in enumerate(jobs):
        content = random.Random(job["seed"]).randbytes(job["there"])
        fd = 2_000_000 + number  # beyond any limit: no system call can read from it
        kernel = Kernel(job["entries"], {fd: content}, seed=job["seed"], **job["kernel"])
        signal.setitimer(signal.ITIMER_VIRTUAL, 4.0)
        ring = student.Ring(kernel.mem, kernel.enter)
        error, got = "", b""
        try:
            got = student.read_file(ring, fd, job["size"], job["block"])
        except EOFError:
            error = "EOFError"
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        if not isinstance(got, (bytes, bytearray)):
            error = f"a {type(got).__name__} came back"
        length = 0 if error else os.write(result_fd, got)
        asked = [[request.off, request.len] for request in kernel.accepted]
        told.append([error, length, kernel.enters, kernel.most_in_flight, kernel.in_flight, asked])
        room.pause(f"read_{number}")
    return told


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What one simulated kernel has seen."""

    enters: int
    most_in_flight: int
    asked: list[tuple[int, int]]  # offset and length


def read_all(submission: Submission, jobs: Sequence[Job]) -> list[Story]:
    """Read the files and compare; one that is too short must be told by EOFError."""
    orders = [
        {"size": j.size, "block": j.block, "entries": j.entries, "seed": j.seed, "kernel": dict(j.kernel)}
        | {"there": j.size if j.there is None else j.there}
        for j in jobs
    ]
    with unnamed_file() as result, submission.running(read_simulated, orders, result, pass_fds=[result]) as run:
        for number, job in enumerate(jobs):
            with told_as(job.outcome):
                run.until(f"read_{number}")
        stories = []
        position = 0
        for job, (error, length, enters, most, in_flight, asked) in zip(jobs, run.result(), strict=True):
            got = os.pread(result, length, position)
            position += length
            compare(job, error, got)
            demand(in_flight == 0, f"{job}: nothing is in flight when it returns", f"requests in flight: {in_flight}")
            stories.append(Story(enters=enters, most_in_flight=most, asked=[(off, n) for off, n in asked]))
    return stories


def compare(job: Job, error: str, got: bytes) -> None:
    content = job.content
    if len(content) < job.size:
        demand(error == "EOFError", job.outcome, error or f"it returned {len(got):,} bytes")
    elif error:
        raise CheckFailed(expected=job.outcome, seen=error)
    else:
        same(job.outcome, content[: job.size], got, job.block)


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
    lengths = (0, 1, block - 1, block, block + 1, 3 * block, 10 * block + 7)
    jobs = [job(size, block, depth) for depth in (1, 3, 7, 32) for size in lengths]
    jobs += [job(1000, 1, 7), job(1000, 5000, 7), job(sizes["big_file"], 4096, 32)]
    jobs += [Job(size=4096, there=4101, block=1000, entries=3, seed=rng.getrandbits(32))]
    for read, story in zip(jobs, read_all(submission, jobs), strict=True):
        if read.size == 0:
            demand(
                story.enters == 0,
                f"{read}: no system call, there is nothing to read",
                f"calls of enter: {story.enters}",
            )


def test_order(submission: Submission, sizes: Sizes, rng: Random) -> None:
    block = sizes["block"]
    jobs = [
        # The last block is short and stands in a batch with others, so that mistaking it for another shows.
        Job(size=count * block + 5, block=block, entries=entries, seed=rng.getrandbits(32), kernel={"order": order})
        for order in ("reversed", "shuffled", "shuffled")
        for entries, count in ((8, 7), (8, 47), (32, 95))
    ]
    for job, story in zip(jobs, read_all(submission, jobs), strict=True):
        seen: set[int] = set()
        for offset, length in story.asked:
            there = range(offset, min(offset + length, job.size))
            if not seen.isdisjoint(there):
                raise CheckFailed(
                    expected=f"{job}: no byte is asked for twice",
                    seen=f"{len(story.asked)} requests for {job.blocks} blocks; the one for {length} bytes at offset "
                    f"{offset} is too many: a completion was taken for another request's",
                )
            seen.update(there)


def test_short(submission: Submission, sizes: Sizes, rng: Random) -> None:
    block = sizes["block"]

    def job(count: int, entries: int, *, missing: int | None = None, **kernel: Any) -> Job:
        size = count * block + 5
        there = None if missing is None else size - missing
        return Job(size=size, there=there, block=block, entries=entries, seed=rng.getrandbits(32), kernel=kernel)

    jobs = [job(count, entries, short=0.5) for entries, count in ((1, 5), (8, 47), (32, 95))]
    jobs += [job(count, entries, missing=missing) for entries, count, missing in ((8, 20, 1), (8, 20, 5), (1, 3, 11))]
    jobs += [job(9, 8, missing=9 * block), job(3, 8, missing=3 * block + 5), job(20, 8, missing=block, short=0.5)]
    read_all(submission, jobs)


def test_partial(submission: Submission, sizes: Sizes, rng: Random) -> None:
    block = sizes["block"]
    ways = ({"partial": 0.5}, {"interrupt": 0.4}, {"again": 0.3}, {"partial": 0.5, "interrupt": 0.3, "again": 0.2})
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
        Job(size=count * block + 5, block=block, entries=entries, seed=rng.getrandbits(32), kernel={"first": first})
        for first, entries, count in ((WRAPS, 8, 47), (WRAPS, 32, 95), (WRAPS + 15, 1, 5), (1 << 31, 8, 47))
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
    import ctypes
    import os

    setup, enter, parameters_bytes = 425, 426, 120  # io_uring_setup(2), io_uring_enter(2), struct io_uring_params
    libc = ctypes.CDLL(None, use_errno=True)
    ring = libc.syscall(setup, 4, ctypes.create_string_buffer(parameters_bytes))
    name = "io_uring_setup"
    if ring >= 0:
        name = "io_uring_enter"
        done = libc.syscall(enter, ring, 0, 0, 0, None, ctypes.c_size_t(0))
        error = ctypes.get_errno()
        os.close(ring)
        if done == 0:
            return ""
        ctypes.set_errno(error)
    return f"{name}: {os.strerror(ctypes.get_errno())}"


def require_io_uring(submission: Submission) -> None:
    """
    Raises:
        Unmeasured: this machine has none for us, as a box without a submission has found out.
    """
    reason = submission.on_this_machine(why_no_ring)
    if reason:
        raise Unmeasured(f"No ring can be made on this machine ({reason}). `grade doctor` says what can be done.")


def read_real(student: Any, room: Any, jobs: list[list[int]], result_fd: int) -> list[int]:
    """Read one file after another, each through a ring of its own; what comes back goes to result_fd."""
    import os

    import uring_abi

    lengths = []
    for number, (entries, fd, size, block) in enumerate(jobs):
        with uring_abi.setup(entries) as (mem, enter):
            room.mark(f"begin_{number}")
            ring = student.Ring(mem, enter)
            got = student.read_file(ring, fd, size, block)
            room.mark(f"end_{number}")
        lengths.append(os.write(result_fd, got))
        room.pause(f"read_{number}")
    return lengths


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file of the judge's to read: `data` is what it holds, and nothing in the box knows its name."""

    fd: int
    data: bytes
    entries: int
    block: int

    def __str__(self) -> str:
        return (
            f"read_file(ring, fd={self.fd}, size={len(self.data)}, block={self.block}), the real kernel, a submission "
            f"queue of {self.entries}: what the file holds"
        )


@contextlib.contextmanager
def reading(submission: Submission, files: Sequence[File], *, traced: bool = False) -> Iterator[Run]:
    """Let these files be read and compare what comes back; the block can look at the trace then."""
    jobs = [[file.entries, file.fd, len(file.data), file.block] for file in files]
    descriptors = {file.fd for file in files}
    with (
        unnamed_file() as result,
        submission.running(read_real, jobs, result, pass_fds=[*descriptors, result], traced=traced) as run,
    ):
        for number, file in enumerate(files):
            with told_as(str(file)):
                run.until(f"read_{number}")
        position = 0
        for file, length in zip(files, run.result(), strict=True):
            same(str(file), file.data, os.pread(result, length, position), file.block)
            position += length
        yield run


@contextlib.contextmanager
def file_with(data: bytes, *, in_memory: bool = False) -> Iterator[int]:
    """A file without a name that can only be read; one in memory is read by workers of the kernel, out of order."""
    with unnamed_file(in_memory=in_memory) as writable:
        os.pwrite(writable, data, 0)
        fd = os.open(f"/proc/self/fd/{writable}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            yield fd
        finally:
            os.close(fd)


@contextlib.contextmanager
def unnamed_file(*, in_memory: bool = True) -> Iterator[int]:
    if in_memory:
        fd = os.memfd_create("ex04", os.MFD_CLOEXEC)
    else:
        with tempfile.TemporaryFile() as file:
            fd = os.dup(file.fileno())
    try:
        yield fd
    finally:
        os.close(fd)


def test_real(submission: Submission, sizes: Sizes, rng: Random) -> None:
    require_io_uring(submission)
    data, in_memory = rng.randbytes(sizes["real_file"]), rng.randbytes(sizes["real_file"] // 3)
    with file_with(data) as file, file_with(in_memory, in_memory=True) as workers:
        files = [
            File(fd=file, data=data, entries=32, block=4096),
            File(fd=workers, data=in_memory, entries=32, block=1000),
            File(fd=file, data=data[:1], entries=1, block=4096),
            File(fd=workers, data=in_memory[:10_001], entries=3, block=1000),
        ]
        with reading(submission, files):
            pass


def test_budget(submission: Submission, budget: Budgets, rng: Random) -> None:
    require_io_uring(submission)
    data = rng.randbytes(BUDGET_BLOCKS * 4096)
    with file_with(data) as fd:
        files = [File(fd=fd, data=data, entries=entries, block=4096) for entries in (32, 256)]

        def enters(number: int) -> Count:
            with reading(submission, [files[number]], traced=True) as run:
                return run.between("begin_0", "end_0").of("io_uring_enter")

        budget.at_most("enters_depth_32", lambda: enters(0))
        budget.at_most("enters_depth_256", lambda: enters(1))


def test_honest(submission: Submission, sizes: Sizes, rng: Random) -> None:
    honest_in_the_simulator(submission, sizes, rng)
    require_io_uring(submission)
    if submission.strace is None:
        raise Unmeasured(submission.untraceable)
    data = rng.randbytes(sizes["real_file"])
    with file_with(data) as fd:
        file = File(fd=fd, data=data, entries=32, block=4096)
        with reading(submission, [file], traced=True) as run:
            honest_in_the_trace(run.between("begin_0", "end_0"), file, submission)


def honest_in_the_simulator(submission: Submission, sizes: Sizes, rng: Random) -> None:
    block = sizes["block"]
    jobs = [
        Job(size=count * block + 5, block=block, entries=entries, seed=rng.getrandbits(32), kernel={"lag": True})
        for entries, count in ((8, 100), (32, 400))
    ]
    for job, story in zip(jobs, read_all(submission, jobs), strict=True):
        longest = max((length for _, length in story.asked), default=0)
        demand(longest <= block, f"{job}: no request is longer than a block", f"one of {longest:,} bytes")
        asked = {byte for offset, length in story.asked for byte in range(offset, offset + length)}
        missing = len(set(range(job.size)) - asked)
        demand(missing == 0, f"{job}: every byte is asked of the kernel", f"{missing:,} bytes were not asked for")
        places = 2 * job.entries
        demand(
            story.most_in_flight <= places,
            f"{job}: at most {places} requests in flight, as many as the completion queue has places",
            f"{story.most_in_flight} at one time: the kernel has no place for all their completions",
        )


def honest_in_the_trace(calls: Calls, file: File, submission: Submission) -> None:
    everything = calls.everything()
    if everything is None:
        raise Unmeasured(submission.untraceable)
    reasons = submission.exercise.forbidden.calls
    fd = file.fd
    past_the_ring = re.compile(
        rf"(?!fcntl)\w+\({fd}\b|fcntl\({fd}, F_DUPFD|sendfile\(\d+, {fd}\b|mmap\((?:[^,]+, ){{4}}{fd}\b"
    )
    for call in everything:
        if call.name == "io_uring_setup":
            raise ForbiddenUse(
                expected="the ring that was given to Ring(mem, enter)",
                seen="a ring of its own" + (", polled by a kernel thread (SQPOLL)" if "SQPOLL" in call.text else ""),
                evidence=[call.text],
            )
        if call.name.startswith("open") and re.search(r'"(/proc/.*/fd/|/dev/fd/)', call.text):
            raise ForbiddenUse(
                expected="every byte of the file comes through the ring",
                seen="it opens the file once more",
                evidence=[call.text],
            )
    past = [call for call in everything if call.name in reasons and past_the_ring.match(call.text)]
    if past:
        # Python's mmap() makes a second descriptor first; the mapping says more.
        call = next((call for call in past if not call.name.startswith(("dup", "fcntl"))), past[0])
        seen = f"{call.name}: {reasons[call.name].in_('en')}"
        raise ForbiddenUse(expected="every byte of the file comes through the ring", seen=seen, evidence=[call.text])
    enters = [call.text for call in everything if call.name == "io_uring_enter"]
    taken = sum(map(taken_by, enters))
    blocks = -(-len(file.data) // file.block)
    if taken < blocks:
        raise CheckFailed(
            expected=f"{file}: at least {blocks} requests, one for each block",
            seen=f"the kernel took {taken}",
            evidence=enters[:5],
        )


def taken_by(line: str) -> int:
    """How many requests one line of the trace says that the kernel took; what it was asked to, if the line was cut."""
    asked = re.match(r"io_uring_enter\(\d+, (\d+)", line)
    result = re.search(r"\) += (-?\d+)", line)
    return max(0, int(result[1])) if result else int(asked[1]) if asked else 0


def many_rings(student: Any, room: Any, rounds: int, fd: int, size: int) -> int:
    """One ring after another. Pauses with nothing in use after a few, and after all."""
    import gc

    import uring_abi

    def once() -> int:
        with uring_abi.setup(8) as (mem, enter):
            ring = student.Ring(mem, enter)
            return len(student.read_file(ring, fd, size, 16384))

    for _ in range(5):
        once()
    gc.collect()
    room.pause("few")
    total = sum(once() for _ in range(rounds))
    gc.collect()
    room.pause("many")
    return total


def test_leak(submission: Submission, budget: Budgets, sizes: Sizes, rng: Random) -> None:
    require_io_uring(submission)
    rounds = sizes["rings"]
    data = rng.randbytes(256 * 1024)
    with (
        file_with(data) as fd,
        submission.running(many_rings, rounds, fd, len(data), pass_fds=[fd]) as run,
        told_as(f"{rounds} rings one after another, a file of {len(data):,} bytes through each"),
    ):
        run.until("few")
        before = (run.open_fds(), run.mappings("[io_uring]"), run.rss_bytes())
        run.until("many")
        after = (run.open_fds(), run.mappings("[io_uring]"), run.rss_bytes())
        total = run.result()
    demand(total == rounds * len(data), f"{rounds * len(data):,} bytes, read through {rounds} rings", f"{total:,}")
    fds, mappings, memory = (max(0, b - a) for a, b in zip(before, after, strict=True))
    budget.at_most("fds_left", fds)
    budget.at_most("mappings_left", mappings)
    budget.at_most("bytes_left_per_ring", memory / rounds)


# --- words --------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def told_as(expected: str) -> Iterator[None]:
    """A failure in the block is told as that of this expectation; what the simulated kernel says, in its own words."""
    try:
        yield
    except ForbiddenUse:
        raise
    except CheckFailed as failure:
        words = re.fullmatch(r"it raised (?:uring_sim\.)?(Misuse|KeyboardInterrupt): (.*)", failure.seen, re.DOTALL)
        if words is None:
            seen = failure.seen
            if "[Errno 9]" in seen and "real kernel" not in expected:
                seen += "; only the simulated kernel knows this descriptor, so nothing but the ring can read from it"
            raise type(failure)(expected=expected, seen=seen, evidence=failure.evidence) from failure
        seen = words[2] if words[1] == "KeyboardInterrupt" else f"the simulated kernel: {words[2]}"
        raise CheckFailed(expected=expected, seen=seen, evidence=failure.evidence) from failure
