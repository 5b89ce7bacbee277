"""What a submission of ex06 is graded by. Titles, hints, points and limits stand in its exercise.yaml.

Every check starts a fresh master behind the wall. One handler serves all checks: it replies the number of its process,
and does before that what the request line asks for. Requests that must be in flight together, or when something
happens, meet: each says on a pipe that it has come, and waits on another one until the check lets it go.
"""

import contextlib
import os
import re
import signal
import socket
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

from grader.checks import Budgets, Count, Program, Server, Submission, quiet_for
from grader.failures import CheckFailed, Crashed
from grader.measure import vitals
from grader.measure.clients import Client, shown
from grader.measure.strace import CLONE_CALLS, now_s

Sizes = Mapping[str, int]

_ACCEPTS = ("accept", "accept4")
# A worker may wait for its turn to accept: for a file lock, a semaphore, a futex, or a token in a pipe.
_LOCKS = ("flock", "fcntl", "semop", "semtimedop", "futex", "read")


def answer(line: bytes) -> bytes:
    import os

    order, *words = line.split(b" ")
    pid = b"%d" % os.getpid()
    match order:
        case b"meet":
            os.write(int(words[0]), pid + b"\n")
            os.read(int(words[1]), 1)
        case b"die":
            os._exit(int(words[0]))
        case b"raise":
            errors = [ValueError, OSError, KeyError, ZeroDivisionError, AssertionError, StopIteration, BrokenPipeError]
            raise errors[int(words[0]) % len(errors)](line)
    return pid + b" " + words[-1]


# --- requests -----------------------------------------------------------------------------------------------------


def ask(server: Server, rng: Random) -> int:
    """One request; the number of the process that answered it."""
    nonce = b"%016x" % rng.getrandbits(64)
    with server.client() as client:
        client.send(b"say " + nonce + b"\n")
        return answered_by(server, client, nonce)


def answered_by(server: Server, client: Client, nonce: bytes) -> int:
    """Who answered, whatever the form of the reply is, and whatever becomes of the connection: `reply` tells."""
    with in_vain_tells_what_they_do(server, client):
        got = client.read_line_or_end("a reply")
    pid, *rest = got.split() or [b""]
    if not is_number(pid) or rest != [nonce]:
        raise CheckFailed(expected=f"handler(line): {shown(b'12 ' + nonce)}, if 12 is its os.getpid()", seen=shown(got))
    return int(pid)


def is_number(word: bytes) -> bool:
    """Whether it may be a process's number: what a program says can have more digits than Python makes a number of."""
    return word.isdigit() and len(word) <= 10


def all_from(program: Program, client: Client, expected: str) -> bytes:
    """Everything that this client is sent, up to the end of its connection."""
    with in_vain_tells_what_they_do(program, client):
        return client.read_until_closed(expected)


@contextlib.contextmanager
def in_vain_tells_what_they_do(program: Program, client: Client) -> Iterator[None]:
    try:
        yield
    except Crashed:
        raise
    except CheckFailed as failure:
        got = failure.seen.partition(" after ")[2] or "nothing"
        seen = f"{got}, and the connection stays open{what_they_do(program)}"
        raise CheckFailed(expected=failure.expected, seen=seen, evidence=program.printed()) from failure


class Pipe:
    """For what a program writes: reading takes what has come, and does not wait. For a `with` block."""

    def __init__(self) -> None:
        self._reading, self.writing = os.pipe()
        os.set_blocking(self._reading, False)

    def __enter__(self) -> "Pipe":
        return self

    def __exit__(self, *_error: object) -> None:
        os.close(self._reading)
        os.close(self.writing)

    def read(self) -> bytes:
        with contextlib.suppress(BlockingIOError):
            return os.read(self._reading, 4096)
        return b""


