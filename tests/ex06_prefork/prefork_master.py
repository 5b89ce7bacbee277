"""A master with its workers, as the checks of ex06 see it: how it is started, who answers, how many there are, and what
they do while one waits in vain.

One handler serves all checks: it replies the number of its process, and does before that what the request line asks
for. Requests that must be in flight together, or when something happens, meet: each says on a pipe that it has come,
and waits on another one until the check lets it go.
"""

import contextlib
import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from random import Random

from grader.checks import (
    CheckFailed,
    Client,
    Meeting,
    NoAnswer,
    Program,
    Server,
    Submission,
    is_pid,
    require,
    shown,
)


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
        server.wait_until(
            lambda: bool(server.others()),
            expected=f"{workers} worker processes, forked by the master before the first request",
            seen=lambda: how_many(server),
        )
        server.settle()
        yield server


# --- who answers --------------------------------------------------------------------------------------------------


def nonce_of(rng: Random) -> bytes:
    return b"%016x" % rng.getrandbits(64)


def ask(server: Server, rng: Random) -> int:
    """One request; the number of the process that answered it."""
    nonce = nonce_of(rng)
    with server.client() as client:
        client.send(b"say " + nonce + b"\n")
        return answered_by(server, client, nonce)


def answered_by(server: Server, client: Client, nonce: bytes) -> int:
    """Who answered, whatever the form of the reply is, and whatever becomes of the connection: `reply` tells."""
    with in_vain_tells_what_they_do(server):
        got = client.read_line_or_end("a reply")
    pid, *rest = got.split() or [b""]
    example = shown(b"12 " + nonce)
    right = is_pid(pid) and rest == [nonce]
    require(right, expected=f"handler(line): {example}, if 12 is its os.getpid()", seen=shown(got))
    return int(pid)


def all_from(program: Program, client: Client, expected: str) -> bytes:
    """Everything that this client is sent, up to the end of its connection."""
    with in_vain_tells_what_they_do(program):
        return client.read_until_closed(expected)


def nothing_for(server: Server, client: Client, how: str) -> None:
    got = all_from(server, client, f"the end of the connection, for its worker {how} in the request")
    require(not got, expected=f"no reply to a request whose worker {how}", seen=shown(got))


def hold(program: Program, meeting: Meeting, clients: Sequence[Client], rng: Random) -> list[bytes]:
    """One request for each client; returns their nonces when all are in their handlers."""
    nonces, before = [nonce_of(rng) for _ in clients], len(meeting.processes)
    for client, nonce in zip(clients, nonces, strict=True):
        client.send(b"meet %d %d %s\n" % (*meeting.pass_fds, nonce))
    meeting.gather(
        program,
        len(clients),
        expected=f"{plural(len(clients), 'request')} in their handlers at once",
        seen=lambda come: f"{come}; the others wait until these have ended{what_they_do(program)}",
    )
    require_held(program, clients, meeting.processes[before:])
    return nonces


def require_held(program: Program, clients: Sequence[Client], processes: Sequence[int]) -> None:
    """These processes hold the connections of these clients, and the master holds none: a process's number is what the
    program says, and could be anybody's.
    """
    ends = {end for end in (client.other_end() for client in clients) if end}
    masters = plural(len(ends.intersection(program.descriptors())), "connection")
    require(
        not ends.intersection(program.descriptors()),
        expected="requests in the hands of workers",
        seen=f"the master holds {masters}",
    )
    known = program.inner(program.others())
    for pid in processes:
        held = program.descriptors_of(known[pid]) if pid in known else None
        require(
            held is None or ends.intersection(held),  # None: it has ended since, and others tell
            expected="a process that says that it has a request has its connection",
            seen="it has none: another one speaks for it",
        )


def all_at_once(server: Server, meeting: Meeting, workers: int, rng: Random) -> None:
    """Requests that wait for each other: each worker must have exactly one of them."""
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(server.client()) for _ in range(workers)]
        nonces = hold(server, meeting, clients, rng)
        meeting.let_go(workers)
        pids = {answered_by(server, client, nonce) for client, nonce in zip(clients, nonces, strict=True)}
    expected = f"{workers} requests at once in {workers} processes"
    require(len(pids) == workers, expected=expected, seen=f"in {len(pids)}")


def worker_of(server: Server, meeting: Meeting) -> int:
    """The worker that holds the latest request, as the host numbers it."""
    known, pid = server.inner(server.others()), meeting.processes[-1]
    require(pid in known, expected="a request in flight in one of the workers", seen="its process has ended")
    return known[pid]


# --- how many there are -------------------------------------------------------------------------------------------


def until_complete(program: Program, workers: int, when: str) -> None:
    """Wait for exactly so many workers, and until they wait for clients: a young one may miss a signal."""
    expected = f"{workers} worker processes, {when}"

    def complete() -> bool:
        return len(program.others()) == workers

    for _ in range(5):  # one that is about to end may have been counted, or one more be forked in a moment
        program.wait_until(complete, expected=expected, seen=lambda: how_many(program))
        program.settle()
        if complete():
            return
    require(complete(), expected=expected, seen=how_many(program), evidence=program.printed())


def how_many(program: Program) -> str:
    found = f"{len(program.others())} of them"
    if zombies := program.zombies():
        found += f", and {plural(zombies, 'zombie')}"
    if (threads := program.threads()) > 1:
        found += f", and {threads} threads in the master"
    return found + what_they_do(program)


def kill_all(server: Server, victims: Sequence[int]) -> None:
    """SIGKILL them, and wait until they have ended, be it as zombies."""
    for pid in victims:
        server.kill(pid)
    server.wait_until(lambda: not set(victims) & set(server.processes()))


def least_zombies(server: Server) -> int:
    """How many are left when the master has reaped what it will reap."""
    with contextlib.suppress(CheckFailed):
        server.wait_until(lambda: server.zombies() == 0)
    server.check_alive()
    return server.zombies()


# --- what they do -------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def in_vain_tells_what_they_do(program: Program) -> Iterator[None]:
    try:
        yield
    except NoAnswer as failure:
        got = shown(failure.got) if failure.got else "nothing"
        seen = f"{got}, and the connection stays open{what_they_do(program)}"
        raise failure.retold(seen=seen, evidence=program.printed()) from failure


def what_they_do(program: Program) -> str:
    """Where the processes sleep, as far as the kernel tells: it shows who waits for whom."""
    places = Counter(program.waits_in(pid) or "another call" for pid in program.others())
    master = program.waits_in(program.pid)
    seen = [f"the master in {master}"] if master else []
    seen += [f"{plural(count, 'worker')} in {place}" for place, count in places.most_common()]
    if deaf := program.deaf(signal.SIGTERM):
        seen.append(f"SIGTERM has come, but is blocked, in {plural(deaf, 'process')}")
    return f"; asleep: {', '.join(seen)}" if seen else ""


def plural(count: int, word: str) -> str:
    ending = "" if count == 1 else "es" if word.endswith("s") else "s"
    return f"{count} {word}{ending}"
