"""Whole files, through the real kernel, on a machine that has a ring for us. What a file holds is written into it when
its window has begun, so nothing that a program does outside of the window can have read it.
"""

import contextlib
import os
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from ring_conduct import LIBRARY, RESTRICTS, Conduct, a_ring_of_its_own
from ring_files import same, unnamed_file, written_to
from ring_words import told_as

from grader.checks import Call, Calls, ForbiddenUse, Run, Sizes, Submission, Unmeasured, require


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
            with told_as(str(file), simulated=False):
                run.until(f"ready_{number}")
                with run.counting(settled=False) as calls:  # it pauses before and behind
                    require_unmapped(run, file)
                    os.pwrite(file.writable, file.data, 0)
                    run.until(f"read_{number}")
                    got = written_to(result, len(file.data))
            same(str(file), file.data, got, file.block)
            windows.append(calls)
        for file, calls in zip(files, windows, strict=True):
            require_through_the_ring(submission, calls.all_calls(), file)
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


def require_unmapped(run: Run, file: File) -> None:
    name = Path(os.readlink(f"/proc/self/fd/{file.fd}")).name  # it has none in a folder; this one is the kernel's
    require(
        not run.mappings(name),
        expected="every byte of the file comes through the ring",
        seen="the file is mapped into memory before it is to be read",
        kind=ForbiddenUse,
    )


def require_no_other_ring(run: Run, rings: int) -> None:
    """The rings that a program was given are the only ones it ever has. One that was made early could read later, even
    without a call."""
    made = [call.text for call in run.calls().all_calls() or () if call.name == "io_uring_setup"]
    others = [text for text in made if "{flags=IORING_SETUP_R_DISABLED, " not in text] or made[-1:]
    require(
        len(made) <= rings,
        expected="the ring that was given to Ring(mem, enter)",
        seen=lambda: a_ring_of_its_own(others[0]),
        evidence=others[:1],
        kind=ForbiddenUse,
    )


def require_through_the_ring(submission: Submission, everything: Sequence[Call] | None, file: File) -> None:
    """Whatever was called while a file was read, one of these rules allows it."""
    if everything is None:  # what cannot be counted is unmeasured, where it is what the check is about
        return
    reasons = {name: reason.in_("en") for name, reason in submission.exercise.forbidden.calls.items()}
    level = submission.level
    conduct = Conduct(file.fd, reasons, (*LIBRARY, f"{sys.base_prefix}/", f"{level.folder}/", f"{level.given}/"))
    for call in everything:
        offence = conduct.offence(call)
        expected = "every byte of the file comes through the ring"
        require(not offence, expected=expected, seen=offence, evidence=[call.text], kind=ForbiddenUse)
    restrictions = [call.text for call in everything if RESTRICTS.match(call.text) and ") = -1" not in call.text]
    allowed = [re.findall(r"sqe_op=(\w+)", text) for text in restrictions]
    # An old strace shows none; and a list without any is of a ring that takes no request at all.
    require(
        allowed in ([["IORING_OP_READ"]], [[]]),
        expected="the ring that was given to Ring(mem, enter), which takes nothing but IORING_OP_READ",
        seen="a ring that takes other requests",
        evidence=restrictions[:2],
        kind=ForbiddenUse,
    )