class Meeting:
    """Requests that wait in their handlers until they are let go. For a `with` block."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._arrivals = Pipe()
        self._waiting, self._going = os.pipe()
        self.processes: list[int] = []  # of those that have come, as the box numbers them

    def __enter__(self) -> "Meeting":
        return self

    def __exit__(self, *_error: object) -> None:
        with self._arrivals:
            os.close(self._waiting)
            os.close(self._going)

    @property
    def pass_fds(self) -> Sequence[int]:
        return self._arrivals.writing, self._waiting

    def hold(self, program: Program, clients: Sequence[Client]) -> list[bytes]:
        """One request for each client; returns their nonces when all are in their handlers."""
        before = len(self.processes)
        nonces = [b"%016x" % self._rng.getrandbits(64) for _ in clients]
        for client, nonce in zip(clients, nonces, strict=True):
            client.send(b"meet %d %d %s\n" % (*self.pass_fds, nonce))

        def come() -> int:
            words = self._arrivals.read().split()
            if others := [word for word in words if not is_number(word)]:  # the handler writes nothing else
                raise Crashed(expected="requests in their handlers", seen=f"the program says {shown(others[0])}")
            self.processes += map(int, words)
            return len(self.processes) - before

        wait_until(
            program,
            lambda: come() >= len(clients),
            expected=f"{plural(len(clients), 'request')} in their handlers at once",
            seen=lambda: f"{come()}; the others wait until these have ended{what_they_do(program)}",
        )
        require_held(program, clients, self.processes[before:])
        return nonces

    def let_go(self, count: int) -> None:
        os.write(self._going, b"!" * count)


def all_at_once(server: Server, meeting: Meeting, workers: int) -> None:
    """Requests that wait for each other: each worker must have exactly one of them."""
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(server.client()) for _ in range(workers)]
        nonces = meeting.hold(server, clients)
        meeting.let_go(workers)
        pids = {answered_by(server, client, nonce) for client, nonce in zip(clients, nonces, strict=True)}
    if len(pids) != workers:
        raise CheckFailed(expected=f"{workers} requests at once in {workers} processes", seen=f"in {len(pids)}")


def require_held(program: Program, clients: Sequence[Client], processes: Sequence[int]) -> None:
    """These processes hold the connections of these clients, and the master holds none: a process's number is what the
    program says, and could be anybody's.
    """
    ends = [f"socket:[{inode}]" for inode in map(other_end, clients) if inode]
    if held := set(ends).intersection(program.descriptors()):
        raise CheckFailed(
            expected="requests in the hands of workers", seen=f"the master holds {plural(len(held), 'connection')}"
        )
    known = inner(workers_of(program))
    for pid in processes:
        with contextlib.suppress(vitals.Gone):  # it has ended since, and others tell
            if pid in known and not set(ends).intersection(vitals.descriptors(known[pid])):
                raise CheckFailed(
                    expected="a process that says that it has a request has its connection",
                    seen="it has none: another one speaks for it",
                )


def other_end(client: Client) -> int:
    """The inode of the program's end of a connection, which the network of judge and box shows: proc(5), net/tcp."""
    ports = client.sock.getpeername()[1], client.sock.getsockname()[1]
    for row in Path("/proc/self/net/tcp").read_text().splitlines()[1:]:
        fields = row.split()
        if tuple(int(address.rpartition(":")[2], 16) for address in fields[1:3]) == ports:
            return int(fields[9])
    return 0  # it is closed


# --- processes ----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def started(
    submission: Submission,
    workers: int,
    *,
    meeting: Meeting | None = None,
    traced: bool = False,
    strays: bool = True,
) -> Iterator[Server]:
    """A master that has forked its workers: how many is a question of `workers` alone."""
    fds = meeting.pass_fds if meeting else ()
    with submission.serve(answer, arguments=[workers], pass_fds=fds, traced=traced, strays=strays) as server:
        wait_until(
            server,
            lambda: bool(workers_of(server)),
            expected=f"{workers} worker processes, forked by the master before the first request",
            seen=lambda: how_many(server),
        )
        server.settle()
        yield server


def workers_of(program: Program) -> tuple[int, ...]:
    """All processes but the master, as the host numbers them."""
    try:
        return tuple(pid for pid in program.processes() if pid != program.pid)
    except vitals.Gone:
        program.check_alive()
        return ()


def until_complete(program: Program, workers: int, when: str) -> None:
    """Wait for exactly so many workers, and until they wait for clients: a young one may miss a signal."""
    expected = f"{workers} worker processes, {when}"

    def complete() -> bool:
        return len(workers_of(program)) == workers

    for _ in range(5):  # one that is about to end may have been counted, or one more be forked in a moment
        wait_until(program, complete, expected=expected, seen=lambda: how_many(program))
        program.settle()
        if complete():
            return
    raise CheckFailed(expected=expected, seen=how_many(program), evidence=program.printed())


def how_many(program: Program) -> str:
    found = f"{len(workers_of(program))} of them"
    if zombies := program.zombies():
        found += f", and {plural(zombies, 'zombie')}"
    if (threads := program.threads()) > 1:
        found += f", and {threads} threads in the master"
    return found + what_they_do(program)


