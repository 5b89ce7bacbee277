"""The story of one grading, seen from outside the judge: a clean folder, a canary, a judge, its events, a report.

It fails closed. A report is `Graded` only when every check that was asked for has reported, each once, and the judge
said that it was finished; anything else is `Ungraded`, with the checks that ended shown for information.
"""

import contextlib
import json
import os
import secrets
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from pydantic import ValidationError

from grader.box import kernel
from grader.box.inside import CANARY_HOST
from grader.box.scratch import held_folder
from grader.box.wall import NO_REMOTE_DEBUG, NO_REMOTE_DEBUG_X
from grader.course.load import Course, Exercise
from grader.errors import GraderError
from grader.grading.handed_in import collect
from grader.judge.process import Job
from grader.report.model import UNCOUNTED, Check, Graded, Isolation, Machine, Ungraded, scored
from grader.safe_text import safe_text
from grader.versions import kit_version

BOX_GRACE_S = 10.0  # behind a check's own deadline: then its box is killed from here
JUDGE_GRACE_S = 20.0  # behind that: then the judge hangs, and there is no verdict
START_S = 180.0  # a judge that has not proven its wall by then hangs; strace alone may take 60

OnCheck = Callable[[Check], None]
OnReady = Callable[["Start"], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What is known when the first check begins."""

    isolation: Isolation
    refused: str  # why it is not boxed; empty when it is
    untraceable: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What to grade, and how."""

    course: Course
    exercise: Exercise
    source: Path  # a folder, a file or a zip
    seed: int
    machine: Machine
    bwrap: str | None  # absolute paths; None where it is not installed
    strace: str | None
    own: bool  # a person's own work, or the course's: it may run bare where nothing better is to be had
    trust: bool = False  # run bare
    hidden: bool = False  # with the hidden sizes
    checks: tuple[str, ...] = ()  # all, when empty
    language: str = "en"
    keep: Path | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The checks to run, in order, with what they need."""
        return self.exercise.with_needs(self.checks or [check.name for check in self.exercise.checks])


def grade(order: Order, on_ready: OnReady, on_check: OnCheck) -> Graded | Ungraded:
    """Grade one submission.

    Args:
        on_ready: called once, when the level of isolation is proven.
        on_check: called for each check as it ends.

    Raises:
        SubmissionError: what was handed in cannot be graded.
    """
    kernel.adopt_orphans()
    seen: list[Check] = []
    starts: list[Start] = []

    def ready(start: Start) -> None:
        starts.append(start)
        on_ready(start)

    def note(check: Check) -> None:
        seen.append(check)
        on_check(check)

    with _usual_umask(), held_folder() as staging:
        staging.chmod(0o755)
        ignored = _stage(order, staging)
        try:
            _run(order, staging, ready, note)
        except GraderError as error:
            return Ungraded(reason=str(error), checks=tuple(seen), **_common(order, starts, ignored))
    return _graded(order, starts, seen, ignored)


@contextlib.contextmanager
def _usual_umask() -> Iterator[None]:
    """What is staged is read by another user, whatever this one keeps from others."""
    before = os.umask(0o022)
    try:
        yield
    finally:
        os.umask(before)


def _stage(order: Order, staging: Path) -> tuple[str, ...]:
    """Copy what was handed in, and the given modules, into the staging folder."""
    exercise = order.exercise
    (staging / "submission").mkdir()
    handed_in = collect(order.source, exercise.submit, staging / "submission", file_kb=exercise.limits.file_kb)
    given = staging / "given"
    given.mkdir()
    for name in exercise.given:
        shutil.copyfile(exercise.handout_dir / name, given / name)
    published = {"README.md", "exercise.yaml", *exercise.given} if order.source == exercise.handout_dir else set()
    return tuple(safe_text(name) for name in handed_in.ignored if name not in published)


def _common(order: Order, starts: Sequence[Start], ignored: tuple[str, ...]) -> dict[str, Any]:
    exercise = order.exercise
    start = starts[-1] if starts else None
    return {
        "exercise": exercise.slug,
        "title": exercise.title.in_(order.language),
        "isolation": None if start is None else start.isolation,
        "missing_protections": (start.refused,) if start is not None and start.refused else (),
        "sizes": "hidden" if order.hidden else "public",
        "seed": order.seed,
        "kit_version": kit_version(),
        "checks_digest": exercise.digest,
        "machine": order.machine,
        "ignored_files": ignored,
    }


def _graded(order: Order, starts: Sequence[Start], seen: Sequence[Check], ignored: tuple[str, ...]) -> Graded:
    checks = tuple(scored(check) for check in seen)
    return Graded(
        score=sum(check.score or 0 for check in checks),
        max_score=sum(check.points for check in checks),
        measurable_score=sum(check.points for check in checks if check.outcome not in UNCOUNTED),
        partial=bool(order.checks),
        official=starts[-1].isolation is Isolation.BOXED and not order.checks,
        checks=checks,
        **_common(order, starts, ignored),
    )


# --- the judge, from outside --------------------------------------------------------------------------------------


def _run(order: Order, staging: Path, on_ready: OnReady, on_check: OnCheck) -> None:
    """Run a judge boxed; where that is refused, bare, if this work may run so."""
    refusal = "it was asked for with --trust"
    if not order.trust:
        try:
            _judged(order, staging, "", on_ready, on_check)
        except _Refused as error:
            refusal = str(error)
            if not order.own:
                raise GraderError(
                    f"Other people's programs run only in a box, and this machine refuses one: {refusal}. "
                    "`grade doctor` says what is missing and the line that mends it; --trust runs it without."
                ) from error
        else:
            return
    _judged(order, staging, refusal, on_ready, on_check)


class _Refused(Exception):
    """The judge could not prove the wall."""


def _judged(order: Order, staging: Path, why_bare: str, on_ready: OnReady, on_check: OnCheck) -> None:
    if not why_bare and order.bwrap is None:
        raise _Refused("bubblewrap is not installed")
    log = staging / "judge.log"
    with contextlib.ExitStack() as stack:
        job = _job(order, staging, boxed=not why_bare, stack=stack)
        judge = stack.enter_context(_judge_process(job, log))
        try:
            _Conversation(order.names, judge, why_bare, on_ready, on_check).follow()
        except GraderError as error:
            words = safe_text(log.read_bytes()[-2000:]).strip().splitlines()
            raise GraderError(f"{error} Its log ends: {words[-1]}" if words else str(error)) from error
        finally:
            if order.keep is not None:
                shutil.copyfile(log, order.keep / "judge.log")


def _job(order: Order, staging: Path, *, boxed: bool, stack: contextlib.ExitStack) -> Job:
    """The job, with canaries that live in this process's own network for as long as the judge does."""
    listener = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
    listener.bind((CANARY_HOST, 0))
    listener.listen()
    abstract = f"tracegrade-{secrets.token_hex(8)}"
    local = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
    local.bind(f"\0{abstract}")
    local.listen()
    exercise = order.exercise
    sizes = exercise.hidden_sizes if order.hidden and exercise.hidden_sizes is not None else exercise.sizes
    return Job(
        parent_pid=os.getpid(),
        course_root=order.course.root,
        slug=exercise.slug,
        staging=staging,
        boxed=boxed,
        bwrap=order.bwrap or "",
        strace=order.strace,
        canary_port=listener.getsockname()[1],
        canary_abstract=abstract,
        canary_environ=secrets.token_hex(16),
        seed=order.seed,
        sizes=dict(sizes),
        checks=order.names,
        language=order.language,
        keep=order.keep,
    )


@dataclass(slots=True)
class _Judge:
    process: "subprocess.Popen[bytes]"
    events_fd: int


@contextlib.contextmanager
def _judge_process(job: Job, log: Path) -> Iterator[_Judge]:
    """A judge with an environment made from nothing but a canary, killed with all that is below it at the end."""
    reading, writing = os.pipe()
    environment = {
        "LANG": "C.UTF-8",
        "PATH": "/usr/bin:/bin",
        NO_REMOTE_DEBUG[0]: NO_REMOTE_DEBUG[1],
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "TRACEGRADE_CANARY": job.canary_environ,
    }
    parent = os.getpid()
    try:
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-I", "-X", NO_REMOTE_DEBUG_X, "-m", "grader.judge.process", str(writing)],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                env=environment,
                cwd="/",
                pass_fds=[writing],
                start_new_session=True,  # Ctrl-C is for this process, which then ends the judge in order
                preexec_fn=lambda: kernel.die_with_parent(parent),
            )
    except OSError as error:
        os.close(reading)
        raise GraderError(f"The judge could not be started: {error}.") from error
    finally:
        os.close(writing)
    try:
        assert process.stdin is not None  # a pipe was asked for
        with contextlib.suppress(BrokenPipeError), process.stdin as stdin:  # it died: its missing events will tell
            stdin.write(job.model_dump_json().encode())
        yield _Judge(process, reading)
    finally:
        os.close(reading)
        _end(process)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Kill the judge and every descendant; as a subreaper this process is the parent of what others left behind."""
    process.kill()
    process.wait()
    deadline_s = time.monotonic() + 10.0
    while (left := _descendants()) and time.monotonic() < deadline_s:
        for one in left:
            with contextlib.suppress(psutil.Error):
                one.kill()
        psutil.wait_procs(left, timeout=0.2)


def _descendants() -> list[psutil.Process]:
    """Those that are left, once what has ended is waited for."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if process.status() == psutil.STATUS_ZOMBIE:
                process.wait(timeout=0)
                continue
        # A zombie that cannot be waited for is another's child until that one has gone, or has threads that still end.
        if process.is_running():
            found.append(process)
    return found


