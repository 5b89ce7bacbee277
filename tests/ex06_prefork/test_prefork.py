"""What a submission of ex06 is graded by. Titles, hints, points and limits stand in its exercise.yaml.

Every check starts a fresh master behind the wall; `prefork_master` knows how to look at it.
"""

import contextlib
import re
import signal
import socket
from collections import Counter
from random import Random
from typing import Any

from prefork_master import (
    all_at_once,
    all_from,
    answered_by,
    ask,
    hold,
    how_many,
    kill_all,
    least_zombies,
    nonce_of,
    nothing_for,
    plural,
    started,
    until_complete,
    what_they_do,
    worker_of,
)

from grader.checks import (
    CLONE_CALLS,
    Budgets,
    CheckFailed,
    Client,
    Count,
    Crashed,
    Meeting,
    NoAnswer,
    Pipe,
    Server,
    Sizes,
    Submission,
    expecting,
    is_pid,
    require,
    shown,
)

_ACCEPTS = ("accept", "accept4")
# A worker may wait for its turn to accept: for a file lock, a semaphore, a futex, or a token in a pipe.
_LOCKS = ("flock", "fcntl", "semop", "semtimedop", "futex", "read")

# --- who answers --------------------------------------------------------------------------------------------------


def test_distinct(submission: Submission, sizes: Sizes, rng: Random) -> None:
    workers = sizes["workers"]
    with started(submission, workers, traced=True) as server:
        known, master, answers = server.inner(server.others()), server.inner([server.pid]), Counter[int]()
        with server.counting(settled=False) as calls:
            for asked in range(1, 20 * workers + 1):  # no fair shares are asked for; `parallel`: each one works
                pid = ask(server, rng)
                who = "the master itself" if pid in master else "a process that was not there before"
                expected = "replies from the workers that the master has forked, and from nobody else"
                require(pid in known, expected=expected, seen=f"request {asked} is answered by {who}")
                answers[known[pid]] += 1
        if calls.all_calls() is not None:  # else nothing can be traced; behind it, all replies are in the trace
            require_accepted(server, answers)


def require_accepted(server: Server, answers: Counter[int]) -> None:
    """Who answers has accepted the connection itself, as many as it has answered: none was handed on."""
    made = [call for call in server.calls_from_its_start().all_calls() or () if call.name in _ACCEPTS]
    accepted = Counter(call.pid for call in made if re.search(r"\) += [0-9]", call.text))
    others = sum((answers - accepted).values())
    who = "the master" if accepted[server.pid] else "another process"
    require(
        not others,
        expected="each worker accepts the connections that it answers, and the master accepts none",
        seen=f"{who} has accepted {others} of {sum(answers.values())}",
        evidence=[call.text for call in made if call.pid == server.pid][:3],
    )


def test_reply(submission: Submission, sizes: Sizes, rng: Random) -> None:
    with started(submission, sizes["workers"]) as server:
        for _ in range(3):
            nonce = nonce_of(rng)
            with server.client() as client:
                client.send(b"say " + nonce + b"\n")
                got = all_from(server, client, "a reply that ends in a newline, and then the end of the connection")
            pid, _, rest = got.partition(b" ")
            example = shown(b"12 " + nonce + b"\n")
            expected = f"handler(line) and a newline: {example}, if 12 is the worker's os.getpid()"
            require(is_pid(pid) and rest == nonce + b"\n", expected=expected, seen=shown(got))


def test_workers(submission: Submission, budget: Budgets, sizes: Sizes) -> None:
    workers = sizes["workers"]
    with started(submission, workers, traced=True) as server:
        until_complete(server, workers, "forked by the master before the first request")
        made = server.calls_from_its_start().all_calls()
        masters = [call for call in made or () if call.pid == server.pid]
        forks = [call.text for call in masters if call.name in CLONE_CALLS]
        too_many = None if made is None else max(0, len(forks) - workers)
        budget.at_most("forks_too_many", Count(value=too_many, evidence=tuple(forks)))
        listens = [call.text for call in masters if call.name == "listen"]
        expected = "lsock as it is: it listens already"
        require(not listens, expected=expected, seen="listen(), again", evidence=listens)


def test_parallel(submission: Submission, sizes: Sizes, rng: Random) -> None:
    with Meeting() as meeting, started(submission, sizes["workers"], meeting=meeting) as server:
        all_at_once(server, meeting, sizes["workers"], rng)


