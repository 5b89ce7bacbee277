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
import inspect
import os
import random
import shutil
import signal
import socket
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType
from typing import Any, TypeVar

from grader import strace as tracer
from grader import vitals
from grader.course import Budget as BudgetRule
from grader.course import Exercise
from grader.crowd import Client, Crowd, Handler, not_accepted, polled, wait_for
from grader.errors import GraderError
from grader.failures import CheckFailed, Crashed, ForbiddenUse, Unmeasured
from grader.report import Measurement
from grader.sandbox import Box, BoxEnded, Limits, Lost, Wall, hard_open_files

_T = TypeVar("_T")

START_S = 30.0  # a box that has not introduced itself by then is the machine's fault
IMPORT_S = 20.0
SILENT_S = 10.0  # nobody waits longer than this without any progress
ASLEEP_S = 3.0  # nor than this for a program that sleeps through it: load keeps a program runnable, not asleep
SETTLED_S = 3.0
BUSY_CPU_S = 0.2
_STILL = 4  # looks in a row, 5 ms apart, at which nothing has changed
TAKES = 3
NOISE_FACTOR = 10.0  # what is so far over its limit is no noise, and another take is a waste of a student's time
_BACKLOG = 4096
_TRACE_ROOM_BYTES = 1 << 20  # with less room on its disk, a trace may have stopped for want of it


def quiet_for(seconds: float) -> None:
    """The length of a window in which nothing is asked. Not a wait for something to happen."""
    time.sleep(seconds)


# --- counts -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """A counted value with the trace lines that prove it. `value` is None on a machine that cannot count."""

    value: float | None
    evidence: tuple[str, ...] = ()

    def __truediv__(self, divisor: float) -> "Count":
        return Count(value=None if self.value is None else self.value / divisor, evidence=self.evidence)


class Calls:
    """The system calls of one window, to be asked for when the window is over."""

    def __init__(self, server: "Server") -> None:
        self._server = server
        self.since_s = self.until_s = 0.0
        self._window: tracer.Window | None = None

    def _calls(self) -> tracer.Window | None:
        trace = self._server.trace
        if trace is None:
            return None
        if self._window is None:
            self._server.bracket(self.until_s)
            self._window = trace.between(self.since_s, self.until_s)
        return self._window

    def total(self) -> Count:
        """All system calls, without the allocator's and without what the program prints."""
        window = self._calls()
        return Count(value=None) if window is None else Count(value=window.total, evidence=tuple(window.evidence()))

    def of(self, *names: str) -> Count:
        """The calls with these names."""
        window = self._calls()
        if window is None:
            return Count(value=None)
        return Count(value=window.count(*names), evidence=tuple(window.evidence(names)))

    def fds_handed_over(self) -> Count:
        """Descriptors handed to the kernel to be watched: select sets, poll arrays, epoll_ctl."""
        window = self._calls()
        if window is None:
            return Count(value=None)
        names = ("epoll_ctl", *tracer.READINESS_CALLS)
        return Count(value=window.fds_handed_over(), evidence=tuple(window.evidence(names)))

    def seen(self, names: Sequence[str]) -> dict[str, str]:
        """Which of these calls were made, each with one line of the trace."""
        window = self._calls()
        return {} if window is None else {call.name: call.text for call in window.calls if call.name in names}


