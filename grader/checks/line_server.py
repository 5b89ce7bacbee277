"""Checks that every server of the line protocol shares: a line is answered with handler(line), many times on one
connection. What is asked of select, epoll and their kind alike stands here once; an exercise's file names it.

Knows what such a server must answer, survive and cost; knows no exercise. Each function is one check: it takes the
fixtures of a check and raises what a check raises. Budgets are named as in the exercises' `exercise.yaml`.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from random import Random

from grader.checks.budgets import Budgets, Count
from grader.checks.program import quiet_for
from grader.checks.server import Server
from grader.checks.submission import Submission
from grader.checks.windows import Calls
from grader.failures import CheckFailed
from grader.measure.clients import Client, Crowd, Handler, shown
from grader.measure.strace import CLONE_CALLS, READINESS_CALLS, TRANSFER_CALLS

Sizes = Mapping[str, int]


def shout(line: bytes) -> bytes:
    """Says where a line begins and ends, so that two lines taken for one are seen."""
    return b"<" + line.upper() + b">"


def swell(line: bytes) -> bytes:
    """As many bytes as the request says, the newline that follows included; 16 for one that says none."""
    number = line.partition(b" ")[0]
    size = int(number) if number.isdigit() else 16
    return (line * (size // max(1, len(line)) + 1))[: size - 1]


def basic(submission: Submission) -> None:
    unforeseen = b"hello, %x" % submission.rng.getrandbits(64)
    with submission.serve(shout) as server, server.client() as client:
        client.ask(unforeseen, shout(unforeseen))
        client.ask(b"again", shout(b"again"))


def verbatim(submission: Submission, rng: Random) -> None:
    """An empty line is a line, and every byte but the newline is the handler's."""
    anything = bytes(range(256)) + rng.randbytes(256)
    lines = [b"", b"  blanks belong to a line \t\r", anything.replace(b"\n", b""), b"\r"]
    with submission.serve(shout) as server, server.client() as client:
        for line in lines:
            client.ask(line, shout(line))


def stop(submission: Submission, budget: Budgets) -> None:
    """Budget fds_left_open: what it opened is closed when it returns, and what was lent to it is not."""
    with submission.serve(shout) as server:
        server.stop()
    with submission.serve(shout) as server, server.crowd(3) as crowd:
        crowd.ask_each()
        server.settle()
        server.stop()
        if not server.holds_what_was_lent():
            raise CheckFailed(expected="lsock and stop_fd open behind the return", seen="one of them is closed")
        budget.at_most("fds_left_open", max(0, server.open_fds() - server.fds_at_start))


def many(submission: Submission, sizes: Sizes) -> None:
    with submission.serve(shout) as server, server.crowd(sizes["many"]) as crowd:
        for client in reversed(crowd.clients):
            line = crowd.nonce()
            client.ask(line, shout(line))
        crowd.ask_each()


def frag(submission: Submission) -> None:
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


def unhindered(server: Server, client: Client, line: bytes, handler: Handler) -> Count:
    """The calls in which it waits for the clock while a request of this client waits for its reply. Not a time: the
    request is there when the program goes on, so whoever waits for readiness has it at once, on any machine.
    """
    sleeps = Count(value=0)
    for _ in range(3):  # one may come when it has just slept
        with ExitStack() as standstill:
            standstill.enter_context(server.stopped())
            client.send(line + b"\n")
            with server.counting(settled=False) as calls:
                standstill.close()
                client.check(line, handler(line), client.read_line("a reply to a client that is there already"))
        sleeps = calls.sleeps_before_a_reply()
        if sleeps.value != 0:
            break
    return sleeps


def pipeline(submission: Submission, sizes: Sizes, rng: Random) -> None:
    lines = [b"%d-%x" % (number, rng.getrandbits(32)) for number in range(sizes["pipeline"])]
    with submission.serve(shout) as server, server.client() as client:
        client.send(b"".join(line + b"\n" for line in lines))
        for line in lines:
            client.check(line, shout(line), client.read_line(f"{len(lines)} replies, in order"))
        with server.stopped():  # so that the lines and the end of file are there at once
            client.send(b"first\nlast\nno newline, so no request")
            client.half_close()
        rest = client.read_until_closed("the end of the connection, after a client has said that nothing more comes")
        if rest != b"<FIRST>\n<LAST>\n":
            raise CheckFailed(
                expected="exactly the replies <FIRST> and <LAST> to a client that closed its sending side: "
                "what came without a newline is no request",
                seen=shown(rest),
            )


