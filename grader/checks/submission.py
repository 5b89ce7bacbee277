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

import builtins
import contextlib
import dis
import functools
import inspect
import os
import random
import signal
import socket
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType
from typing import Any

from grader.box.box import Box, Lost
from grader.box.channel import BoxEnded
from grader.box.limits import Limits, hard_open_files
from grader.box.wall import Wall
from grader.checks import program
from grader.checks.budgets import Budgets, Count
from grader.checks.policies import Policies
from grader.checks.program import Calls, Program, last_lines, problem, quiet_for
from grader.checks.shapes import fitting, fitting_question
from grader.course.load import Exercise
from grader.errors import GraderError
from grader.failures import CheckFailed, Crashed, Unmeasured
from grader.measure import strace as tracer
from grader.measure import vitals
from grader.measure.clients import Client, Crowd, Handler, Unread, not_accepted, polled, wait_for

__all__ = ["Budgets", "Calls", "Count", "Run", "Server", "Submission", "quiet_for", "source_of"]

START_S = 60.0  # a box that has not introduced itself by then is the machine's fault
IMPORT_S = 20.0
_BACKLOG = 4096
_KEPT_BYTES = 4 << 20  # of each trace, with --keep
MAX_QUESTIONS = 100_000  # of one scenario: some ten times what the most talkative check of this course needs


# --- a submission that serves -------------------------------------------------------------------------------------


class Server(Program):
    """A submission that serves, in its box. Made by `Submission.serve`."""

    def __init__(
        self,
        box: Box,
        listener: socket.socket,
        stop_fd: int,
        trace: tracer.Trace | None,
        *,
        handler: Handler,
        rng: random.Random,
        entry: str,
        rss_at_start: int,
        fds_at_start: int,
    ) -> None:
        super().__init__(box, trace, entry=entry, goes_on=f"{entry} goes on serving")
        self.rss_at_start, self.fds_at_start = rss_at_start, fds_at_start
        self._listener, self._stop_fd = listener, stop_fd
        self._handler, self._rng = handler, rng
        self._told_to_stop = False
        self._unread = Unread()

    # --- clients

    def client(self, *, receive_buffer: int | None = None) -> contextlib.closing[Client]:
        """One more connection, closed at the end of the `with` block."""
        address = self._listener.getsockname()
        return contextlib.closing(Client(address, self.watch, receive_buffer=receive_buffer, unread=self._unread))

    def crowd(self, count: int) -> Crowd:
        """`count` connections, for a `with` block."""
        crowd = Crowd(self._handler, self._rng, self.watch, self._unread)
        try:
            crowd.join(self._listener, count)
        except BaseException:
            crowd.leave(crowd.clients)
            raise
        return crowd

    def more(self, crowd: Crowd, count: int) -> None:
        """More connections for a crowd."""
        crowd.join(self._listener, count)

    def not_accepted(self) -> int:
        """Connections that wait in the backlog."""
        return not_accepted(self._listener)

    def _waiting(self) -> int:
        return self.not_accepted()

    # --- its processes

    def signal(self, number: int) -> None:
        """A signal to the main process. Behind SIGTERM its return is no accident: see `has_returned`, `returned`."""
        super().signal(number)
        if number == signal.SIGTERM:
            self._told_to_stop, self._goes_on = True, f"{self._entry} returns when it gets SIGTERM"

    def kill(self, pid: int) -> None:
        """SIGKILL to one of `processes()`. It may have ended since, and its number be a thread's."""
        with contextlib.suppress(ProcessLookupError, FileNotFoundError):
            pidfd = os.pidfd_open(pid)
            try:
                if pid not in self.processes():  # looked at behind the open: the number can go to nobody else now
                    return
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            finally:
                os.close(pidfd)

    # --- its end

    def check_alive(self) -> None:
        if not (self._told_to_stop and self._box.alive):
            super().check_alive()

    def has_returned(self) -> bool:
        """Whether the function has ended, in one way or another: `returned` tells in which."""
        return self._box.has_message()

    def stop(self) -> None:
        """Make stop_fd readable and wait until the function has returned, without an error."""
        os.write(self._stop_fd, b"!")
        self.returned("when stop_fd is readable")

    def returned(self, when: str) -> None:
        """Wait until the function has returned in the main process, or has left it by sys.exit(0).

        Raises:
            CheckFailed: it goes on, it raises, or a child of the main process comes out of it as well.
        """

        def still_serving(silent_s: float) -> None:
            if silent_s > program.SILENT_S / 2:
                raise CheckFailed(expected=expected, seen="it has not returned, and still runs")

        expected = f"{self._entry} returns {when}"
        wait_for(polled(self._box.has_message), still_serving)
        try:
            message = self._box.receive(program.MESSAGE_S)
        except (BoxEnded, TimeoutError) as error:
            raise Crashed(
                expected=expected,
                seen=f"the program ended with {self._box.ended_by()}",
                evidence=last_lines(self._box.output()),
            ) from error
        if "stray" in message:
            raise self._unasked(message)
        if "returned" not in message:
            raise problem(message.get("problem"), f"{self._entry} raised", f"{self._entry} returns")

    def holds_what_was_lent(self) -> bool:
        """Whether listener and stop descriptor are still open in the program, also behind its return."""
        lent = (f"socket:[{os.fstat(self._listener.fileno()).st_ino}]", f"pipe:[{os.fstat(self._stop_fd).st_ino}]")
        return set(lent) <= set(self.descriptors())

    def _unasked(self, message: Mapping[str, Any]) -> CheckFailed:
        if "stray" in message:
            return CheckFailed(
                expected=f"a child process never leaves {self._entry}: it ends there",
                seen=f"a child process returned from {self._entry}, and went on in its caller's code",
            )
        how = "raised SystemExit" if message.get("returned") == "SystemExit" else "returned"
        return Crashed(expected=self._goes_on, seen=f"{self._entry} {how} before it was told to")