@dataclass(slots=True)
class Budgets:
    """The budgets of one check: compares values with limits and remembers every measurement."""

    rules: tuple[BudgetRule, ...]
    language: str
    measurements: list[Measurement] = field(default_factory=list)
    unmeasured: bool = False

    def at_most(self, name: str, taken: "Count | float | Callable[[], Count | float]") -> None:
        """A value must not exceed its limit in `exercise.yaml`.

        Args:
            name: of the budget.
            taken: the value, or a function that takes it; a function is called again while it is over, and the least
                of three counts.

        Raises:
            CheckFailed: over the limit.
            GraderError: the check names a budget that `exercise.yaml` does not have.
        """
        rule = next((rule for rule in self.rules if rule.name == name), None)
        if rule is None:
            raise GraderError(f"A check asks for the budget {name}, which its entry in exercise.yaml does not list.")
        takes: list[Count] = []
        while len(takes) < (TAKES if callable(taken) else 1):
            one = taken() if callable(taken) else taken
            takes.append(one if isinstance(one, Count) else Count(value=one))
            value = takes[-1].value
            if value is None or value <= rule.limit or value > NOISE_FACTOR * rule.limit:
                break
        best = min(takes, key=lambda count: float("inf") if count.value is None else count.value)
        self._remember(rule, best.value)
        if best.value is None:
            self.unmeasured = True
        elif best.value > rule.limit:
            self._fail(rule, best, takes)

    def _remember(self, rule: BudgetRule, value: float | None) -> None:
        self.measurements = [m for m in self.measurements if m.name != rule.name]  # of a check that is taken again
        self.measurements.append(
            Measurement(
                name=rule.name,
                value=value,
                limit=rule.limit,
                reference=rule.reference,
                naive=rule.naive,
                unit=rule.unit,
            )
        )

    def _fail(self, rule: BudgetRule, best: Count, takes: Sequence[Count]) -> None:
        least = f"{best.value:,.6g} {rule.unit}"
        if len(takes) > 1:
            least += f", the least of {len(takes)} takes"
        raise CheckFailed(
            expected=f"at most {rule.limit:g} {rule.unit}: {rule.formula.in_(self.language)} "
            f"({rule.why.in_(self.language)})",
            seen=f"{least}; the reference needs {rule.reference:g}",
            evidence=best.evidence,
        )


# --- a submission that serves -------------------------------------------------------------------------------------