def least_zombies(server: Server) -> int:
    """How many are left when the master has reaped what it will reap."""
    with contextlib.suppress(CheckFailed):
        server.wait_until(lambda: server.zombies() == 0)
    server.check_alive()
    return server.zombies()


def what_they_do(program: Program) -> str:
    """Where the processes sleep, as far as the kernel tells: it shows who waits for whom."""
    with contextlib.suppress(vitals.Gone):
        places = Counter(vitals.waits_in(pid) or "another call" for pid in workers_of(program))
        master = vitals.waits_in(program.pid)
        seen = [f"the master in {master}"] if master else []
        seen += [f"{plural(count, 'worker')} in {place}" for place, count in places.most_common()]
        if deaf := sum(vitals.is_pending(pid, signal.SIGTERM) for pid in program.processes()):
            seen.append(f"SIGTERM has come, but is blocked, in {plural(deaf, 'process')}")
        return f"; asleep: {', '.join(seen)}" if seen else ""
    return ""


def plural(count: int, word: str) -> str:
    ending = "" if count == 1 else "es" if word.endswith("s") else "s"
    return f"{count} {word}{ending}"


def wait_until(program: Program, condition: Callable[[], bool], *, expected: str, seen: Callable[[], str]) -> None:
    """Wait for what the program brings about; in vain, it is said in these words."""
    try:
        program.wait_until(condition)
    except Crashed:
        raise
    except CheckFailed as failure:
        raise CheckFailed(expected=expected, seen=seen(), evidence=program.printed()) from failure


def inner(pids: Sequence[int]) -> dict[int, int]:
    """The numbers that living processes have in the box, each with the host's."""
    found = {}
    for pid in pids:
        with contextlib.suppress(vitals.Gone):
            found[vitals.inner_pid(pid)] = pid
    return found


# --- who answers --------------------------------------------------------------------------------------------------


def test_distinct(submission: Submission, sizes: Sizes, rng: Random) -> None:
    workers = sizes["workers"]
    with started(submission, workers, traced=True) as server:
        known, master, answers = inner(workers_of(server)), inner([server.pid]), Counter[int]()
        with server.counting(settled=False) as calls:
            for asked in range(1, 20 * workers + 1):  # no fair shares are asked for; `parallel`: each one works
                pid = ask(server, rng)
                if pid not in known:
                    who = "the master itself" if pid in master else "a process that was not there before"
                    raise CheckFailed(
                        expected="replies from the workers that the master has forked, and from nobody else",
                        seen=f"request {asked} is answered by {who}",
                    )
                answers[known[pid]] += 1
        if calls.everything() is not None:  # else nothing can be traced; behind it, all replies are in the trace
            require_accepted(server, answers)


def require_accepted(server: Server, answers: Counter[int]) -> None:
    """Who answers has accepted the connection itself, as many as it has answered: none was handed on."""
    assert server.trace is not None
    made = [call for call in server.trace.between(0.0, now_s()).calls if call.name in _ACCEPTS]
    accepted = Counter(call.pid for call in made if re.search(r"\) += [0-9]", call.text))
    if others := sum((answers - accepted).values()):
        who = "the master" if accepted[server.pid] else "another process"
        raise CheckFailed(
            expected="each worker accepts the connections that it answers, and the master accepts none",
            seen=f"{who} has accepted {others} of {sum(answers.values())}",
            evidence=[call.text for call in made if call.pid == server.pid][:3],
        )


def test_reply(submission: Submission, sizes: Sizes, rng: Random) -> None:
    with started(submission, sizes["workers"]) as server:
        for _ in range(3):
            nonce = b"%016x" % rng.getrandbits(64)
            with server.client() as client:
                client.send(b"say " + nonce + b"\n")
                got = all_from(server, client, "a reply that ends in a newline, and then the end of the connection")
            pid, _, rest = got.partition(b" ")
            if not is_number(pid) or rest != nonce + b"\n":
                example = shown(b"12 " + nonce + b"\n")
                expected = f"handler(line) and a newline: {example}, if 12 is the worker's os.getpid()"
                raise CheckFailed(expected=expected, seen=shown(got))


def test_workers(submission: Submission, budget: Budgets, sizes: Sizes) -> None:
    workers = sizes["workers"]
    with started(submission, workers, traced=True) as server:
        until_complete(server, workers, "forked by the master before the first request")
        budget.at_most("forks_too_many", beyond(workers, masters(server, CLONE_CALLS)))
        if listens := masters(server, ["listen"]):
            raise CheckFailed(expected="lsock as it is: it listens already", seen="listen(), again", evidence=listens)


