"""What a submission of ex02 is graded by. Titles, hints, points and limits: exercises/ex02_select/exercise.yaml.

Most of its checks are those of every line server, and are imported. Every check starts a fresh server behind the wall.
Handlers are shipped into the box as source, so each stands alone.
"""

from random import Random

from grader.checks import (
    Budgets,
    Server,
    Sizes,
    Submission,
    Unmeasured,
    hard_open_files,
    require,
)
from grader.checks.line_server import (
    all_served,
    calls_while_serving,
    served_or_refused,
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
    unhindered,
)

SELECT_CALLS = ("select", "pselect6")  # glibc's select() is pselect6

# --- which kernel interface it uses -------------------------------------------------------------------------------


def test_api(submission: Submission, budget: Budgets) -> None:
    forbidden = submission.exercise.forbidden.calls
    with submission.serve(shout, traced=True) as server, server.crowd(0) as crowd:
        calls = calls_while_serving(server, crowd)
        reasons = {name: reason.in_("en") for name, reason in forbidden.items()}
        calls.require_none_of(reasons, expected="readiness from select")
        budget.at_most("other_readiness_calls", calls.of(*forbidden))
        require(
            calls.of(*SELECT_CALLS).value != 0,
            expected="readiness from select",
            seen="not one call of select() while clients came and were served",
            evidence=calls.total().evidence,
        )


# --- what it survives ---------------------------------------------------------------------------------------------


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

        budget.at_most("syscalls_when_full", lambda: server.calls_while_quiet(0.5))
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
    server.wait_until(
        lambda: server.open_fds() <= most,
        expected=f"at most {most:,} descriptors open when clients have left",
        seen=lambda: f"{server.open_fds():,}",
    )
    done_accepting(server)