class Server:
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
    ) -> None:
        self.rss_at_start = rss_at_start
        self._box, self._listener, self._stop_fd, self.trace = box, listener, stop_fd, trace
        self._handler, self._rng, self._entry = handler, rng, entry
        self._ended: CheckFailed | None = None
        self._pulse: tuple[vitals.Pulse, ...] = ()
        self._pulse_since_s = 0.0

    @property
    def pid(self) -> int:
        return self._box.pid

    # --- clients

    def client(self, *, receive_buffer: int | None = None) -> contextlib.closing[Client]:
        """One more connection, closed at the end of the `with` block."""
        address = self._listener.getsockname()
        return contextlib.closing(Client(address, self.watch, receive_buffer=receive_buffer))

    def crowd(self, count: int) -> Crowd:
        """`count` connections, for a `with` block."""
        crowd = Crowd(self._handler, self._rng, self.watch)
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

    # --- waiting

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition that the program brings about; polled, as the kernel has no event for it."""
        wait_for(polled(condition), self.watch)

    def watch(self, silent_s: float) -> None:
        """Raise when waiting has become pointless: the program ended, sleeps through it, or nothing comes for long."""
        self.check_alive()
        if silent_s < ASLEEP_S / 3:
            self._pulse = ()
            return
        with contextlib.suppress(vitals.Gone):
            pulse = tuple(vitals.pulse(pid) for pid in (self.pid, *vitals.children(self.pid)))
            now_s = time.monotonic()
            if pulse != self._pulse or not all(beat.sleeping for beat in pulse):
                self._pulse, self._pulse_since_s = pulse, now_s
            elif now_s - self._pulse_since_s > ASLEEP_S:
                place = vitals.waits_in(self.pid)
                raise CheckFailed(
                    expected="an answer", seen=f"nothing: the program sleeps{f' in {place}' if place else ''}"
                )
        if silent_s > SILENT_S:
            raise CheckFailed(expected="an answer", seen=f"nothing for {SILENT_S:.0f} seconds, while the program runs")

    def check_alive(self) -> None:
        """Raise Crashed, with the program's last words, when it has ended or its function has returned."""
        if self._ended is None and (self._box.has_message() or not self._box.alive):
            self._ended = self._how_it_ended()
        if self._ended is not None:
            raise self._ended

    def check_ending(self) -> None:
        """As `check_alive`, of a program that may be about to end: what it does until it sleeps is waited for."""
        deadline_s, spent_s = time.monotonic() + SETTLED_S, self._cpu_s()
        while time.monotonic() < deadline_s and self._cpu_s() - spent_s < BUSY_CPU_S:
            self.check_alive()
            with contextlib.suppress(vitals.Gone):
                if vitals.pulse(self.pid).sleeping:
                    break
            time.sleep(0.005)
        self.check_alive()

    def _how_it_ended(self) -> CheckFailed:
        expected = f"{self._entry} goes on serving"
        try:
            message = self._box.receive(5.0)
        except (BoxEnded, TimeoutError):
            return Crashed(
                expected=expected,
                seen=f"the program ended with {self._box.ended_by()}",
                evidence=last_lines(self._box.output()),
            )
        if "problem" in message:
            return problem(message["problem"], f"{self._entry} raised", expected)
        return Crashed(expected=expected, seen=f"{self._entry} returned although stop_fd is not readable")

    def settle(self) -> bool:
        """Wait until the program has nothing left to do: it sleeps, and its trace has stopped growing.

        A program that is never done is left alone when it has used more than `BUSY_CPU_S`: its counts will tell. That
        is processor time, which a busy machine does not add to.
        """
        deadline_s, still, size = time.monotonic() + SETTLED_S, 0, -1
        spent_s = self._cpu_s()
        while still < _STILL and time.monotonic() < deadline_s:
            self.check_alive()
            with contextlib.suppress(vitals.Gone):
                now = self.trace.size_bytes if self.trace else 0
                asleep = all(vitals.pulse(pid).sleeping for pid in (self.pid, *vitals.children(self.pid)))
                still, size = (still + 1 if asleep and now == size else 0), now
            if not still and self._cpu_s() - spent_s > BUSY_CPU_S and self.not_accepted() == 0:
                return False
            time.sleep(0.005)
        return still >= _STILL

    def busy_s(self) -> float:
        """Processor time that the program uses, in seconds, before it sleeps for the first time; it is stopped early.

        Not seconds of a clock: a program that sleeps when nothing is ready uses next to none on any machine.
        """
        before_s = self._cpu_s()
        self.settle()
        return self._cpu_s() - before_s

    def _cpu_s(self) -> float:
        with contextlib.suppress(vitals.Gone):
            return vitals.pulse(self.pid).cpu_s
        return 0.0

    # --- measuring

    @contextlib.contextmanager
    def counting(self) -> Iterator[Calls]:
        """Count the system calls of the whole box from one settled moment to another.

        The last calls that the block causes are waited for. A program that never settles has no last one: then the
        window ends with the block.
        """
        calls = Calls(self)
        self.settle()
        calls.since_s = tracer.now_s()
        yield calls
        ended_s = tracer.now_s()
        calls.until_s = tracer.now_s() if self.settle() else ended_s

    def bracket(self, until_s: float) -> None:
        """Make sure that the trace goes on behind a window, or the window proves nothing.

        Raises:
            CheckFailed: the program has ended, or the trace does not go on: it must not choose to be unmeasured.
            Unmeasured: the trace has stopped because the disk is full.
        """
        trace = self.trace
        assert trace is not None  # only traced windows ask
        if trace.reaches(until_s):
            return
        try:
            with self.stopped():  # strace writes the stop down, and no program can block, catch or ignore it: signal(7)
                self.wait_until(lambda: trace.reaches(until_s))
        except CheckFailed as failure:
            if shutil.disk_usage(trace.path.parent).free < _TRACE_ROOM_BYTES:
                raise Unmeasured("The disk is full, so the trace stops before the end of the window.") from failure
            expected = "a trace that goes on behind the window"
            raise type(failure)(expected=expected, seen=failure.seen, evidence=failure.evidence) from failure

    def cpu_s(self) -> float:
        """Processor time that the program has used, in seconds."""
        return self._alive(vitals.cpu_s)

    def threads(self) -> int:
        return self._alive(vitals.threads)

    def open_fds(self) -> int:
        return self._alive(vitals.open_fds)

    def rss_bytes(self) -> int:
        return self._alive(vitals.rss_bytes)

    def children(self) -> tuple[int, ...]:
        return self._alive(vitals.children)

    def _alive(self, look: Callable[[int], _T]) -> _T:
        try:
            return look(self.pid)
        except (vitals.Gone, ProcessLookupError) as gone:
            self.check_alive()
            raise Crashed(expected=f"{self._entry} goes on serving", seen=str(gone)) from gone

    # --- interfering

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """Stop the program with SIGSTOP for the length of the block, so that work queues up; then SIGCONT."""
        self._alive(lambda _pid: self._box.send_signal(signal.SIGSTOP))
        try:
            self.wait_until(lambda: self._alive(vitals.is_stopped))
            yield
        finally:
            with contextlib.suppress(ProcessLookupError):
                self._box.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """Make stop_fd readable and wait until the function has returned, without an error."""
        os.write(self._stop_fd, b"!")
        wait_for(polled(self._box.has_message), self._still_serving)
        try:
            message = self._box.receive(5.0)
        except (BoxEnded, TimeoutError) as error:
            raise Crashed(
                expected=f"{self._entry} returns when stop_fd is readable",
                seen=f"the program ended with {self._box.ended_by()}",
                evidence=last_lines(self._box.output()),
            ) from error
        if "returned" not in message:
            raise problem(message.get("problem"), f"{self._entry} raised", f"{self._entry} returns")

    def _still_serving(self, silent_s: float) -> None:
        if silent_s > SILENT_S / 2:
            raise CheckFailed(
                expected=f"{self._entry} returns when stop_fd is readable", seen="it has not returned, and still runs"
            )


