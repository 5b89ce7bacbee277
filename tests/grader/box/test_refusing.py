"""Gradings on a machine that refuses what a container refuses by default: a system call filter stands in for it.

One's own work and the course's still run there, bare and under a banner; other people's do not.
"""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from grader.box import seccomp as call_filter
from grader.report.model import Isolation, from_json
from gradings import COURSE, REFUSING, SLUG, SOLUTION, TINY, Done, Tiny, run, tiny_course

pytestmark = pytest.mark.skipif(
    call_filter.libseccomp() is None, reason="the refusing machine is built with libseccomp"
)

NO_NAMESPACES = (sys.executable, str(REFUSING), "--allow-ptrace", "--")
NO_PTRACE_EITHER = (sys.executable, str(REFUSING), "--")


@pytest.fixture
def course(tmp_path: Path) -> Tiny:
    return tiny_course(tmp_path)


def graded_ex03(folder: Path, prefix: Sequence[str], *words: str) -> Done:
    file = folder / "report.json"
    command = ["ex03", "--course", str(COURSE), "--json", str(file), "--only", "basic", "--only", "budget", *words]
    done = run(*command, prefix=prefix)
    report = from_json(file.read_bytes()) if file.exists() else None
    return Done(code=done.returncode, out=done.stdout, err=done.stderr, report=report)


@pytest.mark.parametrize(
    ("prefix", "budget"),
    [
        pytest.param(NO_NAMESPACES, "passed", id="that allows ptrace"),
        pytest.param(NO_PTRACE_EITHER, "unmeasured", id="that refuses ptrace too"),
    ],
)
def test_the_reference_runs_bare_in_a_container_and_is_not_official(
    tmp_path: Path, prefix: Sequence[str], budget: str
) -> None:
    done = graded_ex03(tmp_path, prefix, "--solution")

    assert done.code == 0, done.out + done.err
    assert done.outcomes["basic"] == "passed"
    assert done.outcomes["budget"] == budget
    assert done.graded.isolation is Isolation.BARE
    assert not done.graded.official
    (missing,) = done.graded.missing_protections
    assert "a private network cannot be made" in missing
    words = " ".join(done.out.replace("|", " ").split())
    assert f"NOT ISOLATED: {missing}." in words
    assert "This is your own work, so it runs bare, and the result is not official." in words
    assert "`grade doctor` says what is missing" in words


def test_what_cannot_be_counted_there_costs_nothing_and_is_told(course: Tiny) -> None:
    done = course.grade("ex90", "--solution", prefix=NO_PTRACE_EITHER)

    assert done.code == 0, done.out + done.err
    assert done.outcomes == {"scaled": "passed", "echo": "passed", "calls": "unmeasured", "stop": "passed"}
    assert (done.graded.score, done.graded.measurable_score, done.graded.max_score) == (70, 70, 100)
    assert "System calls cannot be counted" in done.out
    assert "strace cannot trace a child" in done.message("calls")


def test_a_strangers_program_does_not_run_there_and_the_cure_is_told(course: Tiny, tmp_path: Path) -> None:
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    proof = tmp_path / "it_ran"
    (stranger / "tiny.py").write_text(f"open({str(proof)!r}, 'w').close()\n" + (TINY / SOLUTION).read_text())

    refused = course.grade("ex90", "--submission", str(stranger), prefix=NO_NAMESPACES)
    trusted = course.grade("ex90", "--submission", str(stranger), "--only", "scaled", "--trust", prefix=NO_NAMESPACES)

    assert refused.code == 3
    assert refused.ungraded.checks == ()
    assert refused.ungraded.isolation is None
    assert "Other people's programs run only in a box, and this machine refuses one" in refused.ungraded.reason
    assert "`grade doctor`" in refused.ungraded.reason
    assert "--trust" in refused.ungraded.reason
    assert trusted.code == 0
    assert proof.exists()


def test_the_courses_own_wrong_submission_is_failed_there(course: Tiny) -> None:
    wrong = course.root / "tests" / SLUG / "wrong" / "own_words"

    done = course.grade("ex90", "--submission", str(wrong), "--only", "echo", prefix=NO_PTRACE_EITHER)

    assert done.code == 1
    assert done.outcomes == {"echo": "failed"}
    assert done.graded.isolation is Isolation.BARE


def test_a_program_that_runs_bare_can_crash_without_taking_the_judge_along(course: Tiny) -> None:
    course.hand_in(("            for fd, _ in epoll.poll():\n", "            import os\n\n            os.kill(0, 9)\n"))

    done = course.grade("ex90", "--only", "echo", prefix=NO_PTRACE_EITHER)

    assert done.code == 1
    assert done.outcomes == {"echo": "crashed"}


@pytest.mark.skipif(
    subprocess.run(["unshare", "-Ur", "true"], check=False, capture_output=True).returncode != 0,
    reason="user namespaces are refused here",
)
def test_a_root_that_has_no_other_user_gets_no_box_and_its_own_work_runs_bare(course: Tiny, tmp_path: Path) -> None:
    stranger = tmp_path / "tiny.py"
    stranger.write_text((TINY / SOLUTION).read_text())

    own = course.grade("ex90", "--solution", "--only", "scaled", prefix=("unshare", "-Ur"))
    other = course.grade("ex90", "--submission", str(stranger), prefix=("unshare", "-Ur"))

    assert own.graded.isolation is Isolation.BARE
    (missing,) = own.graded.missing_protections
    assert missing.startswith("root's boxes run as another user, and this root has none")
    assert other.code == 3
    assert "this root has none" in other.ungraded.reason


def test_the_doctor_says_why_there_is_no_box() -> None:
    done = run("doctor", prefix=NO_PTRACE_EITHER)

    assert done.returncode == 1
    assert "private network" in done.stdout
    assert "Operation not permitted" in done.stdout
    assert "strace" in done.stdout
