"""Whole files, through simulated kernels that can be as nasty as a check likes. The files and all counts are on the
judge's side: what came back crosses the wall in a file without a name, and is compared here.
"""

import contextlib
import errno
import os
import secrets
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Literal

from ring_queues import Enter
from ring_words import CPU_S, told_as
from uring_sim import Done, Kernel, Look

from grader.checks import Crashed, Submission, require

WAYS = {
    "short": "half of the reads are short",
    "again": "some reads give -EAGAIN",
    "partial": "enter often takes fewer requests than it is asked to",
    "interrupt": "signals interrupt enter (EINTR)",
    "order": "completions out of order",
    "lag": "no more completions than enter waits for",
}


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


def read_simulated(student: Any, room: Any, jobs: list[list[int]], result_fd: int) -> None:
    """Read one file after another, each through rings of its own; what comes back goes to result_fd."""
    import os

    from uring_sim import Done, Rings

    for entries, first, cq_first, fd, size, block, fails in jobs:
        rings = Rings(entries, lambda look: Done(*room.ask(["enter", look])), first=first, cq_first=cq_first)
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
        room.further()
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
        require(not kernel.misuse, expected=job.outcome, seen=f"the simulated kernel: {kernel.misuse}")
        got = written_to(self._result, job.size)
        compare(job, error, got)
        require(
            kernel.in_flight == 0,
            expected=f"{job}: nothing is in flight when it returns",
            seen=f"requests: {kernel.in_flight}",
        )
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
            submission.running(
                read_simulated, orders, result, pass_fds=[result], answering=simulation.answer, cpu_s=CPU_S
            ) as run,
        ):
            run.result()
        require(
            len(simulation.stories) == len(jobs),
            expected=f"{len(jobs)} files are read",
            seen=f"{len(simulation.stories)}",
        )
    return simulation.stories


def compare(job: Job, error: str, got: bytes) -> None:
    if job.fails or error:
        require(error == job.fails, expected=job.outcome, seen=error or f"it returned {len(got):,} bytes")
    else:
        same(job.outcome, job.content[: job.size], got, job.block)


def same(what: str, content: bytes, got: bytes, block: int) -> None:
    """What came back is what the file holds; else say where it is not, and what stands there."""
    require(len(got) == len(content), expected=f"{what}, {len(content):,} bytes", seen=f"{len(got):,} bytes")
    require(got == content, expected=what, seen=lambda: difference(content, got, block))


def difference(content: bytes, got: bytes, block: int) -> str:
    """Where as many other bytes differ from a file, and what stands there."""
    blocks = [(n, content[n : n + block], got[n : n + block]) for n in range(0, len(content), block)]
    wrong = [(offset, want, have) for offset, want, have in blocks if want != have]
    offset, want, have = wrong[0]
    inner = next(n for n, (a, b) in enumerate(zip(want, have, strict=True)) if a != b)
    what_stands = f"{have[inner : inner + 8].hex(' ')}, the file has {want[inner : inner + 8].hex(' ')}"
    if not any(have[inner:]):
        what_stands = "zeros stand from there to the end of the block: nobody has read that part"
    elif other := next((n // block for n, content_there, _ in blocks if n != offset and content_there == have), None):
        what_stands = f"the bytes of block {other} stand there"
    return (
        f"blocks that differ: {len(wrong)} of {len(blocks)}; the first is block {offset // block}, from its byte "
        f"{inner} on: {what_stands}"
    )


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


def read_each_byte_once(submission: Submission, jobs: Sequence[Job], because: str) -> None:
    for job, story in zip(jobs, read_all(submission, jobs), strict=True):
        require(
            story.asked_again == 0,
            expected=f"{job}: no byte is asked for again that has come, or is to come",
            seen=f"{len(story.asked)} requests for {job.blocks} blocks, {story.asked_again:,} bytes too many: "
            f"{because}",
        )
