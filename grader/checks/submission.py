"""What the author of a check holds: a submission that serves or runs a scenario, and counts of what it did.

This is where the wall, the tracer, the vitals and the crowd meet. A check needs to know nothing of strace, bubblewrap
or psutil:

    def shout(line: bytes) -> bytes:                       # shipped into the box, next to the submission
        return line.upper()

    def test_idle(submission, budget, sizes):
        with submission.serve(shout, traced=True) as server, server.crowd(sizes["crowd"]) as crowd:
            crowd.ask_each()
            with server.counting() as calls:
                quiet_for(0.5)
            budget.at_most("idle_syscalls", calls.total())

A count that may be taken again is handed to `at_most` as a function: over the limit it is called three times at most,
and the least counts. Noise only adds; nobody can be lucky below the truth.
"""

import contextlib
import os
import random
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from grader.box.box import Box, Sigkilled
from grader.box.channel import BoxEnded
from grader.box.levels import Level
from grader.checks import program
from grader.checks.advice import for_import
from grader.checks.boxes import Boxes, Kind
from grader.checks.last_words import last_lines, problem
from grader.checks.loading import Loading
from grader.checks.policies import Policies
from grader.checks.scenario import Run
from grader.checks.server import Server
from grader.checks.shipping import source_of, watched_source_of
from grader.course.model import Exercise
from grader.errors import GraderError
from grader.failures import CheckFailed, Crashed, ForbiddenUse, Unmeasured
from grader.measure import strace as tracer
from grader.measure import vitals
from grader.measure.clients import Address, Handler
from grader.words.languages import ENGLISH
from grader.words.say import say

_FOR_EVER_S = 3600.0
_BACKLOG = 4096
_KEPT_BYTES = 4 << 20  # of each trace, with --keep