def masters(program: Program, names: Sequence[str]) -> list[str] | None:
    """The master's calls of these names so far, from its first line on; None where nothing can be traced."""
    if program.trace is None:
        return None
    calls = program.trace.between(0.0, now_s()).calls
    return [call.text for call in calls if call.pid == program.pid and call.name in names]


def beyond(allowed: int, calls: Sequence[str] | None) -> Count:
    if calls is None:
        return Count(value=None)
    return Count(value=max(0, len(calls) - allowed), evidence=tuple(calls))


def test_parallel(submission: Submission, sizes: Sizes, rng: Random) -> None:
    with Meeting(rng) as meeting, started(submission, sizes["workers"], meeting=meeting) as server:
        all_at_once(server, meeting, sizes["workers"])


# --- what a request costs -----------------------------------------------------------------------------------------


def test_nofork(submission: Submission, budget: Budgets, sizes: Sizes, rng: Random) -> None:
    with started(submission, sizes["workers"], traced=True) as server:
        with server.counting() as calls:
            for _ in range(sizes["requests"]):
                ask(server, rng)
        budget.at_most("clones", calls.of(*CLONE_CALLS))
        budget.at_most("other_threads", sum(threads_of(pid) - 1 for pid in (server.pid, *workers_of(server))))


def threads_of(pid: int) -> int:
    with contextlib.suppress(vitals.Gone):
        return vitals.threads(pid)
    return 1  # it has ended since


def test_herd(submission: Submission, budget: Budgets, sizes: Sizes, rng: Random) -> None:
    requests = sizes["requests"]
    with started(submission, sizes["herd_workers"], traced=True) as server:

        def failed_per_request() -> Count:
            with server.counting() as calls:
                for _ in range(requests):
                    ask(server, rng)
            accepts = calls.of(*_ACCEPTS)
            extra = None if accepts.value is None else max(0.0, accepts.value - requests)
            return Count(value=extra, evidence=calls.total().evidence) / requests

        budget.at_most("failed_accepts_per_request", failed_per_request)
        budget.at_most("waiting_elsewhere", waiting_elsewhere(server, rng))


def waiting_elsewhere(server: Server, rng: Random) -> Count:
    """Workers whose last call, the one they sleep in, neither accepts nor waits for a lock."""
    workers = workers_of(server)
    with server.counting() as calls:
        for _ in workers:
            ask(server, rng)
        server.wait_until(lambda: all(asleep(pid) for pid in workers))
    made = calls.everything()
    if made is None:
        return Count(value=None)
    last = {call.pid: call for call in made if call.pid in workers}
    others = [call.text for call in last.values() if call.name not in (*_ACCEPTS, *_LOCKS)]
    return Count(value=len(others), evidence=tuple(others))


def asleep(pid: int) -> bool:
    with contextlib.suppress(vitals.Gone):
        return vitals.pulse(pid).sleeping
    return True  # for ever


def test_idle(submission: Submission, budget: Budgets, sizes: Sizes, rng: Random) -> None:
    with started(submission, sizes["workers"], traced=True) as server:
        for _ in range(sizes["workers"]):
            ask(server, rng)
        # Processor time, not calls: a master that runs round a flag makes none. It is looked at until it sleeps.
        budget.at_most("busy_seconds", server.busy_s)

        def while_idle() -> Count:
            with server.counting() as calls:
                quiet_for(0.5)
            return calls.total()

        budget.at_most("idle_syscalls", while_idle)
        ask(server, rng)


# --- what the master repairs --------------------------------------------------------------------------------------


def test_crash(submission: Submission, budget: Budgets, sizes: Sizes, rng: Random) -> None:
    workers = sizes["workers"]
    with Meeting(rng) as meeting, started(submission, workers, meeting=meeting) as server:
        before = set(workers_of(server))
        if not before:  # they were there a moment ago
            raise CheckFailed(expected=f"{workers} worker processes that go on", seen="all have ended")
        count = len(before)
        victim = rng.choice(sorted(before))
        for generation in ("a worker has been killed", "its replacement has been killed, too"):
            before.discard(victim)
            kill(server, [victim])
            budget.at_most("zombies", least_zombies(server))
            until_complete(server, count, f"again, when {generation}")
            now = workers_of(server)
            if gone := before.difference(now):
                raise CheckFailed(
                    expected=f"the other {count - 1} workers go on", seen=f"{len(gone)} of them were replaced, too"
                )
            victim = next((pid for pid in now if pid not in before), victim)  # it may have ended since
        all_at_once(server, meeting, workers)