def bigreq(submission: Submission, sizes: Sizes, rng: Random) -> None:
    line = rng.randbytes(sizes["big_request"] // 2).hex().encode()
    with submission.serve(shout) as server, server.client() as other, server.client() as client:
        client.ask(line, shout(line))
        client.ask(line[::-1], shout(line[::-1]))
        other.ask(b"still there?", shout(b"still there?"))


def partial(submission: Submission, budget: Budgets, sizes: Sizes, *, briefly: bool = False) -> None:
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

        def while_stalled() -> Count:  # and, later, when there is nothing left to write
            with server.counting() as calls:
                quiet_for(0.2)
            return calls.total()

        budget.at_most("syscalls_while_stalled", while_stalled)
        # Nothing else comes from this client, so only writability can make the program go on.
        first = stalled.read_exactly(len(reply))
        stalled.send(request + b"\n")
        server.settle()
        stalled.send(b"20 a second request\n")
        server.settle()
        got = first if first != reply else stalled.read_exactly(len(reply))
        if got != reply:
            wrong = next(place for place, (left, right) in enumerate(zip(got, reply, strict=True)) if left != right)
            raise CheckFailed(
                expected=f"the whole reply of {len(reply):,} bytes in order", seen=f"another byte at offset {wrong:,}"
            )
        second = swell(b"20 a second request")
        stalled.check(b"20 a second request", second, stalled.read_line("the reply to a request sent meanwhile"))
        if briefly:
            return
        stalled.ask(b"13 and again", swell(b"13 and again"))
        budget.at_most("syscalls_after_partial", while_stalled)
        stalled.send(request + b"\n")
        server.settle()
        stalled.half_close()
        server.settle()
        last = stalled.read_line(f"all {len(reply):,} bytes of a reply, by a client that only stops sending (SHUT_WR)")
        stalled.check(request, swell(request), last)


def backpressure(submission: Submission, budget: Budgets) -> None:
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


def rst(submission: Submission, budget: Budgets) -> None:
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
        before = server.open_fds()
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


def gets_it(server: Server, settle: Callable[[], object], line: bytes, handler: Handler) -> bool:
    """Whether a client gets its reply to this line at all; the program goes on, whatever it replies."""
    with server.client() as client:
        try:
            client.send(line + b"\n")
            if settle() is False:  # so that a long reply is cut into pieces: nobody has read what was sent first
                return False
            client.check(line, handler(line), client.read_line())
        except CheckFailed:
            server.check_ending()
            return False
    return True


def keeps_apart(server: Server, settle: Callable[[], object], line: bytes, handler: Handler) -> bool:
    """Whether half a line of one client is nobody else's; the program goes on, whatever it does with it."""
    with server.client() as one, server.client() as other:
        try:
            one.send(line[:5])
            settle()
            other.ask(line, handler(line))
            one.ask(line[5:], handler(line))
        except CheckFailed:
            server.check_ending()
            return False
    return True


def taken_for_the_last_one(
    newcomers: Crowd, settle: Callable[[], object], short: bytes, long: bytes, handler: Handler
) -> None:
    """Each newcomer is asked what shows whether something of who had its descriptor before is still there: what is left
    of a reply may be mended by a short one, or by a long one.
    """
    turns = [(short, long, short) if number % 2 else (long, short) for number in range(len(newcomers))]
    settles = True
    for turn in range(3):
        asked = [(client, lines[turn]) for client, lines in zip(newcomers, turns, strict=True) if len(lines) > turn]
        for client, line in asked:
            client.send(line + b"\n")
        if settles and any(line == long for _, line in asked):
            settles = settle() is not False  # as above; who begins to spin is not waited for again
        for client, line in asked:
            reply = client.read_line("service for a newcomer, whose descriptor was that of a client that has left")
            client.check(line, handler(line), reply)


def served(server: Server, crowd: Crowd, clients: int = 20) -> Calls:
    """The calls while some more clients come and ask twice. They go with the crowd, after the window."""
    with server.counting() as calls:
        server.more(crowd, clients)
        crowd.ask_each()
        crowd.ask_each()
    return calls


def oneproc(submission: Submission, budget: Budgets) -> None:
    with submission.serve(shout, traced=True) as server, server.crowd(20) as crowd:
        crowd.ask_each()
        if helpers := server.threads() - 1 + len(server.children()):  # also those from before the first request
            budget.at_most("threads_and_processes", helpers)
        budget.at_most("threads_and_processes", served(server, crowd).of(*CLONE_CALLS))


def sleeps(submission: Submission, budget: Budgets, sizes: Sizes) -> None:
    """Budget busy_seconds. The costs of a program that never sleeps depend on how long one looks: they need this."""
    with submission.serve(shout) as server, server.crowd(sizes["crowd"]) as crowd:
        crowd.ask_each()
        budget.at_most("busy_seconds", server.busy_s)


def idle(submission: Submission, budget: Budgets, sizes: Sizes) -> None:
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


def eof(submission: Submission, budget: Budgets, sizes: Sizes) -> None:
    leavers = sizes["leavers"]
    with submission.serve(shout, traced=True) as server, server.crowd(1) as crowd:
        crowd.ask_each()
        apart = keeps_apart(server, server.settle, b"17 are you there", shout)  # that has its own check
        server.settle()
        before = server.open_fds()
        server.more(crowd, leavers)
        crowd.ask_each()
        for client in crowd.clients[1::3] if apart else ():
            client.send(b"half a li")
        server.settle()
        crowd.leave(crowd.clients[1:], politely=True)
        server.settle()
        leaked = least_leaked(server, before)
        budget.at_most("fds_leaked", leaked)

        def after_they_left() -> Count:
            with server.counting() as calls:
                quiet_for(0.5)
            return calls.total()

        budget.at_most("syscalls_after_eof", after_they_left)
        crowd.ask_each()
        with server.crowd(leavers) as newcomers:
            taken_for_the_last_one(newcomers, server.settle, b"I am a new one", b"and this is my line", shout)


def least_leaked(server: Server, before: int) -> int:
    """Descriptors more than before, once the program has closed what it will close. One that spins will close none."""
    began_s, plenty_s = server.cpu_s(), 0.3  # processor time for some dozens of close(): they take microseconds
    try:
        server.wait_until(lambda: server.open_fds() <= before or server.cpu_s() - began_s > plenty_s)
    except CheckFailed:
        server.check_alive()
    return max(0, server.open_fds() - before)


def emfile(submission: Submission, budget: Budgets) -> None:
    """Budgets syscalls_out_of_fds and sleeps_out_of_fds."""
    with submission.serve(shout, traced=True, open_files=40) as server:
        server.settle()
        before = server.open_fds()
        with server.crowd(60) as crowd:
            server.settle()

            def out_of_fds() -> Count:
                with server.counting() as calls:
                    quiet_for(0.3)
                return calls.total()

            budget.at_most("syscalls_out_of_fds", out_of_fds)
            # They are accepted in the order they came. What else it opened since, a log or a spare, are a few.
            held = server.open_fds() - before
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


def all_served(crowd: Crowd, clients: Sequence[Client], when: str) -> None:
    try:
        crowd.ask_each(clients)
    except CheckFailed as failure:
        expected = f"a reply to each of {len(clients):,} clients that came first, {when}"
        raise type(failure)(expected=expected, seen=failure.seen, evidence=failure.evidence) from failure


def served_or_refused(client: Client, line: bytes, when: str) -> None:
    """Where there is room, a client that waited is served; one that was refused has seen its connection end."""
    try:
        client.send(line + b"\n")
        reply = client.read_line(f"service for a client that was neither served nor closed when it was full, {when}")
    except CheckFailed:
        if not client.closed():
            raise
    else:
        client.check(line, shout(line), reply)


def econnaborted(submission: Submission) -> None:
    with (
        submission.serve(shout, inject=["accept4:error=ECONNABORTED:when=2"]) as server,
        server.client() as first,
        server.client() as second,
        server.client() as third,
    ):
        for client in (first, third, second):
            client.ask(b"here", shout(b"here"))


def one_at_a_time(server: Server, crowd: Crowd, requests: int) -> None:
    """Requests on random connections, each when the program sleeps: none is served in the turn of another. So what they
    cost does not depend on who is quicker, the program or its clients.
    """
    for _ in range(requests):
        server.rest()
        crowd.ask_serially(1)


def requests(submission: Submission, budget: Budgets, sizes: Sizes) -> None:
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
            server.more(crowd, sizes["big_crowd"] - len(crowd))
            crowd.ask_each()
            budget.at_most("syscalls_per_request_big_crowd", per_request)


def fds_per_event(submission: Submission, budget: Budgets, sizes: Sizes) -> None:
    """Budgets fds_to_kernel_10, _100 and _500: descriptors handed to the kernel for one event, against connections."""
    requests = sizes["requests"] // 4
    with submission.serve(shout, traced=True) as server, server.crowd(0) as crowd:

        def handed_over() -> Count:
            with server.counting() as calls:
                one_at_a_time(server, crowd, requests)
            return calls.fds_handed_over() / requests

        for connections in (10, 100, 500):
            server.more(crowd, connections - len(crowd))
            crowd.ask_each()
            budget.at_most(f"fds_to_kernel_{connections}", handed_over)


def batch(submission: Submission, budget: Budgets, sizes: Sizes) -> None:
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