@dataclass(slots=True, kw_only=True, repr=False)
class Submission:
    """What was handed in, ready to be put into a fresh box as often as a check likes."""

    boxes: Boxes
    untraceable: str  # why not, for the report
    rng: random.Random
    policies: Policies  # of all checks of this grading
    language: str = ENGLISH  # of the reasons why a library is refused
    keep: Path | None  # where traces and logs are kept
    label: str  # the check's name
    on_box: Callable[[int], None] = lambda _pid: None
    machine: dict[object, Any] = field(default_factory=dict)  # what it was found to be able to do, in all checks
    entry: str = ""  # another function than `exercise.yaml` names
    box_count: int = 0
    rss_at_start: int = 0  # of the last box, before it loaded the submission
    can_look: bool = False  # whether this machine lets a box be looked at; a program must not choose to be unmeasured
    loading_s: float = 0.0  # when the last box began to load it, by the tracer's clock
    sigkilled: Sigkilled = Sigkilled.NO  # a box was killed with SIGKILL: the check says nothing and is taken again
    handed_in_beside: Sequence[str] = ()  # files that are no part of the exercise
    imported: bool = False  # whether any box has imported it
    not_imported: CheckFailed | None = None  # why none has

    @property
    def exercise(self) -> Exercise:
        return self.boxes.exercise

    @property
    def level(self) -> Level:
        """How its programs are kept in."""
        return self.boxes.level

    @property
    def strace(self) -> str | None:
        """strace's absolute path, when it is known to work here."""
        return self.boxes.strace

    def __repr__(self) -> str:
        return "submission"  # an assertion that fails shows it to a student

    @contextlib.contextmanager
    def with_entry(self, name: str) -> Iterator["Submission"]:
        """The same submission, of which another function than the exercise's entry serves, in the block."""
        before, self.entry = self.entry, name
        try:
            yield self
        finally:
            self.entry = before

    @contextlib.contextmanager
    def serve(
        self,
        handler: Handler | None = None,
        *,
        arguments: Sequence[Any] | None = None,
        pass_fds: Sequence[int] = (),
        traced: bool = False,
        inject: Sequence[str] = (),
        open_files: int | None = None,
        send_buffer: int | None = None,
        strays: bool = True,
        alone: bool = False,
    ) -> Iterator[Server]:
        """The exercise's entry function, serving in a fresh box until the end of the block.

        Args:
            handler: a function of the check's file that stands alone; its source is shipped.
            arguments: behind listener and handler; by default the stop descriptor alone.
            pass_fds: more descriptors for the box, under the same numbers.
            traced: count system calls. Where that cannot be done, counts are unmeasured and the rest goes on.
            inject: strace's expressions for failing calls; where nothing can be traced the check is unmeasured.
            open_files: RLIMIT_NOFILE of the box.
            send_buffer: SO_SNDBUF of the listening socket, in bytes; connections inherit it.
            strays: a child process that returns from the entry function fails the check; else it just ends there.
            alone: no tracer, not even one that watches for what is forbidden: another one will come.

        Raises:
            CheckFailed: it could not be imported, or the block failed.
            GraderError: the wall does not hold.
        """
        entry = self.entry or self.exercise.entry
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        stop_read, stop_write = os.pipe()
        with contextlib.ExitStack() as stack:
            stack.callback(os.close, stop_write)
            stack.callback(os.close, stop_read)
            stack.enter_context(listener)
            if send_buffer is not None:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
            listener.bind(("127.0.0.1", 0))
            listener.listen(_BACKLOG)
            address: Address = listener.getsockname()
            fds = [listener.fileno(), stop_read, *pass_fds]
            box, trace = stack.enter_context(self._box(traced, inject, open_files, fds, alone=alone))
            try:
                held_at_start = Counter(vitals.descriptors(box.pid))
            except vitals.Gone:
                held_at_start = Counter()  # how it ended, the order will tell
            self._serving(
                box,
                {
                    "op": "serve",
                    "entry": entry,
                    "listen_fd": listener.fileno(),
                    "arguments": [stop_read] if arguments is None else list(arguments),
                    "source": source_of(handler) if handler else "",
                    "handler": handler.__name__ if handler else "",
                    "strays": strays,
                },
                say("{entry} serves", entry=entry),
            )
            server = Server(
                box,
                listener,
                stop_write,
                trace,
                address=address,
                handler=handler or bytes,
                rng=self.rng,
                entry=entry,
                rss_at_start=self.rss_at_start,
                held_at_start=held_at_start,
            )
            try:
                yield server
            except CheckFailed:
                # A closed connection is the symptom; that the program ended is the cause, comes a moment later, and
                # teaches more.
                server.check_ending()
                raise

    @contextlib.contextmanager
    def running(
        self,
        scenario: Callable[..., Any],
        *arguments: Any,
        pass_fds: Sequence[int] = (),
        traced: bool = False,
        inject: Sequence[str] = (),
        open_files: int | None = None,
        answering: Callable[[Any], Any] | None = None,
        alone: bool = False,
        cpu_s: float | None = None,
    ) -> Iterator[Run]:
        """One function of the check's file, running in a fresh box: `scenario(student, room, *arguments)`.

        Its source is shipped, so it stands alone. Arguments and result are what JSON can say; its return annotation is
        the shape of the result: see `shapes`.

        Args:
            answering: what answers `room.ask(question)`. The type of its parameter is the declared shape of a question:
                what does not fit comes from the program, which has crashed then. It may raise CheckFailed.
            cpu_s: the scenario is watched: when it has used so much processor time without a word, or sleeps for good,
                `run.result()` raises Stuck, which tells in which lines. It has one thread more then.
            pass_fds: and the others, as those of `serve`.
        """
        with self._box(traced, inject, open_files, pass_fds, alone=alone) as (box, trace):
            yield self._started(box, trace, scenario, arguments, answering=answering, cpu_s=cpu_s)

    def run(
        self,
        scenario: Callable[..., Any],
        *arguments: Any,
        answering: Callable[[Any], Any] | None = None,
        cpu_s: float | None = None,
    ) -> Any:
        """What `scenario(student, room, *arguments)` returns in a fresh box. See `running`.

        Raises:
            CheckFailed: it raised, or the submission cannot be imported.
        """
        with self.running(scenario, *arguments, answering=answering, cpu_s=cpu_s) as run:
            return run.result()

    def on_this_machine(self, scenario: Callable[..., Any], *arguments: Any) -> Any:
        """What `scenario(None, room, *arguments)` returns in a box without a submission: what this machine can do.

        It is asked once in a grading.

        Raises:
            GraderError: it raised.
        """
        question = (scenario.__module__, scenario.__qualname__, repr(arguments))
        if question not in self.machine:
            with self._box(False, (), None, (), load=False) as (box, trace):
                try:
                    self.machine[question] = self._started(box, trace, scenario, arguments).result()
                except CheckFailed as failure:
                    raise GraderError(f"A box without a submission fails: {failure}.") from failure
        return self.machine[question]

    def _started(
        self,
        box: Box,
        trace: tracer.Trace | None,
        scenario: Callable[..., Any],
        arguments: Sequence[Any],
        *,
        answering: Callable[[Any], Any] | None = None,
        cpu_s: float | None = None,
    ) -> Run:
        order = {
            "op": "run",
            "source": source_of(scenario) if cpu_s is None else watched_source_of(scenario, cpu_s),
            "function": scenario.__name__,
            "arguments": arguments,
            "folder": self.level.folder,
        }
        try:
            box.send(order)
        except BoxEnded as error:
            raise self._has_ended(error, box, say("the scenario runs")) from error
        return Run(box, trace, scenario=scenario, answering=answering, since_s=self.loading_s, cpu_s=cpu_s)

    # --- boxes

    @contextlib.contextmanager
    def _box(
        self,
        traced: bool,
        inject: Sequence[str],
        open_files: int | None,
        fds: Sequence[int],
        *,
        load: bool = True,
        alone: bool = False,
    ) -> Iterator[tuple[Box, tracer.Trace | None]]:
        """A fresh box with the submission loaded, and its trace when it is `traced`."""
        if inject and self.strace is None:
            raise Unmeasured(self.untraceable)
        self.box_count += 1
        traced = bool(traced or inject) and self.strace is not None
        watched = frozenset() if traced or alone else self.policies.calls
        kind = Kind(traced, watched, tuple(inject))
        with contextlib.closing(self.boxes.take(kind)) as fresh:
            box, trace = fresh.box, fresh.trace
            self.on_box(box.outermost_pid)
            since_s: float | None = None
            try:
                self.boxes.furnish(fresh, fds, open_files, f"{self.label}-{self.box_count}")
                since_s = self._enter(box, load=load)
                yield box, trace if traced else None
            except vitals.Hidden as hidden:
                if not self.can_look:
                    raise
                expected = say("a program that can be looked at, as it could before it was loaded")
                raise ForbiddenUse(expected=expected, seen=say("a process that hides what it holds")) from hidden
            except Exception:
                self.sigkilled = box.sigkilled()
                raise
            finally:
                box.close()  # its last words have come by then
                if trace is not None and load and since_s is not None:
                    self.policies.look(trace.between(since_s, tracer.now_s()), self.label)
                self._keep(box, trace if traced else None)

    def _enter(self, box: Box, *, load: bool) -> float:
        """Load the submission.

        Returns:
            From when on its calls are judged, by the tracer's clock. What helped while it was imported, and has ended,
            is nobody's concern: Python itself runs programs to find a library.
        """
        self.rss_at_start = vitals.rss_bytes(box.pid)
        with contextlib.suppress(vitals.Hidden):
            self.can_look = bool(vitals.open_fds(box.pid))
        module = Path(self.exercise.submit[0]).stem
        modules = {name: text.in_(self.language) for name, text in self.exercise.forbidden.modules.items()}
        order = {
            "op": "load",
            "folder": self.level.folder,
            "module": module if load else "",
            "path": [self.level.given, self.level.folder],
            "poison": modules,
        }
        self.loading_s = tracer.now_s()
        loading = Loading(box, file=self.exercise.submit[0])
        try:
            self._send(box, order, loading.expected)
            loading.wait()
        except CheckFailed as failure:
            self._not_imported(failure)
            raise
        self.imported = self.imported or load
        return self.loading_s if _has_helpers(box) else tracer.now_s()

    def _not_imported(self, failure: CheckFailed) -> None:
        """No check has another word on an import that fails, and none has a hint for it."""
        failure.hint = for_import(
            failure, file=self.exercise.submit[0], given=self.exercise.given, beside=self.handed_in_beside
        )
        failure.in_own_words = True
        if not self.imported:
            self.not_imported = failure

    def _serving(self, box: Box, order: dict[str, Any], expected: str) -> None:
        """Order to serve, and hear that it begins; the deadline is the check's."""
        self._send(box, order, expected)
        try:
            answer = box.receive(_FOR_EVER_S)
        except (BoxEnded, TimeoutError) as error:
            raise self._has_ended(error, box, expected) from error
        if "serving" not in answer:
            raise problem(answer.get("problem"), say("it raised"), expected)

    def _send(self, box: Box, order: dict[str, Any], expected: str) -> None:
        module = Path(self.exercise.submit[0]).stem
        try:
            box.send({"folder": self.level.folder, "module": module, **order})
        except BoxEnded as error:
            raise self._has_ended(error, box, expected) from error

    @staticmethod
    def _has_ended(error: Exception, box: Box, expected: str) -> Crashed:
        return Crashed(expected=expected, seen=_ended(error, box), evidence=last_lines(box.output()))

    def _keep(self, box: Box, trace: tracer.Trace | None) -> None:
        if self.keep is None:
            return
        name = f"{self.label}-{self.box_count}"
        (self.keep / f"{name}.output").write_bytes(box.output())
        (self.keep / f"{name}.channel").write_bytes(box.channel.transcript or b"")
        if trace is not None and trace.path.exists():
            with trace.path.open("rb") as whole, (self.keep / f"{name}.strace").open("wb") as kept:
                kept.write(whole.read(_KEPT_BYTES))
                if left := len(whole.read()):
                    kept.write(b"\n... and %d bytes more\n" % left)


def _ended(error: Exception, box: Box) -> str:
    return say("{what}: {how}", what=error.args[0] if error.args else say("nothing"), how=box.ended_by())


def _has_helpers(box: Box) -> bool:
    """Whether a box that has nothing to do has other threads or processes. One that is about to end is waited for."""
    deadline_s = time.monotonic() + program.SETTLED_S
    with contextlib.suppress(vitals.Gone):
        while True:
            helpers = [pid for pid in vitals.children(box.first_pid or box.pid) if pid != box.pid]
            if not helpers and vitals.threads(box.pid) == 1:
                return False
            asleep = all(vitals.pulse(pid).sleeping for pid in (box.pid, *helpers))
            if asleep or time.monotonic() > deadline_s:
                return True
            time.sleep(0.002)
    return True
