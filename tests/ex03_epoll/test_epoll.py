"""What a submission of ex03 is graded by. Titles, hints, points and limits stand in exercises/ex03_epoll/exercise.yaml.

Every check starts a fresh server behind the wall. Handlers are shipped into the box as source, so each stands alone.
"""

from collections.abc import Mapping
from random import Random

from grader.crowd import shown
from grader.failures import CheckFailed, ForbiddenUse, Unmeasured
from grader.harness import Budgets, Calls, Count, Server, Submission, quiet_for
from grader.sandbox import hard_open_files
from grader.strace import CLONE_CALLS

Sizes = Mapping[str, int]


def shout(line: bytes) -> bytes:
    return line.upper()


def swell(line: bytes) -> bytes:
    """As many bytes as the request says, the newline that follows included; 16 for one that says none."""
    number = line.partition(b" ")[0]
    size = int(number) if number.isdigit() else 16
    return (line * (size // max(1, len(line)) + 1))[: size - 1]


# --- what it answers ----------------------------------------------------------------------------------------------


def test_basic(submission: Submission) -> None:
    with submission.serve(shout) as server, server.client() as client:
        client.ask(b"hello, epoll", b"HELLO, EPOLL")
        client.ask(b"", b"")
        client.ask(b"  blanks belong to a line \t\r", b"  BLANKS BELONG TO A LINE \t\r")
        client.ask(b"again", b"AGAIN")
    with submission.serve(shout) as server:
        server.stop()


def test_many(submission: Submission, sizes: Sizes) -> None:
    with submission.serve(shout) as server, server.crowd(sizes["many"]) as crowd:
        for client in reversed(crowd.clients):
            line = crowd.nonce()
            client.ask(line, shout(line))
        crowd.ask_each()


def test_frag(submission: Submission, sizes: Sizes, rng: Random) -> None:
    with submission.serve(shout) as server, server.crowd(3) as crowd, server.client() as stalled:
        stalled.send(b"half a li")
        server.settle()
        crowd.ask_each()
        stalled.send(b"ne\nand a")
        stalled.check(b"half a line", b"HALF A LINE", stalled.read_line("the reply to the line that came in two parts"))
        crowd.ask_each()
        for byte in b" half\n":
            server.settle()
            stalled.send(bytes([byte]))
        stalled.check(b"and a half", b"AND A HALF", stalled.read_line("the reply to a line that came byte by byte"))


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
    if rest != b"FIRST\nLAST\n":
        raise CheckFailed(
            expected="exactly the replies FIRST and LAST to a client that closed its sending side: "
            "what came without a newline is no request",
            seen=shown(rest),
        )


def test_bigreq(submission: Submission, sizes: Sizes, rng: Random) -> None:
    line = rng.randbytes(sizes["big_request"] // 2).hex().encode()
    with submission.serve(shout) as server, server.client() as other, server.client() as client:
        client.ask(line, line.upper())
        client.ask(line[::-1], line[::-1].upper())
        other.ask(b"still there?", b"STILL THERE?")


def test_partial(submission: Submission, budget: Budgets, sizes: Sizes) -> None:
    size = sizes["big_reply"]
    request = b"%d bytes, please: " % size
    reply = swell(request) + b"\n"
    with (
        submission.serve(swell, traced=True, send_buffer=8192) as server,
        server.client(receive_buffer=4096) as stalled,
        server.client() as other,
    ):
        stalled.send(request + b"\n")
        server.settle()
        other.ask(b"16 others are served", swell(b"16 others are served"))

        def while_stalled() -> Count:  # and, later, when there is nothing left to write
            with server.counting() as calls:
                quiet_for(0.2)
            return calls.total()

        budget.at_most("syscalls_while_stalled", while_stalled)
        stalled.send(b"24 a second request\n")
        server.settle()
        got = stalled.read_exactly(len(reply))
        if got != reply:
            wrong = next(place for place, (left, right) in enumerate(zip(got, reply, strict=True)) if left != right)
            raise CheckFailed(
                expected=f"the whole reply of {len(reply):,} bytes in order", seen=f"another byte at offset {wrong:,}"
            )
        second = swell(b"24 a second request")
        stalled.check(b"24 a second request", second, stalled.read_line("the reply to a request sent meanwhile"))
        stalled.ask(b"8 and again", swell(b"8 and again"))
        budget.at_most("syscalls_after_partial", while_stalled)


def test_rst(submission: Submission, sizes: Sizes) -> None:
    with submission.serve(swell, send_buffer=8192) as server, server.crowd(5) as crowd:
        quiet, halfway, unread, *others = crowd.clients
        halfway.send(b"half a li")
        unread.send(b"300000 bytes for a client that does not read\n")
        server.settle()
        crowd.leave([quiet, halfway, unread])
        server.settle()
        for client in others:
            client.ask(b"16 are you there", swell(b"16 are you there"))
        with server.client() as newcomer:
            newcomer.ask(b"12 and new ones", swell(b"12 and new ones"))


# --- which kernel interface it uses -------------------------------------------------------------------------------


def served(server: Server, clients: int = 20) -> Calls:
    """The calls while some clients come, ask twice, and go."""
    with server.counting() as calls, server.crowd(clients) as crowd:
        crowd.ask_each()
        crowd.ask_each()
    return calls


def test_oneproc(submission: Submission, budget: Budgets) -> None:
    with submission.serve(shout, traced=True) as server, server.crowd(20) as crowd:
        crowd.ask_each()
        if helpers := server.threads() - 1 + len(server.children()):  # also those from before the first request
            budget.at_most("threads_and_processes", helpers)
        budget.at_most("threads_and_processes", served(server).of(*CLONE_CALLS))


def test_api(submission: Submission, budget: Budgets) -> None:
    forbidden = submission.exercise.forbidden.calls
    with submission.serve(shout, traced=True) as server:
        calls = served(server)
        for name, line in calls.seen(tuple(forbidden)).items():
            seen = f"{name}: {forbidden[name].in_('en')}"
            raise ForbiddenUse(expected="readiness from epoll", seen=seen, evidence=[line])
        budget.at_most("other_readiness_calls", calls.of(*forbidden))


# --- what it costs ------------------------------------------------------------------------------------------------


def test_budget(submission: Submission, budget: Budgets, sizes: Sizes) -> None:
    requests = sizes["requests"]
    with submission.serve(shout, traced=True) as server, server.crowd(sizes["crowd"]) as crowd:
        crowd.ask_each()

        def per_request() -> Count:
            with server.counting() as calls:
                crowd.ask_serially(requests)
            return calls.total() / requests

        budget.at_most("syscalls_per_request", per_request)
        server.more(crowd, sizes["big_crowd"] - len(crowd))
        crowd.ask_each()
        budget.at_most("syscalls_per_request_big_crowd", per_request)


def test_steady(submission: Submission, budget: Budgets, sizes: Sizes) -> None:
    requests = sizes["requests"]
    with submission.serve(shout, traced=True) as server, server.crowd(sizes["crowd"]) as crowd:
        crowd.ask_each()

        def changes_per_request() -> Count:
            with server.counting() as calls:
                crowd.ask_serially(requests)
                with server.stopped():
                    crowd.queue_each()
                crowd.collect()
            return calls.of("epoll_ctl", "epoll_create", "epoll_create1") / (requests + len(crowd))

        budget.at_most("epoll_ctl_per_request", changes_per_request)


def test_accept(submission: Submission, budget: Budgets, sizes: Sizes) -> None:
    count = sizes["crowd"]
    with submission.serve(shout, traced=True) as server, server.crowd(count) as there_already:
        there_already.ask_each()

        def per_connection() -> Count:
            with server.counting() as calls:
                newcomers = server.crowd(count)
                server.wait_until(lambda: server.not_accepted() == 0)
            with newcomers:
                newcomers.ask_each()
            return calls.total() / count

        budget.at_most("syscalls_per_accept", per_connection)


def test_scale_user(submission: Submission, budget: Budgets) -> None:
    # The reference's request takes 170 to 180 opcodes; nobody reads, splits and replies in fewer than this.
    honest_floor = 20

    def per_request(connections: int) -> float:
        with submission.serve(opcodes=True) as server, server.crowd(connections) as crowd:
            server.wait_until(lambda: server.not_accepted() == 0)
            server.settle()  # else the accepts of the others would be counted
            client = crowd.clients[connections // 2]
            for warm_up in (b"all the", b"first ones", b"are dearer"):
                client.send(warm_up + b"\n")
                client.read_line()
            counts = []
            for _ in range(10):
                client.send(b"how many?\n")
                counts.append(opcodes_in(client.read_line()))
        least = min(counts)
        if least < honest_floor:
            raise ForbiddenUse(
                expected=f"at least {honest_floor} opcodes for a request", seen=f"{least}: the count was switched off"
            )
        return least

    budget.at_most("opcode_ratio", lambda: per_request(300) / per_request(10))


def opcodes_in(reply: bytes) -> int:
    if not reply.isdigit() or len(reply) > 12:
        raise CheckFailed(expected="the handler's own reply, a number", seen=shown(reply))
    return int(reply)


def test_scale_kernel(submission: Submission, budget: Budgets, sizes: Sizes) -> None:
    requests = sizes["requests"]
    with submission.serve(shout, traced=True) as server, server.crowd(500) as crowd:
        crowd.ask_each()

        def handed_over() -> Count:
            with server.counting() as calls:
                crowd.ask_serially(requests)
            return calls.fds_handed_over() / requests

        budget.at_most("fds_to_kernel_per_event", handed_over)


def test_idle(submission: Submission, budget: Budgets, sizes: Sizes) -> None:
    with submission.serve(shout, traced=True) as server, server.crowd(sizes["crowd"]) as crowd:
        crowd.ask_each()

        def while_idle() -> Count:
            with server.counting() as calls:
                quiet_for(0.5)
            return calls.total()

        budget.at_most("idle_syscalls", while_idle)
        crowd.ask_each()


def test_eof(submission: Submission, budget: Budgets, sizes: Sizes) -> None:
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
    """Descriptors more than before, once the program has closed what it will close."""
    try:
        server.wait_until(lambda: server.open_fds() <= before)
    except CheckFailed:
        server.check_alive()
    return max(0, server.open_fds() - before)


def test_batch(submission: Submission, budget: Budgets, sizes: Sizes) -> None:
    with submission.serve(shout, traced=True) as server, server.crowd(sizes["crowd"]) as crowd:
        crowd.ask_each()

        def waits() -> Count:
            with server.counting() as calls:
                with server.stopped():
                    crowd.queue_each()
                crowd.collect()
            return calls.of("epoll_wait", "epoll_pwait", "epoll_pwait2")

        budget.at_most("waits_for_a_batch", waits)


# --- what it survives ---------------------------------------------------------------------------------------------


def test_emfile(submission: Submission, budget: Budgets) -> None:
    with submission.serve(shout, traced=True, open_files=40) as server:
        with server.crowd(60):
            server.settle()

            def out_of_fds() -> Calls:
                with server.counting() as calls:
                    quiet_for(0.3)
                return calls

            windows = [out_of_fds()]
        with server.client() as newcomer:
            newcomer.ask(b"is there room again?", b"IS THERE ROOM AGAIN?")
        budget.at_most("syscalls_out_of_fds", windows[0].total())


def test_econnaborted(submission: Submission) -> None:
    with (
        submission.serve(shout, inject=["accept4:error=ECONNABORTED:when=2"]) as server,
        server.client() as first,
        server.client() as second,
        server.client() as third,
    ):
        for client in (first, third, second):
            client.ask(b"here", b"HERE")


# --- what it holds ------------------------------------------------------------------------------------------------


def hold(submission: Submission, budget: Budgets, connections: int, rss_budget: str) -> None:
    with submission.serve(shout) as server:
        with server.crowd(100) as first:
            first.ask_each()
        server.settle()
        before = server.rss_bytes()
        with server.crowd(connections) as crowd:
            crowd.ask_each()
            grown = server.rss_bytes() - before
            threads = server.threads() + len(server.children())
            crowd.ask_each()
            budget.at_most(rss_budget, max(0, grown) / connections)
            if any(rule.name == "threads" for rule in budget.rules):
                budget.at_most("threads", threads)


def test_c5k(submission: Submission, budget: Budgets, sizes: Sizes) -> None:
    hold(submission, budget, affordable(sizes["held_5k"]), "rss_per_connection")


def test_c10k(submission: Submission, budget: Budgets, sizes: Sizes) -> None:
    hold(submission, budget, affordable(sizes["held_10k"]), "rss_per_connection_10k")


def affordable(connections: int) -> int:
    """What the descriptor limit of this machine allows."""
    limit = hard_open_files()
    if limit < 2300:
        raise Unmeasured(f"Only {limit:,} descriptors are allowed here; 2,300 are needed. Raise `ulimit -Hn`.")
    return min(connections, limit - 300)