def kill(server: Server, victims: Sequence[int]) -> None:
    """SIGKILL them, and wait until they have ended, be it as zombies."""
    for pid in victims:
        server.kill(pid)
    server.wait_until(lambda: not set(victims) & set(server.processes()))


def test_masscrash(submission: Submission, budget: Budgets, sizes: Sizes, rng: Random) -> None:
    workers = sizes["workers"]
    with Meeting(rng) as meeting, started(submission, workers, meeting=meeting) as server:
        count = len(workers_of(server))
        with server.stopped():
            kill(server, workers_of(server))
        budget.at_most("zombies_after_masscrash", least_zombies(server))
        until_complete(server, count, f"again, when all {count} have been killed while the master stood still")
        all_at_once(server, meeting, workers)


def test_crash_request(submission: Submission, sizes: Sizes, rng: Random) -> None:
    workers = sizes["workers"]
    with Meeting(rng) as meeting, started(submission, workers, meeting=meeting) as server:
        before = workers_of(server)
        with server.client() as unlucky, server.client() as lucky:
            meeting.hold(server, [unlucky])
            victim = worker_of(server, meeting)
            (nonce,) = meeting.hold(server, [lucky])
            kill(server, [victim])
            nothing_for(server, unlucky, "was killed")
            meeting.let_go(1)
            answered_by(server, lucky, nonce)
        until_complete(server, len(before), "again, when one has been killed in a request")
        for status in (0, rng.randint(1, 100)):
            before = workers_of(server)
            with server.client() as unlucky:
                unlucky.send(b"die %d\n" % status)
                nothing_for(server, unlucky, f"ended with exit status {status}")
            server.wait_until(lambda before=before: workers_of(server) != before)
            until_complete(server, len(before), f"again, when one has ended with exit status {status} in a request")
        all_at_once(server, meeting, workers)


def worker_of(server: Server, meeting: Meeting) -> int:
    """The worker that holds the latest request, as the host numbers it."""
    known, pid = inner(workers_of(server)), meeting.processes[-1]
    if pid not in known:
        raise CheckFailed(expected="a request in flight in one of the workers", seen="its process has ended")
    return known[pid]


def nothing_for(server: Server, client: Client, how: str) -> None:
    got = all_from(server, client, f"the end of the connection, for its worker {how} in the request")
    if got:
        raise CheckFailed(expected=f"no reply to a request whose worker {how}", seen=shown(got))


# --- how it ends --------------------------------------------------------------------------------------------------


def test_stop(submission: Submission, budget: Budgets, sizes: Sizes, rng: Random) -> None:
    workers = sizes["workers"]
    with started(submission, workers, strays=False) as server:  # `sentinel` tells
        ask(server, rng)
        server.signal(signal.SIGTERM)
        ended(server, budget)
    with Meeting(rng) as meeting, started(submission, workers, meeting=meeting, strays=False) as server:
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(server.client()) for _ in range(workers - 1)]
            nonces = meeting.hold(server, clients)
            server.signal(signal.SIGTERM)
            server.settle()
            if lost := sum(client.closed() for client in clients):
                raise CheckFailed(
                    expected="a request in flight when SIGTERM comes gets its reply",
                    seen=f"{lost} of {len(clients)} such connections were closed without one",
                )
            if server.has_returned():
                raise CheckFailed(
                    expected="serve_prefork returns when the last request in flight has its reply",
                    seen=f"it has returned, and {len(clients)} requests are in flight",
                )
            meeting.let_go(len(clients))
            for client, nonce in zip(clients, nonces, strict=True):
                answered_by(server, client, nonce)
        ended(server, budget)
    with Meeting(rng) as meeting, started(submission, workers, meeting=meeting, strays=False) as server:
        count = len(workers_of(server))
        with server.client() as client:
            meeting.hold(server, [client])
            try:
                kill(server, [worker_of(server, meeting)])
                until_complete(server, count, "again")
            except Crashed:
                return  # `crash` tells, and this too:
            except CheckFailed:
                pass
        server.signal(signal.SIGTERM)
        ended(server, budget, "when it gets SIGTERM, also when a worker was killed before, and replaced")


def ended(server: Server, budget: Budgets, when: str = "when it gets SIGTERM") -> None:
    """The master returns, and nobody is left."""
    returned(server, when)
    budget.at_most("survivors", len(workers_of(server)) + server.zombies())