def problem(found: Any, what: str, expected: str) -> CheckFailed:
    """What a box says went wrong, as the failure that it is. The words come from a stranger."""
    if not isinstance(found, dict):
        return Crashed(expected=expected, seen="the program garbled its last words")
    kind, text = found.get("kind"), str(found.get("text", ""))
    rows = found.get("trace", [])
    trace = [str(row) for row in rows[:12]] if isinstance(rows, list) else []
    match kind:
        case "forbidden":
            return ForbiddenUse(expected="a solution without it", seen=text, evidence=trace)
        case "missing":
            return CheckFailed(expected=expected, seen=text)
        case _:
            return Crashed(expected=expected, seen=f"{what} {text}", evidence=trace)


def last_lines(output: bytes, count: int = 5) -> list[str]:
    return [f"printed: {line}" for line in output.decode("utf-8", "backslashreplace").splitlines()[-count:]]


# --- a submission -------------------------------------------------------------------------------------------------


@dataclass(slots=True, kw_only=True)
class Submission:
    """What was handed in, ready to be put into a fresh box as often as a check likes."""

    exercise: Exercise
    wall: Wall
    strace: str | None  # absolute path, when it is known to work here
    untraceable: str  # why not, for the report
    rng: random.Random
    keep: Path | None  # where traces and logs are kept
    label: str  # the check's name
    on_box: Callable[[int], None] = lambda _pid: None
    boxes: int = 0
    rss_at_start: int = 0  # of the last box, before it loaded the submission
    lost: Lost = Lost.NO  # a box was killed with SIGKILL: the check says nothing and is taken again

    @contextlib.contextmanager
    def serve(
        self,
        handler: Handler | None = None,
        *,
        arguments: Sequence[Any] | None = None,
        traced: bool = False,
        inject: Sequence[str] = (),
        open_files: int | None = None,
        send_buffer: int | None = None,
        opcodes: bool = False,
    ) -> Iterator[Server]:
        """The exercise's entry function, serving in a fresh box until the end of the block.

        Args:
            handler: a function of the check's file that stands alone; its source is shipped. With `opcodes`, none: the
                reply to any line is then the number of opcodes since the last one.
            arguments: behind listener and handler; by default the stop descriptor alone.
            traced: count system calls. Where that cannot be done, counts are unmeasured and the rest goes on.
            inject: strace's expressions for failing calls; where nothing can be traced the check is unmeasured.
            open_files: RLIMIT_NOFILE of the box.
            send_buffer: SO_SNDBUF of the listening socket, in bytes; connections inherit it.

        Raises:
            CheckFailed: it could not be imported, or the block failed.
            GraderError: the wall does not hold.
        """
        if inject and self.strace is None:
            raise Unmeasured(self.untraceable)
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
            trace = self._new_trace() if (traced or inject) and self.strace else None
            box = stack.enter_context(self._box(trace, inject, open_files, [listener.fileno(), stop_read]))
            expect = f"{self.exercise.entry} serves"
            self._order(
                box,
                {
                    "op": "serve",
                    "entry": self.exercise.entry,
                    "listen_fd": listener.fileno(),
                    "arguments": [stop_read] if arguments is None else list(arguments),
                    "source": source_of(handler) if handler else "",
                    "handler": handler.__name__ if handler else "",
                    "meter": opcodes,
                },
                "serving",
                expect,
            )
            server = Server(
                box,
                listener,
                stop_write,
                trace,
                handler=handler or bytes,
                rng=self.rng,
                entry=self.exercise.entry,
                rss_at_start=self.rss_at_start,
            )
            try:
                yield server
            except CheckFailed:
                # A closed connection is the symptom; that the program ended is the cause, comes a moment later, and
                # teaches more.
                server.check_ending()
                raise

    def run(self, scenario: Callable[..., Any], *arguments: Any) -> Any:
        """Run one function of the check's file in a fresh box: `scenario(student, *arguments)`.

        Its source is shipped, so it stands alone. Arguments and result are what JSON can say.

        Raises:
            CheckFailed: it raised, or the submission cannot be imported.
        """
        with self._box(None, (), None, []) as box:
            order = {
                "op": "run",
                "source": source_of(scenario),
                "function": scenario.__name__,
                "arguments": arguments,
                "folder": self.wall.folder,
            }
            return self._order(box, order, "value", "the scenario runs to its end")

    # --- boxes

    def _new_trace(self) -> tracer.Trace:
        return tracer.Trace(self.wall.traces / f"{self.label}-{self.boxes + 1}.strace")

    @contextlib.contextmanager
    def _box(
        self, trace: tracer.Trace | None, inject: Sequence[str], open_files: int | None, fds: Sequence[int]
    ) -> Iterator[Box]:
        rules = self.exercise.limits
        limits = Limits(
            memory_mb=rules.memory_mb,
            processes=rules.processes,
            tmp_mb=rules.tmp_mb,
            open_files=open_files or hard_open_files(),
        )
        prefix: list[str] = []
        if trace is not None and self.strace is not None:
            # A refused call that a policy must report is refused by strace, which writes it down; the static filter
            # would refuse it before strace sees it.
            refused = [f"{call}:error=ENOSYS" for call in self.exercise.forbidden.calls if call.startswith("io_uring")]
            prefix = tracer.command(self.strace, trace.path, inject=[*inject, *refused])
        self.boxes += 1
        box = Box(self.wall, limits, tracer=prefix, pass_fds=fds, refuse_io_uring=not prefix)
        try:
            with box:
                self.on_box(box.outermost_pid)
                try:
                    self._enter(box)
                    yield box
                except Exception:
                    self.lost = box.lost_to_kill()
                    raise
        finally:  # of the box too: its last words have come by then
            self._keep(box, trace)

    def _enter(self, box: Box) -> None:
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
            "module": module,
            "path": [self.wall.given, self.wall.folder],
            "poison": modules,
        }
        self._order(box, order, "loaded", f"{self.exercise.submit[0]} can be imported", IMPORT_S)

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
        if trace is not None and trace.path.exists():
            shutil.copyfile(trace.path, self.keep / f"{name}.strace")


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
