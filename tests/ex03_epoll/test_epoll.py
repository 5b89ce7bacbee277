"""What a submission of ex03 is graded by. Titles, hints, points and limits stand in exercises/ex03_epoll/exercise.yaml.

Most of its checks are those of every line server, and are imported. Every check starts a fresh server behind the wall.
Handlers are shipped into the box as source, so each stands alone.
"""

from random import Random

from grader.checks import (
    NOISE_FACTOR,
    Budgets,
    Count,
    Crowd,
    ForbiddenUse,
    Server,
    Sizes,
    Submission,
    Unmeasured,
    hard_open_files,
    require,
)
from grader.checks.line_server import (
    calls_while_serving,
    one_at_a_time,
    shout,
    test_backpressure,
    test_basic,
    test_batch,
    test_bigreq,
    test_budget,
    test_bytes,
    test_econnaborted,
    test_emfile,
    test_eof,
    test_fds_per_event,
    test_frag,
    test_idle,
    test_many,
    test_oneproc,
    test_partial,
    test_pipeline,
    test_rst,
    test_sleeps,
    test_stop,
)

# --- which kernel interface it uses -------------------------------------------------------------------------------


def test_api(submission: Submission, budget: Budgets) -> None:
    forbidden = submission.exercise.forbidden.calls
    with submission.serve(shout, traced=True) as server, server.crowd(0) as crowd:
        calls = calls_while_serving(server, crowd)
        reasons = {name: reason.in_("en") for name, reason in forbidden.items()}
        calls.require_none_of(reasons, expected="readiness from epoll")
        budget.at_most("other_readiness_calls", calls.of(*forbidden))
        waits = calls.of("epoll_wait", "epoll_pwait", "epoll_pwait2")
        none = "no call of epoll_wait at all"
        require(waits.value != 0, expected="readiness from epoll", seen=none, kind=ForbiddenUse)


# --- what it costs ------------------------------------------------------------------------------------------------


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
    count, at_once = sizes["crowd"], 10
    with submission.serve(shout, traced=True) as server, server.crowd(count) as there_already:
        there_already.ask_each()

        def per_connection() -> Count:
            with server.crowd(0) as newcomers:
                with server.counting() as calls:
                    for _ in range(count // at_once):
                        with server.stopped():  # so that how many wait does not depend on who is quicker
                            server.add_clients(newcomers, at_once)
                        server.wait_until(lambda: server.not_accepted() == 0)
                        server.rest()
                newcomers.ask_each()
            return without(calls.total(), count // at_once) / (count // at_once * at_once)

        budget.at_most("syscalls_per_accept", per_connection)


def without(calls: Count, stops: int) -> Count:
    """Each stop breaks off the wait in which the program sleeps, and epoll_wait() is one of those that fail with EINTR
    then (signal(7)). It is called once more, which is no cost of a connection.
    """
    return Count(value=None if calls.value is None else calls.value - stops, evidence=calls.evidence)


def test_scale_user(submission: Submission, budget: Budgets, sizes: Sizes, rng: Random) -> None:
    few, many = 10, affordable(sizes["idle_crowd"])
    most, most_each = budget.limit_of("instructions_per_request"), budget.limit_of("instructions_per_idle_connection")

    def instructions(server: Server, crowd: Crowd, requests: int, limit: float) -> float:
        """Of a request; of those that were begun when the limit for all of them was reached, which is the end."""
        begun = 0
        with server.stepped(limit=round(limit) + 1_000, afterwards_s=0.1) as counted:
            for client in rng.sample(crowd.clients, requests):
                begun, line = begun + 1, crowd.nonce()
                client.ask(line, shout(line))
                counted.rest()
                if counted.over:
                    break
        return counted.count / begun

    def compared() -> tuple[float, float]:
        with submission.serve(shout, alone=True) as server, server.crowd(few) as crowd:
            warmed_up(server, crowd)
            one = instructions(server, crowd, 1, most)
            if one > most:
                return one, 0.0
            server.add_clients(crowd, many - few)
            server.wait_until(lambda: server.not_accepted() == 0)
            crowd.ask_serially(rng.randrange(60))  # nobody knows which request is counted, not even by its number

            def dearer(requests: int) -> float:
                no_noise = 1.01 * NOISE_FACTOR * most_each * (many - few)
                further = instructions(server, crowd, requests, requests * one + no_noise) - one
                return max(0.0, further) / (many - few)

            further = dearer(1)
            alike = warmed_up(server, crowd)
            # Where all requests use as much processor time, one tells. Else five in a row are counted as well: what is
            # done at each fifth request only is work for a request too.
            if further <= most_each and not alike:
                further = dearer(5)
            return one, further

    def warmed_up(server: Server, crowd: Crowd) -> bool:
        """Ask until Python has adapted its functions to what they are called with, and a few times more. Whether the
        last ones have used as much processor time each."""
        crowd.ask_serially(20 + rng.randrange(10))
        spent_s = []
        for _ in range(40):
            before_s = server.cpu_s()
            crowd.ask_serially(1)
            spent_s.append(server.cpu_s() - before_s)
        spent_s.sort()
        return spent_s[34] < 1.5 * spent_s[4]

    first = [compared()]
    budget.at_most("instructions_per_request", first[0][0])
    budget.at_most("instructions_per_idle_connection", lambda: (first.pop() if first else compared())[1])


def test_scale_kernel(submission: Submission, budget: Budgets, sizes: Sizes) -> None:
    requests = sizes["requests"]
    with submission.serve(shout, traced=True) as server, server.crowd(500) as crowd:
        crowd.ask_each()

        def handed_over() -> Count:
            with server.counting() as calls:
                one_at_a_time(server, crowd, requests)
            return calls.fds_handed_over() / requests

        budget.at_most("fds_to_kernel_per_event", handed_over)


# --- what it holds ------------------------------------------------------------------------------------------------


def hold(submission: Submission, budget: Budgets, connections: int, rss_budget: str) -> None:
    with submission.serve(shout) as server:
        with server.crowd(100) as first:
            first.ask_each()
        before = server.rss_at_start  # of an empty box: what a program takes beforehand is for its connections too
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