def returned(server: Server, when: str) -> None:
    try:
        server.returned(when)
    except Crashed:
        raise
    except CheckFailed as failure:
        seen = failure.seen if server.has_returned() else failure.seen + what_they_do(server)
        raise CheckFailed(expected=failure.expected, seen=seen, evidence=failure.evidence) from failure


# --- what a worker survives ---------------------------------------------------------------------------------------


def test_isolation(submission: Submission, sizes: Sizes, rng: Random) -> None:
    workers = sizes["workers"]
    with Meeting(rng) as meeting, started(submission, workers, meeting=meeting) as server:
        before = workers_of(server)
        for number in range(3 * workers):
            with server.client() as client:
                client.send(b"raise %d\n" % number)
                all_from(server, client, "the end of the connection, for the handler raised an exception")
            ask(server, rng)
        server.settle()
        if workers_of(server) != before:
            raise CheckFailed(
                expected=f"the same {workers} workers after {3 * workers} exceptions of the handler",
                seen=f"{len(set(before) - set(workers_of(server)))} of them have ended",
                evidence=server.printed(),
            )
        all_at_once(server, meeting, workers)


def test_pieces(submission: Submission, sizes: Sizes, rng: Random) -> None:
    """Longer than a usual buffer, and each piece comes when the one before has been read."""
    workers = sizes["workers"]
    nonce = b"%x" % rng.getrandbits(4 * 20_000)
    line = b"say " + nonce + b"\n"
    pieces = line[:1], line[1:9], line[9:-1], line[-1:]
    with Meeting(rng) as meeting, started(submission, workers, meeting=meeting) as server:
        with server.client() as client:
            try:
                for piece in pieces:
                    client.send(piece)
                    server.settle()
                answered_by(server, client, nonce)
            except Crashed:
                raise
            except CheckFailed as failure:
                raise CheckFailed(
                    expected=f"one reply to one line of {len(line):,} bytes that comes in {len(pieces)} pieces, the "
                    "first of 1 byte and the last of its newline",
                    seen=failure.seen,
                    evidence=failure.evidence,
                ) from failure
        with server.client() as client:
            client.send(b"say good")
            client.half_close()
            all_from(server, client, "the end of the connection, for its client has left before the newline")
        all_at_once(server, meeting, workers)


def between_sentinels(student: Any, room: Any, listener: int, workers: int, leaving: int) -> bool:
    """Calls serve_prefork as a program would; whoever comes out of it, and is not the master, is written down."""
    import os
    import socket

    def echo(line: bytes) -> bytes:
        if line.startswith(b"meet "):
            _, arrivals, waiting, _ = line.split(b" ")
            os.write(int(arrivals), b"%d\n" % os.getpid())
            os.read(int(waiting), 1)
        return line

    master = os.getpid()
    try:
        student.serve_prefork(socket.socket(fileno=listener), echo, workers)
    finally:
        if os.getpid() != master:
            os.write(leaving, b"!")
            os._exit(0)
    return True


def test_sentinel(submission: Submission, sizes: Sizes, rng: Random) -> None:
    workers = sizes["workers"]
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        address = listener.getsockname()
        left, meeting = stack.enter_context(Pipe()), stack.enter_context(Meeting(rng))
        arguments = listener.fileno(), workers, left.writing
        fds = [listener.fileno(), left.writing, *meeting.pass_fds]
        run = stack.enter_context(submission.running(between_sentinels, *arguments, pass_fds=fds))
        wait_until(run, lambda: bool(workers_of(run)), expected=f"{workers} workers", seen=lambda: how_many(run))
        run.settle()

        def client() -> contextlib.closing[Client]:
            return contextlib.closing(Client(address, run.watch))

        with client() as polite, client() as in_mid_line, client() as in_its_handler:
            polite.send(b"is there anybody?\n")
            polite.check(b"is there anybody?", b"is there anybody?", polite.read_line_or_end())
            in_mid_line.send(b"no newline comes")
            run.settle()
            in_mid_line.reset()
            meeting.hold(run, [in_its_handler])
            in_its_handler.reset()
            meeting.let_go(1)
            run.settle()
        run.signal(signal.SIGTERM)
        run.result()
        if strays := len(left.read()):
            raise CheckFailed(
                expected="only the master comes out of serve_prefork, also when a client resets its connection before "
                "the newline or before the reply",
                seen=f"{plural(strays, 'worker')} went on in the code behind it, or in its caller's `finally`",
            )