# --- what a request costs -----------------------------------------------------------------------------------------


def test_nofork(submission: Submission, budget: Budgets, sizes: Sizes, rng: Random) -> None:
    with started(submission, sizes["workers"], traced=True) as server:
        with server.counting() as calls:
            for _ in range(sizes["requests"]):
                ask(server, rng)
        budget.at_most("clones", calls.of(*CLONE_CALLS))
        budget.at_most("other_threads", server.further_threads())


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
    workers = server.others()
    with server.counting() as calls:
        for _ in workers:
            ask(server, rng)
        server.wait_until(lambda: all(map(server.sleeps, workers)))
    made = calls.all_calls()
    if made is None:
        return Count(value=None)
    last = {call.pid: call for call in made if call.pid in workers}
    others = [call.text for call in last.values() if call.name not in (*_ACCEPTS, *_LOCKS)]
    return Count(value=len(others), evidence=tuple(others))


def test_idle(submission: Submission, budget: Budgets, sizes: Sizes, rng: Random) -> None:
    with started(submission, sizes["workers"], traced=True) as server:
        for _ in range(sizes["workers"]):
            ask(server, rng)
        # Processor time, not calls: a master that runs round a flag makes none. It is looked at until it sleeps.
        budget.at_most("busy_seconds", server.busy_s)

        budget.at_most("idle_syscalls", lambda: server.calls_while_quiet(0.5))
        ask(server, rng)


# --- what the master repairs --------------------------------------------------------------------------------------


def test_crash(submission: Submission, budget: Budgets, sizes: Sizes, rng: Random) -> None:
    workers = sizes["workers"]
    with Meeting() as meeting, started(submission, workers, meeting=meeting) as server:
        before = set(server.others())
        expected = f"{workers} worker processes that go on"
        require(before, expected=expected, seen="all have ended")  # they were there a moment ago
        count = len(before)
        victim = rng.choice(sorted(before))
        for generation in ("a worker has been killed", "its replacement has been killed, too"):
            before.discard(victim)
            kill_all(server, [victim])
            budget.at_most("zombies", least_zombies(server))
            until_complete(server, count, f"again, when {generation}")
            now = server.others()
            gone = f"{len(before.difference(now))} of them were replaced, too"
            require(before <= set(now), expected=f"the other {count - 1} workers go on", seen=gone)
            victim = next((pid for pid in now if pid not in before), victim)  # it may have ended since
        all_at_once(server, meeting, workers, rng)


def test_masscrash(submission: Submission, budget: Budgets, sizes: Sizes, rng: Random) -> None:
    workers = sizes["workers"]
    with Meeting() as meeting, started(submission, workers, meeting=meeting) as server:
        count = len(server.others())
        with server.stopped():
            kill_all(server, server.others())
        budget.at_most("zombies_after_masscrash", least_zombies(server))
        until_complete(server, count, f"again, when all {count} have been killed while the master stood still")
        all_at_once(server, meeting, workers, rng)


def test_crash_request(submission: Submission, sizes: Sizes, rng: Random) -> None:
    workers = sizes["workers"]
    with Meeting() as meeting, started(submission, workers, meeting=meeting) as server:
        before = server.others()
        with server.client() as unlucky, server.client() as lucky:
            hold(server, meeting, [unlucky], rng)
            victim = worker_of(server, meeting)
            (nonce,) = hold(server, meeting, [lucky], rng)
            kill_all(server, [victim])
            nothing_for(server, unlucky, "was killed")
            meeting.let_go(1)
            answered_by(server, lucky, nonce)
        until_complete(server, len(before), "again, when one has been killed in a request")
        for status in (0, rng.randint(1, 100)):
            before = server.others()
            with server.client() as unlucky:
                unlucky.send(b"die %d\n" % status)
                nothing_for(server, unlucky, f"ended with exit status {status}")
            server.wait_until(lambda before=before: server.others() != before)
            until_complete(server, len(before), f"again, when one has ended with exit status {status} in a request")
        all_at_once(server, meeting, workers, rng)


# --- how it ends --------------------------------------------------------------------------------------------------


