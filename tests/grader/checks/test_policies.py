"""What holds in every box: runs look alike from the inside, and what a policy names is seen where nothing is counted.

What needs a box runs in a judge's process (judged.py), on the exercise of the tiny course.
"""

import os
import subprocess
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from grader.box.levels import Level
from grader.checks.policies import Policies
from grader.course.load import load_course
from grader.course.model import Check, Watch
from grader.course.text import Text
from grader.failures import Evidence, ForbiddenUse
from grader.measure.strace import CLONE_CALLS, Call, Window
from grader.report.model import Outcome
from handing_in import TINY, failure_of, handed_in
from places import ROOT

Judged = Callable[..., Any]

COURSE = ROOT

ALONE = Watch(calls=tuple(sorted(CLONE_CALLS)), rule=Text({"en": "one process", "ko": "프로세스 하나"}))


# --- who is told, and when ----------------------------------------------------------------------------------------


def policies(watch: Watch, language: str = "en") -> tuple[Policies, dict[str, Check]]:
    """Those of the tiny exercise, whose check `echo` owns this one."""
    exercise = load_course(TINY).find("ex90")
    checks = {check.name: check for check in exercise.checks}
    checks["echo"] = checks["echo"].model_copy(update={"watches": (watch,)})
    changed = exercise.model_copy(update={"checks": tuple(checks.values())})
    return Policies(exercise=changed, language=language), checks


def calls(*calls: Call, ends_s: Sequence[float] = ()) -> Window:
    return Window.of(calls, ends_s=ends_s)


def call(text: str, replays: Call | None = None, *, at_s: float = 1.0) -> Call:
    return Call(pid=1, at_s=at_s, name=text.partition("(")[0], text=text, replays=replays)


FORK = call("fork() = 7")
PASSED, FAILED = Outcome.PASSED, Outcome.FAILED


def test_what_happens_before_the_owner_has_run_is_told_at_the_owner_alone() -> None:
    watched, checks = policies(ALONE)
    watched.look(calls(call("read(0, 0)"), FORK, FORK), "scaled")

    watched.require(checks["scaled"], {})
    with pytest.raises(ForbiddenUse) as failure:
        watched.require(checks["echo"], {"scaled": PASSED})
    watched.require(checks["calls"], {"scaled": PASSED, "echo": Outcome.FORBIDDEN})

    assert failure.value.expected == "one process, in every run"
    assert failure.value.seen == "fork, in a run of the check scaled"
    assert failure.value.evidence == (Evidence("fork() = 7"),)


def test_what_happens_after_the_owner_has_passed_is_told_at_the_check_whose_box_it_was() -> None:
    watched, checks = policies(ALONE)
    watched.look(calls(FORK), "calls")

    with pytest.raises(ForbiddenUse) as failure:
        watched.require(checks["calls"], {"echo": PASSED})
    watched.require(checks["stop"], {"echo": PASSED, "calls": Outcome.FORBIDDEN})

    assert failure.value.seen == "fork, in a run of the check calls"


def test_an_owner_that_has_failed_has_told() -> None:
    watched, checks = policies(ALONE)
    watched.look(calls(FORK), "echo")
    watched.look(calls(FORK), "calls")

    watched.require(checks["calls"], {"echo": FAILED})


def test_an_owner_that_nobody_asked_for_tells_nothing() -> None:
    watched, checks = policies(ALONE)
    watched.look(calls(FORK), "calls")

    watched.require(checks["calls"], {})


def test_the_rule_is_told_in_the_persons_language() -> None:
    watched, checks = policies(ALONE, language="ko")
    watched.look(calls(FORK), "echo")

    with pytest.raises(ForbiddenUse) as failure:
        watched.require(checks["echo"], {})

    assert failure.value.expected.startswith("프로세스 하나")


def test_so_many_are_right_and_only_those_whose_line_says_so() -> None:
    watched, checks = policies(ALONE.model_copy(update={"most": 2, "having": "CLONE_THREAD"}))
    thread, process = call("clone(flags=CLONE_VM|CLONE_THREAD) = 8"), call("clone(flags=SIGCHLD) = 9")

    watched.look(calls(thread, *[process] * 5, thread), "scaled")
    watched.look(calls(thread), "scaled")  # another box
    later = [call(thread.text, at_s=float(second)) for second in range(2, 30)]
    watched.look(calls(thread, *later, ends_s=[1.5 + second for second in range(30)]), "scaled")  # one after another
    watched.require(checks["echo"], {})
    watched.look(calls(thread, thread, process, thread), "scaled")

    with pytest.raises(ForbiddenUse) as failure:
        watched.require(checks["echo"], {})
    assert failure.value.seen == "clone although 2 were there already, in a run of the check scaled"


