"""Sample reports, what the terminal makes of them, and how to write what is kept of it: run

    python tests/grader/golden/regenerate.py

after a deliberate change of words, layout or schema, and read the difference before it is committed.
"""

import io
from collections.abc import Callable, Iterable
from pathlib import Path

from rich.console import Console

from grader.failures import Evidence
from grader.report import compare as parity
from grader.report import model as report
from grader.report import terminal
from grader.report.model import (
    Check,
    Failure,
    Graded,
    Isolation,
    Machine,
    Measurement,
    Outcome,
    Refusal,
    Refused,
    Report,
    ScoredCheck,
    Ungraded,
)

GOLDEN = Path(__file__).parent
SCHEMA = Path(report.__file__).with_name("schemas") / "report-2.json"

MACHINE = Machine(kernel="6.8.0", python="3.11.7", strace="6.8", bwrap="0.9.0", nofile=1_048_576)
RUN = {"exercise": "ex03_epoll", "seed": 20_250_901, "kit_version": "0.1.0", "checks_digest": "5f" * 32}


def scored(name: str, title: str, points: int, outcome: Outcome = Outcome.PASSED, **more: object) -> ScoredCheck:
    score = (points if outcome is Outcome.PASSED else 0) if outcome.counts else None
    fields = {"name": name, "title": title, "points": points, "outcome": outcome, "score": score, "duration_s": 0.25}
    return ScoredCheck.model_validate(fields | because(outcome) | more)


def because(outcome: Outcome, text: str = "it is so") -> dict[str, object]:
    """What a check of this outcome must say, with a text in each place."""
    if outcome.failed:
        return {"failure": failure(text, text, text, Evidence(text))}
    return {} if outcome is Outcome.PASSED else {"reason": text}


def failure(expected: str, seen: str, hint: str = "", *evidence: Evidence | str) -> Failure:
    rows = tuple(row if isinstance(row, Evidence) else Evidence(row) for row in evidence)
    return Failure(kind="failed", expected=expected, seen=seen, hint=hint, evidence=rows)


def graded(*checks: ScoredCheck, **more: object) -> Graded:
    fields = {
        "title": "epoll loop",
        "isolation": Isolation.BOXED,
        "official": True,
        "machine": MACHINE,
        "score": sum(check.score or 0 for check in checks),
        "max_score": sum(check.points for check in checks),
        "measurable_score": sum(check.points for check in checks if check.outcome.counts),
        "checks": checks,
    }
    return Graded.model_validate(RUN | fields | more)


def budget(name: str, value: float | None, limit: float, reference: float, naive: float, unit: str) -> Measurement:
    return Measurement(name=name, value=value, limit=limit, reference=reference, naive=naive, unit=unit)


BASIC = scored("basic", "One client gets its reply, and the server returns when stop_fd is readable", 4)

FULL_PASS = graded(
    BASIC,
    scored(
        "partial",
        "A slow reader gets its whole reply and disturbs nobody",
        9,
        measurements=(budget("syscalls_while_stalled", 0, 5, 0, 1182, "calls"),),
    ),
    scored(
        "budget",
        "Three system calls a request, however many connections are idle",
        8,
        measurements=(
            budget("syscalls_per_request", 3.0, 4.5, 3.0, 102, "calls/request"),
            budget("syscalls_per_request_big_crowd", 3.005, 4.5, 3.0, 1002, "calls/request"),
        ),
    ),
    scored(
        "c5k",
        "5,000 connections held by one thread",
        8,
        measurements=(
            budget("rss_per_connection", 412, 8192, 367, 20900, "bytes"),
            budget("threads", 1, 1, 1, 5001, "threads"),
        ),
    ),
)

OVER_BUDGET = failure(
    "at most 4.5 system calls per request (system calls in the window / requests), with 100 connections open",
    "102.00 with 100 connections, 1,002.00 with 1,000; the reference needs 3.00, one that scans them all 102",
    "A request needs one wait, one recv and one send. Look for a second recv, for epoll_ctl on each request, and for a "
    "scan of all connections.\n\nThe calls of one request:",
    "epoll_wait(4, [{events=EPOLLIN, data=0x9}], 1023, -1) = 1",
    "recvfrom(7, 0x7f3a2c0010b0, 65536, 0, NULL, NULL) = -1 EAGAIN (Resource temporarily unavailable)",
    "recvfrom(8, 0x7f3a2c0010b0, 65536, 0, NULL, NULL) = -1 EAGAIN (Resource temporarily unavailable)",
    "... 98 more like these",
)

