"""Checks that every server of the line protocol shares: a line is answered with handler(line), many times on one
connection. What is asked of select, epoll and their kind alike stands here once; an exercise's file names it.

Knows what such a server must answer, survive and cost; knows no exercise. Each function is one check: it takes the
fixtures of a check and raises what a check raises. Budgets are named as in the exercises' `exercise.yaml`.
"""

from collections.abc import Mapping
from random import Random

from grader.crowd import Crowd, shown
from grader.failures import CheckFailed
from grader.harness import Budgets, Calls, Count, Server, Submission, quiet_for
from grader.strace import CLONE_CALLS, READINESS_CALLS

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
        client.ask(b"", shout(b""))
        client.ask(b"  blanks belong to a line \t\r", shout(b"  blanks belong to a line \t\r"))
        client.ask(b"again", shout(b"again"))
    with submission.serve(shout) as server:
        server.stop()


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
    request = b"%d bytes, please: " % size
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


def rst(submission: Submission) -> None:
    with submission.serve(swell, send_buffer=8192) as server, server.crowd(5) as crowd:
        quiet, halfway, unread, *others = crowd.clients
        halfway.send(b"half a li")
        unread.send(b"300000 bytes for a client that does not read\n")
        server.settle()
        crowd.leave([quiet, halfway, unread])
        server.settle()
        for client in others:
            client.ask(b"17 are you there", swell(b"17 are you there"))
        with server.client() as newcomer:
            newcomer.ask(b"16 and new ones", swell(b"16 and new ones"))


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
        server.settle()
        before = server.open_fds()
        server.more(crowd, leavers)
        crowd.ask_each()
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


def least_leaked(server: Server, before: int) -> int:
    """Descriptors more than before, once the program has closed what it will close. One that spins will close none."""
    began_s, plenty_s = server.cpu_s(), 0.3  # processor time for some dozens of close(): they take microseconds
    try:
        server.wait_until(lambda: server.open_fds() <= before or server.cpu_s() - began_s > plenty_s)
    except CheckFailed:
        server.check_alive()
    return max(0, server.open_fds() - before)


def emfile(submission: Submission, budget: Budgets) -> None:
    with submission.serve(shout, traced=True, open_files=40) as server:
        server.settle()
        before = server.open_fds()
        with server.crowd(60):
            server.settle()

            def out_of_fds() -> Count:
                with server.counting() as calls:
                    quiet_for(0.3)
                return calls.total()

            budget.at_most("syscalls_out_of_fds", out_of_fds)
        least_leaked(server, before)  # a newcomer that comes before they are closed may be refused, and rightly
        with server.client() as newcomer:
            newcomer.send(b"is there room again?\n")
            reply = newcomer.read_line("service for a newcomer, after all that held descriptors have left")
            newcomer.check(b"is there room again?", shout(b"is there room again?"), reply)


def econnaborted(submission: Submission) -> None:
    with (
        submission.serve(shout, inject=["accept4:error=ECONNABORTED:when=2"]) as server,
        server.client() as first,
        server.client() as second,
        server.client() as third,
    ):
        for client in (first, third, second):
            client.ask(b"here", shout(b"here"))


def requests(submission: Submission, budget: Budgets, sizes: Sizes) -> None:
    """Budgets syscalls_per_request and, if the exercise has it, syscalls_per_request_big_crowd."""
    count = sizes["requests"]
    with submission.serve(shout, traced=True) as server, server.crowd(sizes["crowd"]) as crowd:
        crowd.ask_each()

        def per_request() -> Count:
            with server.counting() as calls:
                crowd.ask_serially(count)
            return calls.total() / count

        budget.at_most("syscalls_per_request", per_request)
        if "big_crowd" in sizes:
            server.more(crowd, sizes["big_crowd"] - len(crowd))
            crowd.ask_each()
            budget.at_most("syscalls_per_request_big_crowd", per_request)


def fds_per_event(submission: Submission, budget: Budgets, sizes: Sizes) -> None:
    """Budgets fds_to_kernel_10, _100 and _500: descriptors handed to the kernel for one event, against connections."""
    requests = sizes["requests"]
    with submission.serve(shout, traced=True) as server, server.crowd(0) as crowd:

        def handed_over() -> Count:
            with server.counting() as calls:
                crowd.ask_serially(requests)
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