@dataclass(slots=True)
class _Conversation:
    """What the judge says, and how long it may be silent."""

    names: tuple[str, ...]
    judge: _Judge
    why_bare: str
    on_ready: OnReady
    on_check: OnCheck
    _proven: bool = False
    _ended: list[str] = field(default_factory=list)
    _box_pid: int = 0
    _deadline_s: float = 0.0
    _box_killed: bool = False

    def follow(self) -> None:
        """Until `finished`.

        Raises:
            GraderError: no verdict.
            _Refused: the judge could not prove the wall.
        """
        self._deadline_s = time.monotonic() + START_S
        self._box_killed = True  # there is none yet
        for line in self._lines():
            if self._take(_event(line)):
                return
        raise GraderError(f"The judge ended before its verdict ({self._last_words()}). Run it again.")

    def _take(self, event: dict[str, Any]) -> bool:
        match event:
            case {"event": "refused", "reason": str(reason)}:
                raise _Refused(reason)
            case {"event": "ready", "untraceable": None | str() as untraceable}:
                level = Isolation.BARE if self.why_bare else Isolation.BOXED
                self._proven = True
                self.on_ready(Start(isolation=level, refused=self.why_bare, untraceable=untraceable))
            case {"event": "started", "deadline_s": int() | float() as deadline_s}:
                self._deadline_s = time.monotonic() + deadline_s + BOX_GRACE_S
                self._box_pid, self._box_killed = 0, False
            case {"event": "box", "pid": int(pid)}:
                self._box_pid = pid
            case {"event": "check", "check": found}:
                self._check(found)
            case {"event": "broken", "reason": str(reason)}:
                raise GraderError(reason)
            case {"event": "finished"}:
                if not self._proven:
                    raise GraderError("The judge finished without a word on how it isolates.")
                if tuple(self._ended) != self.names:
                    raise GraderError(f"The judge finished with {len(self._ended)} of {len(self.names)} checks.")
                return True
            case _:
                raise GraderError("The judge said something that is not an event.")
        return False

    def _check(self, found: object) -> None:
        try:
            check = Check.model_validate(found)
        except ValidationError as error:
            raise GraderError("The judge reported a check that is not one.") from error
        if check.name not in self.names or check.name in self._ended:
            raise GraderError(f"The judge reported the check {check.name}, which was not to come.")
        self._ended.append(check.name)
        self.on_check(check)

    def _lines(self) -> Iterator[bytes]:
        rest = b""
        while True:
            data = self._read()
            if not data:
                return
            *lines, rest = (rest + data).split(b"\n")
            yield from lines

    def _read(self) -> bytes:
        """More events. Behind the deadline the box is killed first; only a judge that still hangs ends the grading."""
        while not select.select([self.judge.events_fd], [], [], max(0.0, self._deadline_s - time.monotonic()))[0]:
            if self._box_killed:
                raise GraderError("The judge hangs: nothing came for long after the check's deadline. Run it again.")
            self._box_killed = True
            self._deadline_s = time.monotonic() + JUDGE_GRACE_S
            if self._box_pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self._box_pid, signal.SIGKILL)
        return os.read(self.judge.events_fd, 1 << 16)

    def _last_words(self) -> str:
        try:
            code = self.judge.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            return "it still runs"
        return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"


def _event(line: bytes) -> dict[str, Any]:
    try:
        event = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise GraderError("The judge said something that is not JSON.") from error
    return event if isinstance(event, dict) else {}