def test_a_wait_that_is_replayed_is_the_wait_that_is_watched() -> None:
    watched, checks = policies(ALONE.model_copy(update={"calls": ("poll",)}))
    watched.look(calls(call("restart_syscall(<...>) = 1", replays=call("poll([], 0, -1) = 0"))), "echo")

    with pytest.raises(ForbiddenUse, match="poll"):
        watched.require(checks["echo"], {})


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="other architectures have fewer calls")
def test_strace_knows_each_call_that_is_watched(strace: str) -> None:
    watched = {call for exercise in load_course(COURSE).exercises for call in Policies(exercise=exercise).calls}

    done = subprocess.run(
        [strace, "-e", f"trace={','.join(sorted(watched))}", "/bin/true"], check=True, capture_output=True
    )

    assert watched > CLONE_CALLS and b"invalid" not in done.stderr


# --- boxes --------------------------------------------------------------------------------------------------------


def what_it_sees(student: Any, room: Any) -> list[str]:
    import os
    import pathlib

    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    names = ("TracerPid", "Seccomp", "Seccomp_filters", "NoNewPrivs", "Cpus_allowed", "Threads")
    return [*(status.get(name, "") for name in names), str(sorted(os.sched_getaffinity(0))), str(os.getpid())]


def faces(level: Level, strace: str) -> list[Any]:
    with_watches, without = ({"strace": strace, "watches": watches} for watches in ((ALONE,), ()))
    seen = []
    for how, more in (({"traced": True}, without), ({}, without), ({}, with_watches), ({"alone": True}, with_watches)):
        with handed_in(level, "", **more).running(what_it_sees, **how) as run:  # type: ignore[arg-type]
            seen.append(run.result())
    return seen


def test_a_program_cannot_see_whether_it_is_counted_watched_or_alone(judged: Judged, strace: str) -> None:
    counted, plain, watched, alone = judged(faces, strace)

    assert counted == plain == watched == alone
    assert counted[0] == "0" and counted[2] in ("2", "")  # "": a kernel before 5.9 does not tell


AT_IMPORT = """
import os, subprocess, threading
{}
def act():
    {}
"""


def does(student: Any, room: Any) -> None:
    student.act()


def helped(level: Level, strace: str, at_import: str, later: str, traced: bool) -> list[Any]:
    submission = handed_in(level, AT_IMPORT.format(at_import, later), strace=strace, watches=[ALONE])
    with submission.running(does, traced=traced) as run:
        run.result()
    owner = submission.exercise.checks[0]
    kind, _, seen, evidence = [*failure_of(lambda: submission.policies.require(owner, {})), "", ""][:4]
    return [kind, seen, bool(evidence)]


ENDED = "subprocess.run(['/bin/true'])\nhelper = threading.Thread(target=int); helper.start(); helper.join()"
LASTING = "threading.Thread(target=threading.Event().wait, daemon=True).start()"
ORPHAN = "os.fork() or (os.fork() or threading.Event().wait()) and os._exit(0)"


@pytest.mark.parametrize("traced", [True, False], ids=["counted", "watched"])
@pytest.mark.parametrize(
    ("at_import", "later", "told"),
    [
        pytest.param("", "pass", False, id="nothing"),
        pytest.param(ENDED, "pass", False, id="help at the import that has ended"),
        pytest.param(LASTING, "pass", True, id="a thread that was started at the import"),
        pytest.param(ORPHAN, "pass", True, id="an orphan that was made at the import"),
        pytest.param("", "subprocess.run(['/bin/true'])", True, id="a program"),
        pytest.param("", LASTING, True, id="a thread"),
    ],
)
def test_a_helper_is_seen_in_every_box(
    judged: Judged, strace: str, at_import: str, later: str, told: bool, traced: bool
) -> None:
    kind, seen, evidence = judged(helped, strace, at_import, later, traced)

    assert kind == ("ForbiddenUse" if told else "nothing")
    assert seen.endswith("in a run of the check check") == told
    assert evidence == told


def without_a_submission(level: Level, strace: str) -> list[Any]:
    submission = handed_in(level, "", strace=strace, watches=[ALONE])
    submission.on_this_machine(forks)
    return failure_of(lambda: submission.policies.require(submission.exercise.checks[0], {}))


def forks(_student: Any, _room: Any) -> None:
    import os

    if os.fork() == 0:
        os._exit(0)
    os.wait()


def test_what_the_judge_asks_of_a_machine_is_nobodys_breach(judged: Judged, strace: str) -> None:
    assert judged(without_a_submission, strace) == ["nothing", None]