FAILING = graded(
    BASIC,
    scored(
        "frag",
        "Half a line stalls nobody",
        8,
        Outcome.TIMED_OUT,
        failure=failure(
            "an answer within 30 s while another client has sent half a line",
            "nothing: the program sleeps in recvfrom",
            "A TCP read is not a line: keep what was read in a buffer of the connection's own.",
        ),
    ),
    scored("bigreq", "A request larger than any one read", 4, Outcome.NOT_RUN, reason="needs frag"),
    scored(
        "rst",
        "A reset connection ends only itself",
        5,
        Outcome.CRASHED,
        failure=failure(
            "serve_epoll goes on serving",
            "serve_epoll raised ConnectionResetError: [Errno 104]",
            "",
            "Traceback (most recent call last):",
            Evidence('  File "epoll_server.py", line 41, in serve_epoll', "epoll_server.py", 41),
            "ConnectionResetError: [Errno 104] \x1b[31mConnection reset by peer\x1b[0m",
        ),
    ),
    scored(
        "api",
        "Readiness comes from epoll",
        0,
        Outcome.FORBIDDEN,
        failure=failure(
            "a solution without select()",
            "select() was called 20 times",
            "Use select.epoll(): create it once, register each connection once, and wait in poll().",
        ),
    ),
    scored(
        "budget",
        "Three system calls a request, however many connections are idle",
        8,
        Outcome.FAILED,
        failure=OVER_BUDGET,
        measurements=(
            budget("syscalls_per_request", 102, 4.5, 3.0, 102, "calls/request"),
            budget("syscalls_per_request_big_crowd", 1002, 4.5, 3.0, 1002, "calls/request"),
        ),
    ),
    scored(
        "steady",
        "The interest set does not change while requests are served",
        8,
        measurements=(budget("epoll_ctl_per_request", 0.0312, 0.05, 0, 2, "calls/request"),),
    ),
    scored(
        "c10k",
        "10,000 connections held, each answered",
        2,
        Outcome.UNMEASURED,
        reason="This machine allows 4,096 open descriptors; the check needs 10,300. Raise the hard limit: ulimit -Hn.",
        measurements=(budget("rss_per_connection_10k", None, 8192, 367, 20900, "bytes"),),
    ),
    ignored_files=("notes.txt", "epoll_server_old.py"),
)

UNGRADED = Ungraded.model_validate(
    RUN
    | {
        "title": "epoll loop",
        "isolation": None,
        "machine": MACHINE,
        "reason": "strace ended with status 1 while `frag` was measured: ptrace is not permitted here. Run outside a "
        "container, or start the container with --cap-add SYS_PTRACE.",
        "checks": (
            Check(name="basic", title=BASIC.title, points=4, outcome=Outcome.PASSED, duration_s=0.25),
            Check(
                name="many",
                title="Many clients at once, answered in any order",
                points=5,
                outcome=Outcome.FAILED,
                failure=failure("50 answers", "1", "Never wait for a particular client."),
                duration_s=0.5,
            ),
        ),
    }
)

REFUSED = Refused.model_validate(
    RUN
    | {
        "title": "epoll loop",
        "isolation": None,
        "machine": MACHINE,
        "graded_at": "2026-11-27T15:43:17Z",
        "submission_digest": "1a" * 32,
        "refusal": {
            "what": "zoe",
            "file": "epoll_server.py",
            "line": 12,
            "why": "epoll_server.py:12: the byte 0xfc is not UTF-8.",
            "cure": "Save as UTF-8 in your editor.",
        },
    }
)

ABSENT = REFUSED.model_copy(
    update={
        "submission_digest": None,
        "refusal": Refusal(
            what="ex03_epoll",
            file=None,
            why="ex03_epoll: nothing was handed in.",
            cure="Hand in, or ask your instructor.",
            absent=True,
        ),
    }
)

BARE = graded(
    BASIC,
    isolation=Isolation.BARE,
    official=False,
    partial=True,
    missing_protections=(
        "the program can read every file that you can read",
        "the program shares the network of this machine",
    ),
)
BARE_WARNING = (
    "NOT ISOLATED: this program runs with all your rights.",
    "Grade only your own work this way. The result is not official. `grade doctor` says what is missing for a box.",
)

