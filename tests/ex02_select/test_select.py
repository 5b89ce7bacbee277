"""What a submission of ex02 is graded by. Titles, hints, points and limits: exercises/ex02_select/exercise.yaml.

Every check starts a fresh server behind the wall. Handlers are shipped into the box as source, so each stands alone.
"""

from random import Random

from grader.box.limits import hard_open_files
from grader.checks import Budgets, Count, Server, Submission, line_server, quiet_for
from grader.checks.line_server import Sizes, all_served, served, served_or_refused, shout, unhindered
from grader.failures import CheckFailed, ForbiddenUse, Unmeasured

SELECT_CALLS = ("select", "pselect6")  # glibc's select() is pselect6

# --- what it answers ----------------------------------------------------------------------------------------------


def test_basic(submission: Submission) -> None:
    line_server.basic(submission)


def test_bytes(submission: Submission, rng: Random) -> None:
    line_server.verbatim(submission, rng)


def test_stop(submission: Submission, budget: Budgets) -> None:
    line_server.stop(submission, budget)


def test_many(submission: Submission, sizes: Sizes) -> None:
    line_server.many(submission, sizes)


def test_frag(submission: Submission) -> None:
    line_server.frag(submission)


def test_pipeline(submission: Submission, sizes: Sizes, rng: Random) -> None:
    line_server.pipeline(submission, sizes, rng)


def test_bigreq(submission: Submission, sizes: Sizes, rng: Random) -> None:
    line_server.bigreq(submission, sizes, rng)


def test_partial(submission: Submission, budget: Budgets, sizes: Sizes) -> None:
    line_server.partial(submission, budget, sizes)


def test_backpressure(submission: Submission, budget: Budgets) -> None:
    line_server.backpressure(submission, budget)


def test_rst(submission: Submission, budget: Budgets) -> None:
    line_server.rst(submission, budget)


def test_econnaborted(submission: Submission) -> None:
    line_server.econnaborted(submission)


# --- which kernel interface it uses -------------------------------------------------------------------------------


def test_oneproc(submission: Submission, budget: Budgets) -> None:
    line_server.oneproc(submission, budget)


def test_api(submission: Submission, budget: Budgets) -> None:
    forbidden = submission.exercise.forbidden.calls
    with submission.serve(shout, traced=True) as server, server.crowd(0) as crowd:
        calls = served(server, crowd)
        for name, line in calls.seen(tuple(forbidden)).items():
            seen = f"{name}: {forbidden[name].in_('en')}"
            raise ForbiddenUse(expected="readiness from select", seen=seen, evidence=[line])
        budget.at_most("other_readiness_calls", calls.of(*forbidden))
        if calls.of(*SELECT_CALLS).value == 0:
            raise CheckFailed(
                expected="readiness from select",
                seen="not one call of select() while clients came and were served",
                evidence=calls.total().evidence,
            )


# --- what it costs ------------------------------------------------------------------------------------------------


def test_sleeps(submission: Submission, budget: Budgets, sizes: Sizes) -> None:
    line_server.sleeps(submission, budget, sizes)


def test_idle(submission: Submission, budget: Budgets, sizes: Sizes) -> None:
    line_server.idle(submission, budget, sizes)


def test_eof(submission: Submission, budget: Budgets, sizes: Sizes) -> None:
    line_server.eof(submission, budget, sizes)


def test_budget(submission: Submission, budget: Budgets, sizes: Sizes) -> None:
    line_server.requests(submission, budget, sizes)


def test_batch(submission: Submission, budget: Budgets, sizes: Sizes) -> None:
    line_server.batch(submission, budget, sizes)


def test_fds_per_event(submission: Submission, budget: Budgets, sizes: Sizes) -> None:
    line_server.fds_per_event(submission, budget, sizes)


# --- what it survives ---------------------------------------------------------------------------------------------


def test_emfile(submission: Submission, budget: Budgets) -> None:
    line_server.emfile(submission, budget)


def test_fdsetsize(submission: Submission, budget: Budgets, sizes: Sizes, rng: Random) -> None:
    within, beyond, leaving = (sizes[f"{which}_fd_setsize"] for which in ("within", "beyond", "leave"))
    needed = within + beyond + 300  # descriptors of the clients, and some of the judge's own
    if hard_open_files() < needed:
        raise Unmeasured(f"Only {hard_open_files():,} descriptors are allowed here; {needed:,} are needed.")
    with (
        submission.serve(shout, traced=True) as server,
        server.crowd(within) as early,
        server.crowd(beyond) as late,
    ):
        done_accepting(server)
        all_served(early, early.clients, "while it is full")

        def when_full() -> Count:
            with server.counting() as calls:
                quiet_for(0.5)
            return calls.total()

        budget.at_most("syscalls_when_full", when_full)
        budget.at_most("sleeps_when_full", unhindered(server, early.clients[0], b"and at once?", shout))
        open_fds = server.open_fds()
        early.leave(rng.sample(early.clients, leaving), politely=True)
        forgotten(server, open_fds + beyond - leaving)  # else a newcomer might come before there is room
        left = f"after {leaving:,} of the first {within:,} clients have left"
        with server.client() as newcomer:
            newcomer.send(b"is there room again?\n")
            reply = newcomer.read_line(f"service for a newcomer, {left}")
            newcomer.check(b"is there room again?", shout(b"is there room again?"), reply)
        all_served(early, early.clients, left)
        for client in late:
            served_or_refused(client, late.nonce(), left)


def done_accepting(server: Server) -> None:
    """Wait until the program sleeps or, if it never does, until it takes nobody in any more."""
    open_fds = -1
    while not server.settle() and open_fds != (now := server.open_fds()):
        open_fds = now


def forgotten(server: Server, most: int) -> None:
    """Wait until so many descriptors are open at most: those of who left are closed, who waited may have come in."""
    try:
        server.wait_until(lambda: server.open_fds() <= most)
    except CheckFailed as failure:
        server.check_alive()
        expected = f"at most {most:,} descriptors open when clients have left"
        raise CheckFailed(expected=expected, seen=f"{server.open_fds():,}") from failure
    done_accepting(server)