# --- a submission in a scenario -----------------------------------------------------------------------------------


class Run(Program):
    """A scenario that runs, in its box. Made by `Submission.running`.

    The scenario's room has `pause(label)` and `ask(question)`: see `inside.Room`.
    """

    def __init__(
        self,
        box: Box,
        trace: tracer.Trace | None,
        *,
        scenario: Callable[..., Any],
        answering: Callable[[Any], Any] | None = None,
        since_s: float,
    ) -> None:
        super().__init__(box, trace, entry="the scenario", goes_on="the scenario runs to its end")
        self._scenario = scenario
        self._paused = False
        self._since_s = self._heard_s = since_s
        self._answering = answering
        self._asked = 0

    def check_alive(self) -> None:
        # What it says while it does not pause is waited for, and may come at any moment.
        if self._paused or not (self._box.alive or self._box.has_message()):
            super().check_alive()

    def until(self, label: str) -> None:
        """Wait for the scenario's pause of that name; it goes on if it pauses now.

        Raises:
            CheckFailed: it raises, ends, sleeps for ever, never gets there, or says something else: a check whose own
                scenario does finds its reference crashed.
        """
        message = self._to_the_next()
        if message.get("paused") != label:
            seen = f"it pauses at {message['paused'][:80]!r}" if self._paused else self._unasked(message).seen
            raise Crashed(expected=f"the scenario pauses at {label!r}", seen=seen)

    def has_ended(self) -> bool:
        """Whether the scenario has something to say: what it returns or raises, or a pause; or is gone."""
        return self._box.has_message() or not self._box.alive

    def go(self, value: Any = None) -> None:
        """Let a scenario that pauses go on; `room.pause()` gives it this value.

        What depends on a value that it could not know cannot have been done before: no program moves the beginning of a
        window that is opened so.
        """
        if self._paused:
            self._paused = False
            self._tell({"op": "go", "value": value})

    def _tell(self, message: Mapping[str, Any]) -> None:
        try:
            self._box.send(message)
        except BoxEnded as error:
            self.check_alive()  # what it has said before it ended tells more
            raise Crashed(
                expected=self._goes_on, seen=f"{error}: {self._box.ended_by()}", evidence=last_lines(self._box.output())
            ) from error

    def result(self) -> Any:
        """What the scenario returns. Pauses on the way are passed.

        Raises:
            CheckFailed: it raises, ends, sleeps for ever, never gets there, or is not what its annotation declares.
        """
        while "value" not in (message := self._to_the_next()):
            pass
        return fitting(self._scenario, message["value"])

    def _to_the_next(self) -> Mapping[str, Any]:
        self.go()
        return self._next()

    def _next(self) -> Mapping[str, Any]:
        """What the scenario says next: a pause, or its value. What it asks meanwhile is answered."""
        while "ask" in (message := self._message()) and self._answering is not None:
            self._answer(message["ask"], self._answering)
        self._paused = isinstance(message.get("paused"), str)
        if "problem" in message:
            raise problem(message["problem"], "it raised", self._goes_on)
        if not self._paused and "value" not in message:
            raise self._unasked(message)
        return message

    def _answer(self, question: Any, answering: Callable[[Any], Any]) -> None:
        self._asked += 1
        if self._asked > MAX_QUESTIONS:
            raise Crashed(expected=self._goes_on, seen=f"the program asks more than {MAX_QUESTIONS:,} questions")
        fitting_question(answering, question)
        self._tell({"op": "answer", "value": answering(question)})

    def _message(self) -> Mapping[str, Any]:
        before_s: float | None = None

        def watch(silent_s: float) -> None:
            nonlocal before_s
            self.watch(silent_s, computes=True)
            if before_s is None:
                before_s = self._cpu_s()
            elif self._cpu_s() - before_s > program.SILENT_S:
                seen = f"no end after {program.SILENT_S:.0f} seconds of processor time"
                raise CheckFailed(expected=self._goes_on, seen=seen)

        wait_for(self._box.wait_for_message, watch)
        try:
            message = self._box.receive(program.MESSAGE_S)
        except (BoxEnded, TimeoutError) as error:
            raise self._how_it_ended() from error
        self._heard_s = tracer.now_s()
        return message

    def calls(self) -> Calls:
        """All system calls so far: from when the submission began to be imported until the scenario's last word, by the
        judge's clock. Nothing stands outside of it."""
        until_s = self._heard_s

        def cut() -> tracer.Window | None:
            if self.trace is None:
                return None
            self._bracket(self.trace, until_s)
            return self.trace.between(self._since_s, until_s)

        return Calls(cut)