KOREAN = graded(
    scored("basic", "클라이언트 하나가 응답을 받고, stop_fd를 읽을 수 있게 되면 서버가 반환한다", 4),
    scored(
        "many",
        "여러 클라이언트에게 순서와 관계없이 응답한다",
        5,
        Outcome.FAILED,
        failure=failure(
            "클라이언트 50개가 모두 응답을 받는다",
            "한 클라이언트만 응답을 받았고 나머지는 서버가 첫 번째 클라이언트를 기다리는 동안 아무것도 받지 못했다",
            "한 클라이언트에게 응답한 뒤에는 epoll.poll()로 돌아가라. 특정 클라이언트를 기다리지 마라.",
            "클라이언트 1: 응답 받음, 클라이언트 2: 응답 없음, 클라이언트 3: 응답 없음, 클라이언트 4: 응답 없음",
        ),
    ),
    title="epoll 루프",
    language="ko",
)

REPORTS: dict[str, Report] = {
    "full_pass": FULL_PASS,
    "failing": FAILING,
    "ungraded": UNGRADED,
    "refused": REFUSED,
    "absent": ABSENT,
    "bare": BARE,
    "korean": KOREAN,
}


def live(console: Console, shown: Report) -> None:
    """What a student sees: each check as it ends, then the report."""
    for check in shown.checks:
        terminal.show_check(console, check, shown.language)
    terminal.show_report(console, shown)


def bare(console: Console) -> None:
    terminal.banner(console, BARE_WARNING)
    live(console, BARE)


def overview(console: Console) -> None:
    rows = [
        terminal.OverviewRow(slug="ex01_dispatcher", title="Callback dispatcher", points=100, score=100),
        terminal.OverviewRow(slug="ex03_epoll", title="epoll 루프", points=100, score=88, measurable_score=98),
        terminal.OverviewRow(
            slug="ex04_io_uring", title="io_uring 리더: 한 번의 진입으로 여러 블록을 읽는다", points=100
        ),
    ]
    terminal.show_overview(console, "고동시성 서버", rows, "grade ex04_io_uring")


SCREENS: dict[str, Callable[[Console], None]] = {
    "full_pass": lambda console: live(console, FULL_PASS),
    "failing": lambda console: live(console, FAILING),
    "failing_from_file": lambda console: terminal.show_report(console, FAILING, hints_shown=False),
    "ungraded": lambda console: live(console, UNGRADED),
    "refused": lambda console: live(console, REFUSED),
    "absent": lambda console: live(console, ABSENT),
    "bare": bare,
    "korean": lambda console: live(console, KOREAN),
    "overview": overview,
}


HERE = parity.Block(
    kit_version="0.1.0+5c0b91c4b07d",
    isolation=Isolation.BOXED,
    machine=MACHINE,
    cores=8,
    exercises=(parity.Checks(exercise="ex03_epoll", checks_digest="5f" * 32, sizes=("public", "hidden")),),
)
_ELSEWHERE = {
    "kit_version": "0.2.0+000000000000",
    "checks_digest": "a0" * 32,
    "sizes": "hidden",
    "official": False,
    "isolation": Isolation.BARE,
    "machine": Machine(kernel="6.1.0", python="3.13.1", strace=None, bwrap=None, nofile=4_096),
}

# What is no screen: text that is as wide as it is.
TEXTS: dict[str, Callable[[], Iterable[str]]] = {
    "parity_block": HERE.lines,
    "parity_same": parity.compare(HERE, FULL_PASS.model_copy(update={"kit_version": HERE.kit_version})).lines,
    "parity_other": parity.compare(HERE, FAILING.model_copy(update=_ELSEWHERE)).lines,
}


def text(name: str) -> str:
    return "\n".join(TEXTS[name]()) + "\n"


def screen(name: str, *, width: int | None = None, colour: bool | None = None) -> str:
    """What one screen prints into a pipe."""
    stream = io.StringIO()
    SCREENS[name](terminal.make_console(stream, colour=colour, width=width))
    return stream.getvalue()


def main() -> None:
    for name in SCREENS:
        (GOLDEN / f"{name}.txt").write_text(screen(name), encoding="utf-8")
    for name in TEXTS:
        (GOLDEN / f"{name}.txt").write_text(text(name), encoding="utf-8")
    SCHEMA.write_text(report.json_schema_text(), encoding="utf-8")


if __name__ == "__main__":
    main()
