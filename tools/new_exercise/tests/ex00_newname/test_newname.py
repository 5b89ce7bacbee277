"""What a submission of ex00 is graded by. Titles, hints, points and limits stand in exercise.yaml."""

from collections.abc import Mapping
from random import Random
from typing import Any

from grader.checks import Budgets, Count, Submission, require


def shout(line: bytes) -> bytes:
    return line.upper()


def cut(student: Any, _room: Any, text: str) -> tuple[list[str], str]:
    lines, rest = student.split_lines(text.encode())
    return [line.decode() for line in lines], rest.decode()


def test_cut(submission: Submission, rng: Random) -> None:
    for count in (1, 2, 30):
        words = [f"{rng.getrandbits(32):x}" for _ in range(count)]
        text = "\n".join(words)
        got = submission.run(cut, text)
        require(
            got == [words[:-1], words[-1]],
            expected=f"split_lines({text.encode()!r}) gives {count - 1} lines and the rest {words[-1]!r}",
            seen=got,
        )


def test_reply(submission: Submission, rng: Random) -> None:
    with submission.serve(shout) as server:
        for _ in range(3):
            with server.client() as client:
                for _ in range(2):
                    line = b"line %08x" % rng.getrandbits(32)
                    client.ask(line, line.upper())
        server.stop()


def test_cost(submission: Submission, budget: Budgets, sizes: Mapping[str, int]) -> None:
    requests = sizes["requests"]
    with submission.serve(shout, traced=True) as server:

        def per_request() -> Count:
            with server.counting() as calls, server.crowd(1) as crowd:
                crowd.ask_serially(requests)
            return calls.total() / requests

        budget.at_most("syscalls_per_request", per_request)