def test_stop(submission: Submission, budget: Budgets, sizes: Sizes, rng: Random) -> None:
    workers = sizes["workers"]
    with started(submission, workers, strays=False) as server:  # `sentinel` tells
        ask(server, rng)
        server.signal(signal.SIGTERM)
        ended(server, budget)
    with Meeting() as meeting, started(submission, workers, meeting=meeting, strays=False) as server:
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(server.client()) for _ in range(workers - 1)]
            nonces = hold(server, meeting, clients, rng)
            server.signal(signal.SIGTERM)
            server.settle()
            lost = sum(client.closed() for client in clients)
            require(
                not lost,
                expected="a request in flight when SIGTERM comes gets its reply",
                seen=f"{lost} of {len(clients)} such connections were closed without one",
            )
            require(
                not server.has_returned(),
                expected="serve_prefork returns when the last request in flight has its reply",
                seen=f"it has returned, and {len(clients)} requests are in flight",
            )
            meeting.let_go(len(clients))
            for client, nonce in zip(clients, nonces, strict=True):
                answered_by(server, client, nonce)
        ended(server, budget)
    with Meeting() as meeting, started(submission, workers, meeting=meeting, strays=False) as server:
        count = len(server.others())
        with server.client() as client:
            hold(server, meeting, [client], rng)
            try:
                kill_all(server, [worker_of(server, meeting)])
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
    budget.at_most("survivors", len(server.others()) + server.zombies())


def returned(server: Server, when: str) -> None:
    try:
        server.returned(when)
    except NoAnswer as failure:
        raise failure.retold(seen=failure.seen + what_they_do(server)) from failure


# --- what a worker survives ---------------------------------------------------------------------------------------


def test_isolation(submission: Submission, sizes: Sizes, rng: Random) -> None:
    workers = sizes["workers"]
    with Meeting() as meeting, started(submission, workers, meeting=meeting) as server:
        before = server.others()
        for number in range(3 * workers):
            with server.client() as client:
                client.send(b"raise %d\n" % number)
                all_from(server, client, "the end of the connection, for the handler raised an exception")
            ask(server, rng)
        server.settle()
        require(
            server.others() == before,
            expected=f"the same {workers} workers after {3 * workers} exceptions of the handler",
            seen=f"{len(set(before) - set(server.others()))} of them have ended",
            evidence=server.printed(),
        )
        all_at_once(server, meeting, workers, rng)


def test_pieces(submission: Submission, sizes: Sizes, rng: Random) -> None:
    """Longer than a usual buffer, and each piece comes when the one before has been read."""
    workers = sizes["workers"]
    nonce = b"%x" % rng.getrandbits(4 * 20_000)
    line = b"say " + nonce + b"\n"
    pieces = line[:1], line[1:9], line[9:-1], line[-1:]
    with Meeting() as meeting, started(submission, workers, meeting=meeting) as server:
        with server.client() as client:
            whole = f"one reply to one line of {len(line):,} bytes that comes in {len(pieces)} pieces"
            with expecting(f"{whole}, the first of 1 byte and the last of its newline", but=Crashed):
                for piece in pieces:
                    client.send(piece)
                    server.settle()
                answered_by(server, client, nonce)
        with server.client() as client:
            client.send(b"say good")
            client.half_close()
            all_from(server, client, "the end of the connection, for its client has left before the newline")
        all_at_once(server, meeting, workers, rng)


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
        left, meeting = stack.enter_context(Pipe()), stack.enter_context(Meeting())
        arguments = listener.fileno(), workers, left.writing
        fds = [listener.fileno(), left.writing, *meeting.pass_fds]
        run = stack.enter_context(submission.running(between_sentinels, *arguments, pass_fds=fds))
        run.wait_until(lambda: bool(run.others()), expected=f"{workers} workers", seen=lambda: how_many(run))
        run.settle()

        def client() -> contextlib.closing[Client]:
            return contextlib.closing(Client(address, run.watch))

        with client() as polite, client() as in_mid_line, client() as in_its_handler:
            polite.send(b"is there anybody?\n")
            polite.check(b"is there anybody?", b"is there anybody?", polite.read_line_or_end())
            in_mid_line.send(b"no newline comes")
            run.settle()
            in_mid_line.reset()
            hold(run, meeting, [in_its_handler], rng)
            in_its_handler.reset()
            meeting.let_go(1)
            run.settle()
        run.signal(signal.SIGTERM)
        run.result()
        strays = len(left.read())
        require(
            not strays,
            expected="only the master comes out of serve_prefork, also when a client resets its connection before the "
            "newline or before the reply",
            seen=f"{plural(strays, 'worker')} went on in the code behind it, or in its caller's `finally`",
        )
