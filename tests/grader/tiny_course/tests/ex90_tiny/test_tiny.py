"""What a submission of ex90 is graded by: one check of each kind."""

from collections.abc import Mapping
from random import Random
from types import ModuleType

from grader.checks import Budgets, Count, Plain, Submission


def shout(line: bytes) -> bytes:
    return line.upper()


def scale(student: ModuleType, _room: object, number: int) -> Plain:
    return student.scaled(number)


def test_scaled(submission: Submission, rng: Random) -> None:
    number = rng.randrange(1, 1000)
    assert submission.run(scale, number) == 2 * number, f"{number} was not scaled by 2"


def test_echo(submission: Submission, rng: Random) -> None:
    line = b"line %08x" % rng.getrandbits(32)
    with submission.serve(shout) as server, server.client() as client:
        client.ask(line, line.upper())


def test_calls(submission: Submission, budget: Budgets, sizes: Mapping[str, int]) -> None:
    requests = sizes["requests"]
    with submission.serve(shout, traced=True) as server, server.crowd(2) as crowd:
        crowd.ask_each()

        def per_request() -> Count:
            with server.counting() as calls:
                crowd.ask_serially(requests)
            return calls.total() / requests

        budget.at_most("syscalls_per_request", per_request)


def test_stop(submission: Submission) -> None:
    with submission.serve(shout) as server:
        server.stop()
