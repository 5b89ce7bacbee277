"""Checks that every server of the line protocol shares: a line is answered with handler(line), many times on one
connection. What is asked of select, epoll and their kind alike stands here once. An exercise's file imports those that
it asks, as they are, or calls one in a check of its own.

Knows what such a server must answer, survive and cost; knows no exercise. Each `test_` is one check: it takes the
fixtures of a check and raises what a check raises. Budgets are named as in the exercises' `exercise.yaml`.
"""

from random import Random

from grader.checks.budgets import Budgets, Count, Sizes
from grader.checks.expecting import require
from grader.checks.line_clients import (
    all_served,
    calls_while_serving,
    gets_it,
    keeps_apart,
    least_leaked,
    one_at_a_time,
    served_or_refused,
    shout,
    swell,
    taken_for_the_last_one,
    unhindered,
)
from grader.checks.program import quiet_for
from grader.checks.submission import Submission
from grader.measure.clients import shown
from grader.measure.strace import CLONE_CALLS, READINESS_CALLS, TRANSFER_CALLS

__all__ = [
    "all_served",
    "calls_while_serving",
    "one_at_a_time",
    "partial",
    "served_or_refused",
    "shout",
    "test_backpressure",
    "test_basic",
    "test_batch",
    "test_bigreq",
    "test_budget",
    "test_bytes",
    "test_econnaborted",
    "test_emfile",
    "test_eof",
    "test_fds_per_event",
    "test_frag",
    "test_idle",
    "test_many",
    "test_oneproc",
    "test_partial",
    "test_pipeline",
    "test_rst",
    "test_sleeps",
    "test_stop",
    "unhindered",
]


def test_basic(submission: Submission) -> None:
    unforeseen = b"hello, %x" % submission.rng.getrandbits(64)
    with submission.serve(shout) as server, server.client() as client:
        client.ask(unforeseen, shout(unforeseen))
        client.ask(b"again", shout(b"again"))


def test_bytes(submission: Submission, rng: Random) -> None:
    """An empty line is a line, and every byte but the newline is the handler's."""
    anything = bytes(range(256)) + rng.randbytes(256)
    lines = [b"", b"  blanks belong to a line \t\r", anything.replace(b"\n", b""), b"\r"]
    with submission.serve(shout) as server, server.client() as client:
        for line in lines:
            client.ask(line, shout(line))


def test_stop(submission: Submission, budget: Budgets) -> None:
    """Budget fds_left_open: what it opened is closed when it returns, and what was lent to it is not."""
    with submission.serve(shout) as server:
        server.stop()
    with submission.serve(shout) as server, server.crowd(3) as crowd:
        crowd.ask_each()
        server.settle()
        server.stop()
        lent = "lsock and stop_fd open behind the return"
        require(server.holds_what_was_lent(), expected=lent, seen="one of them is closed")
        budget.at_most("fds_left_open", server.opened_since(server.held_at_start))


def test_many(submission: Submission, sizes: Sizes) -> None:
    with submission.serve(shout) as server, server.crowd(sizes["many"]) as crowd:
        for client in reversed(crowd.clients):
            line = crowd.nonce()
            client.ask(line, shout(line))
        crowd.ask_each()


def test_frag(submission: Submission) -> None:
    with submission.serve(shout) as server, server.crowd(3) as crowd, server.client() as stalled:
        stalled.send(b"half a li")
        server.settle()
        crowd.ask_each()
        stalled.send(b"ne\nand a ha")
        stalled.check(
            b"half a line", shout(b"half a line"), stalled.read_line("the reply to the line that came in two parts")
        )
        crowd.ask_each()
        for byte in b"lf\n":
            server.settle()
            stalled.send(bytes([byte]))
        stalled.check(
            b"and a half", shout(b"and a half"), stalled.read_line("the reply to a line that came byte by byte")
        )