# --- a submission -------------------------------------------------------------------------------------------------


@dataclass(slots=True, kw_only=True, repr=False)
class Submission:
    """What was handed in, ready to be put into a fresh box as often as a check likes."""

    exercise: Exercise
    wall: Wall
    strace: str | None  # absolute path, when it is known to work here
    untraceable: str  # why not, for the report
    rng: random.Random
    policies: Policies  # of all checks of this grading
    keep: Path | None  # where traces and logs are kept
    label: str  # the check's name
    on_box: Callable[[int], None] = lambda _pid: None
    machine: dict[object, Any] = field(default_factory=dict)  # what it was found to be able to do, in all checks
    boxes: int = 0
    rss_at_start: int = 0  # of the last box, before it loaded the submission
    loading_s: float = 0.0  # when the last box began to load it, by the tracer's clock
    lost: Lost = Lost.NO  # a box was killed with SIGKILL: the check says nothing and is taken again

    def __repr__(self) -> str:
        return "submission"  # an assertion that fails shows it to a student

    @contextlib.contextmanager
    def serve(
        self,
        handler: Handler | None = None,
        *,
        entry: str | None = None,
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
            entry: another function than `exercise.yaml` names.
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
        entry = entry or self.exercise.entry
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
            fds = [listener.fileno(), stop_read, *pass_fds]
            box, trace = stack.enter_context(self._box(traced, inject, open_files, fds, alone=alone))
            try:
                fds_at_start = vitals.open_fds(box.pid)
            except vitals.Gone:
                fds_at_start = 0  # how it ended, the order will tell
            self._order(
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
                "serving",
                f"{entry} serves",
            )
            server = Server(
                box,
                listener,
                stop_write,
                trace,
                handler=handler or bytes,
                rng=self.rng,
                entry=entry,
                rss_at_start=self.rss_at_start,
                fds_at_start=fds_at_start,
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
    ) -> Iterator[Run]:
        """One function of the check's file, running in a fresh box: `scenario(student, room, *arguments)`.

        Its source is shipped, so it stands alone. Arguments and result are what JSON can say; its return annotation is
        the shape of the result: see `shapes`.

        Args:
            answering: what answers `room.ask(question)`. The type of its parameter is the declared shape of a question:
                what does not fit comes from the program, which has crashed then. It may raise CheckFailed.
            pass_fds: and the others, as those of `serve`.
        """
        with self._box(traced, inject, open_files, pass_fds, alone=alone) as (box, trace):
            yield self._started(box, trace, scenario, arguments, answering)

    def run(self, scenario: Callable[..., Any], *arguments: Any, answering: Callable[[Any], Any] | None = None) -> Any:
        """What `scenario(student, room, *arguments)` returns in a fresh box. See `running`.

        Raises:
            CheckFailed: it raised, or the submission cannot be imported.
        """
        with self.running(scenario, *arguments, answering=answering) as run:
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
        answering: Callable[[Any], Any] | None = None,
    ) -> Run:
        order = {
            "op": "run",
            "source": source_of(scenario),
            "function": scenario.__name__,
            "arguments": arguments,
            "folder": self.wall.folder,
        }
        try:
            box.send(order)
        except BoxEnded as error:
            raise Crashed(
                expected="the scenario runs", seen=f"{error}: {box.ended_by()}", evidence=last_lines(box.output())
            ) from error
        return Run(box, trace, scenario=scenario, answering=answering, since_s=self.loading_s)

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
        """A fresh box, and its trace when it is `traced`.

        A program must not see whether it is counted, and what no run may do is looked for in all of them. So a box that
        is not traced is watched: its trace has the calls alone that the exercise's policies name, and costs nothing
        else. Where no tracer stands before it, another filter takes the place of the tracer's.
        """
        if inject and self.strace is None:
            raise Unmeasured(self.untraceable)
        self.boxes += 1
        traced = bool(traced or inject) and self.strace is not None
        watched = frozenset() if traced or alone else self.policies.calls
        trace: tracer.Trace | None = None
        prefix: list[str] = []
        # A refused call that a policy must report is refused by strace, which writes it down; the static filter would
        # refuse it before strace sees it.
        refused = [call for call in self.exercise.forbidden.calls if call.startswith("io_uring")]
        if self.strace is not None and (traced or watched):
            ending = "strace" if traced else "watched"
            trace = tracer.Trace(self.wall.traces / f"{self.label}-{self.boxes}.{ending}")
            refusing = [f"{call}:error=ENOSYS" for call in refused]
            prefix = tracer.command(self.strace, trace.path, only=watched, inject=[*inject, *refusing])
        rules = self.exercise.limits
        limits = Limits(
            memory_mb=rules.memory_mb,
            processes=rules.processes,
            tmp_mb=rules.tmp_mb,
            open_files=open_files or hard_open_files(),
        )
        box = Box(
            self.wall,
            limits,
            tracer=prefix,
            pass_fds=fds,
            allows={*self.exercise.allows, *(["io_uring"] if prefix and refused else [])},
            takes_down=self.keep is not None,
            one_more_filter=self.strace is not None and not prefix,
        )
        since_s: float | None = None
        try:
            with box:
                self.on_box(box.outermost_pid)
                try:
                    since_s = self._enter(box, load=load)
                    yield box, trace if traced else None
                except Exception:
                    self.lost = box.lost_to_kill()
                    raise
        finally:  # of the box too: its last words have come by then
            if trace is not None and load and since_s is not None:
                self.policies.look(trace.between(since_s, tracer.now_s()), self.label)
            self._keep(box, trace if traced else None)
            if trace is not None:
                trace.close()

    def _enter(self, box: Box, *, load: bool) -> float:
        """Prove the wall and load the submission.

        Returns:
            From when on its calls are judged, by the tracer's clock. What helped while it was imported, and has ended,
            is nobody's concern: Python itself runs programs to find a library.
        """
        try:
            missing = box.prove(START_S, thorough=False)
        except (BoxEnded, TimeoutError) as error:
            words = last_lines(box.output(), 2)
            raise GraderError(f"A box could not be started: {error}; {box.ended_by()}. {' '.join(words)}") from error
        if missing:
            raise GraderError(
                "The wall does not hold: " + "; ".join(f"{name}: {complaint}" for name, complaint in missing.items())
            )
        self.rss_at_start = vitals.rss_bytes(box.pid)
        module = Path(self.exercise.submit[0]).stem
        modules = {name: text.in_("en") for name, text in self.exercise.forbidden.modules.items()}
        order = {
            "op": "load",
            "folder": self.wall.folder,
            "module": module if load else "",
            "path": [self.wall.given, self.wall.folder],
            "poison": modules,
        }
        self.loading_s = tracer.now_s()
        self._order(box, order, "loaded", f"{self.exercise.submit[0]} can be imported", IMPORT_S)
        return self.loading_s if _has_helpers(box) else tracer.now_s()

    def _order(self, box: Box, order: dict[str, Any], wanted: str, expected: str, timeout_s: float = 3600.0) -> Any:
        """Send an order and take its answer; the deadline is otherwise the check's."""
        module = Path(self.exercise.submit[0]).stem
        try:
            box.send({"folder": self.wall.folder, "module": module, **order})
            answer = box.receive(timeout_s)
        except TimeoutError as error:
            raise CheckFailed(expected=expected, seen=f"nothing for {timeout_s:.0f} seconds") from error
        except BoxEnded as error:
            raise Crashed(
                expected=expected,
                seen=f"{error}: {box.ended_by()}",
                evidence=last_lines(box.output()),
            ) from error
        if wanted in answer:
            return answer[wanted]
        what = "importing it raised" if wanted == "loaded" else "it raised"
        raise problem(answer.get("problem"), what, expected)

    def _keep(self, box: Box, trace: tracer.Trace | None) -> None:
        if self.keep is None:
            return
        name = f"{self.label}-{self.boxes}"
        (self.keep / f"{name}.output").write_bytes(box.output())
        (self.keep / f"{name}.channel").write_bytes(box.channel.transcript or b"")
        if trace is not None and trace.path.exists():
            with trace.path.open("rb") as whole, (self.keep / f"{name}.strace").open("wb") as kept:
                kept.write(whole.read(_KEPT_BYTES))
                if left := len(whole.read()):
                    kept.write(b"\n... and %d bytes more\n" % left)


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


@functools.cache  # it looks through the whole file
def source_of(function: Callable[..., Any]) -> str:
    """The source of one function, to be shipped.

    Raises:
        GraderError: it uses a name of its file, which stays behind; a student would be blamed for it.
    """
    code = function.__code__
    foreign = sorted(_globals_used(code) - vars(builtins).keys() - {function.__name__})
    if foreign:
        raise GraderError(
            f"{code.co_filename}:{code.co_firstlineno}: {function.__name__} is shipped alone, and {', '.join(foreign)} "
            "stays behind. Define or import it inside of the function."
        )
    return textwrap.dedent(inspect.getsource(function))


def _globals_used(code: CodeType) -> set[str]:
    used = {str(step.argval) for step in dis.get_instructions(code) if step.opname == "LOAD_GLOBAL"}
    return used.union(*(_globals_used(inner) for inner in code.co_consts if isinstance(inner, CodeType)))
