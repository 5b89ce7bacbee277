"""What a submission of ex04 is graded by. Titles, hints, points and limits stand in its exercise.yaml.

Three worlds: a simulated kernel, which can be as nasty as a check likes; the real one; and a machine that has none for
us, where what only the real one can tell is unmeasured. Scenarios are shipped into the box, so each stands alone. What
a file holds and what came back crosses the wall in files without a name, and is compared here.
"""

import contextlib
import functools
import os
import zlib
from random import Random
from typing import Any

from ring_conduct import taken_by
from ring_files import Job, read_all, read_each_byte_once
from ring_queues import Reaping, call_of, random_request, rounds_of, take_out, why_others
from ring_real import File, file_with, read_through_rings, require_io_uring, some_files
from ring_words import CPU_S, told_as

from grader.checks import Budgets, Calls, Count, Sizes, Submission, Unmeasured, require

WRAPS = 0xFFFFFFF0  # 16 steps before heads and tails begin again at 0
BUDGET_BLOCKS = 4096  # the limits in exercise.yaml are for this many: 1.25 * ceil(blocks / depth) + 2


# --- the two queues, each alone -----------------------------------------------------------------------------------


def test_one(submission: Submission, rng: Random) -> None:
    request = random_request(rng, user_data_bits=31)
    ((told,),) = rounds_of(submission, [(4, [[request]])], strict=False)
    require(told.answers == [True], expected="prep_read() on an empty queue returns True", seen=told.answers[0])
    require(
        told.taken,
        expected="the kernel takes one request",
        seen=f"none; calls of enter: {told.all_enters}, requests that sq_tail says are there: {told.left}",
    )
    names = ("fd", "addr", "len", "off", "user_data")
    others = [f"{n}={v}" for n, v, w in zip(names, told.taken[0], request, strict=True) if v != w]
    require(
        told.taken == [request],
        expected=f"the kernel takes the request of {call_of(request)}",
        seen=f"a request with {', '.join(others)}" if len(told.taken) == 1 else f"{len(told.taken)} requests",
    )


def test_fill(submission: Submission, sizes: Sizes, rng: Random) -> None:
    queues: list[tuple[int, list[list[list[int]]]]] = []
    for entries, count in ((8, sizes["rounds"]), (1, sizes["rounds"] // 20)):
        counts = [entries, entries + 2] + [rng.randint(1, entries + 2) for _ in range(count - 2)]
        queues.append((entries, [[random_request(rng) for _ in range(count)] for count in counts]))
    for (entries, rounds), told in zip(queues, rounds_of(submission, queues), strict=True):
        for number, (requests, seen) in enumerate(zip(rounds, told, strict=True)):
            room = min(len(requests), entries)
            require(
                seen.enters == 0,
                expected="prep_read() only writes to memory; submit() makes the system call",
                seen=f"calls of enter: {seen.enters}",
            )
            place = f"(round {number + 1}, a submission queue of {entries})"
            wrong = next((n for n, answer in enumerate(seen.answers) if answer is not (n < entries)), 0)
            require(
                seen.answers == [True] * room + [False] * (len(requests) - room),
                expected=f"prep_read() returns {wrong < entries} when {wrong} of {entries} places are taken",
                seen=f"{seen.answers[wrong : wrong + 1]} {place}",
            )
            others = why_others(requests[:room], seen.taken)
            require(
                seen.taken == requests[:room],
                expected=f"the kernel takes the {room} requests that were prepared",
                seen=f"it took {len(seen.taken)} requests: {others} {place}",
            )
            require(
                seen.submitted == room,
                expected=f"submit() returns {room}, as many as the kernel has taken",
                seen=seen.submitted,
            )


def test_reap(submission: Submission, sizes: Sizes, rng: Random) -> None:
    entries = 4
    counts = [1, 0, 2 * entries, 3] + [rng.randint(0, 2 * entries) for _ in range(sizes["rounds"])]
    batches = [[(rng.getrandbits(64), rng.randint(-133, 1 << 30)) for _ in range(count)] for count in counts]
    reaping = Reaping(entries, batches, rng)
    expected = f"reap(), {len(batches)} times, a completion queue of {2 * entries}"
    with told_as(expected):
        submission.run(take_out, entries, answering=reaping.answer, cpu_s=CPU_S)
    require(reaping.posted == len(batches), expected=expected, seen=f"{reaping.posted} times")


# --- whole files, through a simulated kernel ----------------------------------------------------------------------


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
            require(story.enters == 0, expected=f"{job}: no system call, there is nothing to read", seen=seen)


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
        require(
            length <= most,
            expected=f"{job}: what could not be read is asked for again, no request for more than {most:,} bytes",
            seen=f"a request for {length:,} bytes at offset {offset:,}",
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
    no_longer = f"{job}: no request is longer than a block"
    require(longest <= job.block, expected=no_longer, seen=f"one of {longest:,} bytes")
    at_most = f"{job}: at most {most:.0f} calls of enter"
    require(story.enters <= most, expected=at_most, seen=f"{story.enters:,} calls of enter")


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
    enters = [call.text for call in calls.all_calls() or () if call.name == "io_uring_enter"]
    taken, blocks = sum(map(taken_by, enters)), -(-len(file.data) // file.block)
    require(
        taken >= blocks,
        expected=f"{file}: at least {blocks} requests, one for each block",
        seen=f"the kernel took {taken}",
        evidence=enters[:5],
    )


def honest_in_the_simulator(submission: Submission, sizes: Sizes, rng: Random) -> None:
    block = sizes["block"]
    jobs = [
        Job(size=count * block + 5, block=block, entries=entries, seed=rng.getrandbits(32), kernel={"lag": True})
        for entries, count in ((8, 100), (32, 400))
    ]
    for job, story in zip(jobs, read_all(submission, jobs), strict=True):
        longest = max((length for _, length in story.asked), default=0)
        require(
            longest <= block, expected=f"{job}: no request is longer than a block", seen=f"one of {longest:,} bytes"
        )
        whole = range(job.size)
        missing = len(set(whole).difference(*(whole[offset : offset + length] for offset, length in story.asked)))
        require(
            missing == 0,
            expected=f"{job}: every byte is asked of the kernel",
            seen=f"{missing:,} bytes were not asked for",
        )
        places = 2 * job.entries
        require(
            story.most_in_flight <= places,
            expected=f"{job}: at most {places} requests in flight, as many as the completion queue has places",
            seen=f"{story.most_in_flight} at one time: the kernel has no place for all their completions",
        )


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
        expected = f"{rounds} rings one after another, a file of {len(data):,} bytes through each"
        stack.enter_context(told_as(expected, simulated=False))
        run.until("few")
        before = (run.open_fds(), run.mappings("[io_uring]"), run.rss_bytes())
        run.until("many")
        after = (run.open_fds(), run.mappings("[io_uring]"), run.rss_bytes())
        checksum = run.result()
    due = functools.reduce(lambda checksum, _: zlib.crc32(data, checksum), range(rounds), 0)
    require(checksum == due, expected=f"{rounds} times the {len(data):,} bytes of the file", seen="other bytes")
    fds, mappings, memory = (max(0, b - a) for a, b in zip(before, after, strict=True))
    budget.at_most("fds_left", fds)
    budget.at_most("mappings_left", mappings)
    budget.at_most("bytes_left_per_ring", memory / rounds)


# --- words --------------------------------------------------------------------------------------------------------