def test_pipeline(submission: Submission, sizes: Sizes, rng: Random) -> None:
    lines = [b"%d-%x" % (number, rng.getrandbits(32)) for number in range(sizes["pipeline"])]
    with submission.serve(shout) as server, server.client() as client:
        client.send(b"".join(line + b"\n" for line in lines))
        for line in lines:
            client.check(line, shout(line), client.read_line(f"{len(lines)} replies, in order"))
        with server.stopped():  # so that the lines and the end of file are there at once
            client.send(b"first\nlast\nno newline, so no request")
            client.half_close()
        rest = client.read_until_closed("the end of the connection, after a client has said that nothing more comes")
        require(
            rest == b"<FIRST>\n<LAST>\n",
            expected="exactly the replies <FIRST> and <LAST> to a client that closed its sending side: what came "
            "without a newline is no request",
            seen=shown(rest),
        )


def test_bigreq(submission: Submission, sizes: Sizes, rng: Random) -> None:
    line = rng.randbytes(sizes["big_request"] // 2).hex().encode()
    with submission.serve(shout) as server, server.client() as other, server.client() as client:
        client.ask(line, shout(line))
        client.ask(line[::-1], shout(line[::-1]))
        other.ask(b"still there?", shout(b"still there?"))


def test_partial(submission: Submission, budget: Budgets, sizes: Sizes) -> None:
    """Budgets syscalls_while_stalled and syscalls_after_partial."""
    partial(submission, budget, sizes, briefly=False)


def partial(submission: Submission, budget: Budgets, sizes: Sizes, *, briefly: bool) -> None:
    """Budgets syscalls_while_stalled and, unless it is to be done briefly, syscalls_after_partial."""
    size = sizes["big_reply"]
    request = b"%d bytes, please" % size
    reply = swell(request) + b"\n"
    # A program that made its buffer larger than the reply would meet no partial write: setsockopt() says yes, and does
    # nothing.
    inject = ["setsockopt:retval=0"] if submission.strace else []
    with (
        submission.serve(swell, traced=True, send_buffer=8192, inject=inject) as server,
        server.client(receive_buffer=4096) as stalled,
        server.client() as other,
    ):
        stalled.send(request + b"\n")
        server.settle()
        other.ask(b"21 others are served", swell(b"21 others are served"))

        budget.at_most("syscalls_while_stalled", lambda: server.calls_while_quiet(0.2))
        # Nothing else comes from this client, so only writability can make the program go on.
        first = stalled.read_exactly(len(reply))
        stalled.send(request + b"\n")
        server.settle()
        stalled.send(b"20 a second request\n")
        server.settle()
        got = first if first != reply else stalled.read_exactly(len(reply))
        differ = [place for place, (left, right) in enumerate(zip(got, reply, strict=True)) if left != right][:1]
        in_order = f"the whole reply of {len(reply):,} bytes in order"
        require(not differ, expected=in_order, seen="".join(f"another byte at offset {place:,}" for place in differ))
        second = swell(b"20 a second request")
        stalled.check(b"20 a second request", second, stalled.read_line("the reply to a request sent meanwhile"))
        if briefly:
            return
        stalled.ask(b"13 and again", swell(b"13 and again"))
        budget.at_most("syscalls_after_partial", lambda: server.calls_while_quiet(0.2))
        stalled.send(request + b"\n")
        server.settle()
        stalled.half_close()
        server.settle()
        last = stalled.read_line(f"all {len(reply):,} bytes of a reply, by a client that only stops sending (SHUT_WR)")
        stalled.check(request, swell(request), last)


def test_backpressure(submission: Submission, budget: Budgets) -> None:
    """Budgets mib_read_ahead: requests that are taken from a client which leaves its replies unread; and
    sleeps_while_stalled: what it does to the others.
    """
    offered = 8 << 20
    line = b"4000 bytes for each of these, please: ".ljust(999, b".") + b"\n"
    with (
        submission.serve(swell, traced=True, send_buffer=8192) as server,
        server.client(receive_buffer=4096) as greedy,
        server.client() as other,
    ):
        greedy.send(b"2000000 bytes, more than there is room for\n")
        server.settle()  # so that a reply is unsent when the first of these comes
        budget.at_most("sleeps_while_stalled", unhindered(server, other, b"17 and what of me", swell))
        taken = greedy.offer_until_stuck(line, offered, server.settle)
        budget.at_most("mib_read_ahead", taken / (1 << 20))


def test_rst(submission: Submission, budget: Budgets) -> None:
    """Budget fds_leaked_by_resets. Whoever comes next gets the descriptors of those who were reset, and nothing else of
    theirs.
    """
    big = b"300000 bytes for a client that does not read\n"
    with submission.serve(swell, send_buffer=8192) as server, server.client() as stays:
        stays.ask(b"17 are you there", swell(b"17 are you there"))
        sleeps = server.settle()  # who never sleeps has nothing to be waited for, and each wait would be a long one
        settle = server.settle if sleeps else server.check_alive
        short, long = b"18 I am a new one", b"300000 bytes, please"
        if not gets_it(server, settle, long, swell):  # that has its own check
            long = short
        apart = keeps_apart(server, settle, short, swell)  # so has that
        settle()
        before = server.held()
        with server.crowd(12) as crowd:
            for client in crowd:
                client.ask(b"13 I am here", swell(b"13 I am here"))
            _quiet, halfway, unread, more, ending, gone = (
                crowd.clients[place : place + 2] for place in range(0, 12, 2)
            )
            for client in halfway if apart else ():
                client.send(b"half a li")
            for client in (*unread, *more, *ending):
                client.send(big)
            settle()
            for client in more:
                client.send(b"14 and another\n")
            for client in ending:
                client.half_close()
            settle()
            with server.stopped():  # so that it reads this, and finds nobody to answer
                for client in gone:
                    client.send(b"20 nobody waits for\n")
                    client.reset()
            settle()
            crowd.leave(crowd.clients)
        settle()
        stays.ask(b"16 and you, too", swell(b"16 and you, too"))
        budget.at_most("fds_leaked_by_resets", least_leaked(server, before))
        with server.crowd(13) as newcomers:
            taken_for_the_last_one(newcomers, settle, short, long, swell)
        stays.ask(b"18 are you there?", swell(b"18 are you there?"))


def test_oneproc(submission: Submission, budget: Budgets) -> None:
    with submission.serve(shout, traced=True) as server, server.crowd(20) as crowd:
        crowd.ask_each()
        if helpers := server.threads() - 1 + len(server.children()):  # also those from before the first request
            budget.at_most("threads_and_processes", helpers)
        budget.at_most("threads_and_processes", calls_while_serving(server, crowd).of(*CLONE_CALLS))


def test_sleeps(submission: Submission, budget: Budgets, sizes: Sizes) -> None:
    """Budget busy_seconds. The costs of a program that never sleeps depend on how long one looks: they need this."""
    with submission.serve(shout) as server, server.crowd(sizes["crowd"]) as crowd:
        crowd.ask_each()
        budget.at_most("busy_seconds", server.busy_s)


def test_idle(submission: Submission, budget: Budgets, sizes: Sizes) -> None:
    with submission.serve(shout, traced=True) as server, server.crowd(sizes["crowd"]) as crowd:
        crowd.ask_each()

        busy_s: list[float] = []

        def while_idle() -> Count:
            with server.counting() as calls:
                began_s = server.cpu_s()
                quiet_for(0.5)
                busy_s.append(server.cpu_s() - began_s)
            return calls.total()

        budget.at_most("idle_syscalls", while_idle)
        budget.at_most("idle_cpu", 1000 * min(busy_s))
        crowd.ask_each()


def test_eof(submission: Submission, budget: Budgets, sizes: Sizes) -> None:
    leavers = sizes["leavers"]
    with submission.serve(shout, traced=True) as server, server.crowd(1) as crowd:
        crowd.ask_each()
        apart = keeps_apart(server, server.settle, b"17 are you there", shout)  # that has its own check
        server.settle()
        before = server.held()
        server.add_clients(crowd, leavers)
        crowd.ask_each()
        for client in crowd.clients[1::3] if apart else ():
            client.send(b"half a li")
        server.settle()
        crowd.leave(crowd.clients[1:], politely=True)
        server.settle()
        leaked = least_leaked(server, before)
        budget.at_most("fds_leaked", leaked)

        budget.at_most("syscalls_after_eof", lambda: server.calls_while_quiet(0.5))
        crowd.ask_each()
        with server.crowd(leavers) as newcomers:
            taken_for_the_last_one(newcomers, server.settle, b"I am a new one", b"and this is my line", shout)


def test_emfile(submission: Submission, budget: Budgets) -> None:
    """Budgets syscalls_out_of_fds and sleeps_out_of_fds."""
    with submission.serve(shout, traced=True, open_files=40) as server:
        server.settle()
        before = server.held()
        with server.crowd(60) as crowd:
            server.settle()

            budget.at_most("syscalls_out_of_fds", lambda: server.calls_while_quiet(0.3))
            # They are accepted in the order they came. What else it opened since, a log or a spare, are a few.
            held = server.open_fds() - before.total()
            inside, waiting = crowd.clients[: held - 3], crowd.clients[held:]
            all_served(crowd, inside, "while no descriptor is left")
            budget.at_most("sleeps_out_of_fds", unhindered(server, inside[0], b"and at once?", shout))
            crowd.leave(inside[:5], politely=True)
            left = "after some of those who were there have left, and nobody else has come"
            served_or_refused(waiting[0], crowd.nonce(), left)
            crowd.leave(crowd.clients[5:held], politely=True)
            for client in waiting:
                served_or_refused(client, crowd.nonce(), left)
        least_leaked(server, before)  # a newcomer that comes before they are closed may be refused, and rightly
        with server.client() as newcomer:
            newcomer.send(b"is there room again?\n")
            reply = newcomer.read_line("service for a newcomer, after all that held descriptors have left")
            newcomer.check(b"is there room again?", shout(b"is there room again?"), reply)


def test_econnaborted(submission: Submission) -> None:
    with (
        submission.serve(shout, inject=["accept4:error=ECONNABORTED:when=2"]) as server,
        server.client() as first,
        server.client() as second,
        server.client() as third,
    ):
        for client in (first, third, second):
            client.ask(b"here", shout(b"here"))


def test_budget(submission: Submission, budget: Budgets, sizes: Sizes) -> None:
    """Budgets syscalls_per_request, setup_per_request and, if the exercise has it, syscalls_per_request_big_crowd.

    epoll_ctl is left out: what it costs to change the interest set is asked by another check.
    """
    count = sizes["requests"]
    with submission.serve(shout, traced=True) as server, server.crowd(sizes["crowd"]) as crowd:
        crowd.ask_each()
        setup: list[Count] = []

        def per_request() -> Count:
            with server.counting() as calls:
                one_at_a_time(server, crowd, count)
            setup.append(calls.besides("epoll_ctl", *READINESS_CALLS, *TRANSFER_CALLS) / count)
            return calls.besides("epoll_ctl") / count

        budget.at_most("syscalls_per_request", per_request)
        budget.at_most("setup_per_request", setup[-1])
        if "big_crowd" in sizes:
            server.add_clients(crowd, sizes["big_crowd"] - len(crowd))
            crowd.ask_each()
            budget.at_most("syscalls_per_request_big_crowd", per_request)


def test_fds_per_event(submission: Submission, budget: Budgets, sizes: Sizes) -> None:
    """Budgets fds_to_kernel_10, _100 and _500: descriptors handed to the kernel for one event, against connections."""
    requests = sizes["requests"] // 4
    with submission.serve(shout, traced=True) as server, server.crowd(0) as crowd:

        def handed_over() -> Count:
            with server.counting() as calls:
                one_at_a_time(server, crowd, requests)
            return calls.fds_handed_over() / requests

        for connections in (10, 100, 500):
            server.add_clients(crowd, connections - len(crowd))
            crowd.ask_each()
            budget.at_most(f"fds_to_kernel_{connections}", handed_over)


def test_batch(submission: Submission, budget: Budgets, sizes: Sizes) -> None:
    """Budget waits_for_a_batch: readiness calls for requests that queued up while the server was stopped."""
    with submission.serve(shout, traced=True) as server, server.crowd(sizes["crowd"]) as crowd:
        crowd.ask_each()

        def waits() -> Count:
            with server.counting() as calls:
                with server.stopped():
                    crowd.queue_each()
                crowd.collect()
            return calls.of(*READINESS_CALLS)

        budget.at_most("waits_for_a_batch", waits)
