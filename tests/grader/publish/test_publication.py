"""Publishing: what is in, what is not, the same bytes each time, and all of it or nothing.

The tests' course is a copy of the tiny one in which everything that is the instructor's has a canary: a word that no
published byte may hold, in whatever it is wrapped.
"""

import base64
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

import grader
from canaries import CANARIES, put_canaries, wrappings
from grader.course.load import load_course
from grader.errors import CourseError
from grader.publish import classroom, folder
from grader.publish.earlier import ABOUT
from grader.publish.leaks import refuse_leaks
from grader.publish.tree import File, text_file, write, zipped
from grader.versions import kit_version
from gradings import CHECKS, COURSE, HANDOUT, SLUG, SOLUTION, TINY, Tiny, environment, tiny_course

PINNED = "an-instructor/servers-2026@" + "0123456789abcdef" * 2 + "01234567"


@pytest.fixture
def course(tmp_path: Path) -> Tiny:
    return tiny_course(tmp_path)


def files(top: Path) -> dict[str, bytes]:
    return {str(path.relative_to(top)): path.read_bytes() for path in sorted(top.rglob("*")) if path.is_file()}


# --- what is in ---------------------------------------------------------------------------------------------------


def test_a_student_receives_stub_handout_given_files_checks_and_the_kit(course: Tiny, tmp_path: Path) -> None:
    (course.root / "exercises" / SLUG / "README.md").write_text("# Tiny\n\n![what is counted](counted.svg)\n")
    (course.root / "exercises" / SLUG / "README.ko.md").write_text("# 작은\n")
    (course.root / "exercises" / SLUG / "counted.svg").write_text("<svg/>\n")

    done = course.type("publish", "folder", "--no-audit", "--to", str(tmp_path / "out"))

    assert done.code == 0, done.err
    found = files(tmp_path / "out")
    kit = {name for name in found if name.startswith("grader/")}
    assert set(found) - kit == {
        *(
            "README.md",
            "Makefile",
            ".gitattributes",
            ".gitignore",
            ".gitlab-ci.yml",
            ABOUT,
            "course.yaml",
            "pyproject.toml",
        ),
        *(".devcontainer/Dockerfile", ".devcontainer/devcontainer.json"),
        *("LICENSE", "requirements/core.txt", "tools/setup.sh"),
        *(f"exercises/{SLUG}/{name}" for name in ("README.md", "README.ko.md", "counted.svg", "exercise.yaml")),
        *(f"exercises/{SLUG}/{name}" for name in ("factor.py", "tiny.py")),
        CHECKS,
    }
    of_the_kit = files(Path(grader.__file__).parent)
    assert kit == {f"grader/{name}" for name in of_the_kit if "__pycache__" not in name}
    assert found[HANDOUT] == (course.root / HANDOUT).read_bytes()


def test_what_is_published_is_a_course_of_the_same_checks_and_limits(course: Tiny, tmp_path: Path) -> None:
    course.type("publish", "folder", "--no-audit", "--to", str(tmp_path / "out"))

    here, there = load_course(course.root), load_course(tmp_path / "out")

    assert there.exercises[0].digest == here.exercises[0].digest
    assert (there.title, there.languages, there.defaults) == (here.title, here.languages, here.defaults)


def test_only_the_exercises_that_are_named_are_in_and_in_the_courses_list() -> None:
    course = load_course(COURSE)
    two = (course.find("ex04"), course.find("ex01"))

    tree = folder.tree(course, two)

    assert {name.split("/")[1] for name in tree if name.startswith("exercises/")} == {one.slug for one in two}
    assert yaml.safe_load(tree["course.yaml"].data)["exercises"] == ["ex04_io_uring", "ex01_callbacks"]


def test_the_stub_comes_from_the_reference_and_not_from_what_stands_in_the_folder(course: Tiny) -> None:
    stub = (course.root / HANDOUT).read_bytes()
    shutil.copyfile(course.root / SOLUTION, course.root / HANDOUT)  # the author tried the exercise

    loaded = load_course(course.root)

    assert folder.tree(loaded, loaded.exercises)[HANDOUT].data == stub


def test_a_student_sets_up_what_was_published_with_the_files_that_make_names(tmp_path: Path) -> None:
    course = load_course(COURSE)
    write(folder.tree(course, course.exercises), tmp_path / "out")

    named = subprocess.run(["make", "-n", "setup"], cwd=tmp_path / "out", capture_output=True, text=True, check=True)
    project = (tmp_path / "out/pyproject.toml").read_text()

    assert "sh tools/setup.sh core" in named.stdout and os.access(tmp_path / "out/tools/setup.sh", os.R_OK)
    assert re.findall(r"(?m)^\[(.*)\]$", project) == [
        *("build-system", "project", "project.scripts", "tool.setuptools"),
        *("tool.setuptools.package-data", "tool.setuptools.dynamic"),
    ]


# --- what is not --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [["folder"], ["classroom", "--pinned", PINNED], ["gradescope"], ["prairielearn", "--image", "a/b"], ["autolab"]],
)
def test_nothing_of_the_instructors_is_in_any_byte(course: Tiny, tmp_path: Path, words: list[str]) -> None:
    put_canaries(course.root)

    done = course.type("publish", *words, "--no-audit", "--to", str(tmp_path / "out"))

    assert done.code == 0, done.err
    for name, data in files(tmp_path / "out").items():
        for canary in CANARIES:
            for how, bytes_ in wrappings(canary).items():
                assert bytes_ not in data and bytes_ not in name.encode(), f"{canary} in {name}, {how}"


def test_what_lies_beside_the_kits_own_files_stays_where_it_is(course: Tiny, tmp_path: Path) -> None:
    """Notes, results, and what editors leave: a copy, a patch, a lock that points nowhere."""
    kit = tmp_path / "kit"
    for name in ("grader", "requirements", "tools"):
        shutil.copytree(COURSE / name, kit / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "LICENSE"):
        shutil.copyfile(COURSE / name, kit / name)
    clean = {path.relative_to(kit) for path in kit.rglob("*") if path.is_file()}
    for name in (
        "notes.txt",
        "cli.py~",
        "cli.py.orig",
        ".cli.py.swp",
        "._cli.py",
        "results/ada.json",
        "schemas/my.json",
    ):
        (kit / "grader" / name).parent.mkdir(exist_ok=True)
        (kit / "grader" / name).write_text("stray_canary")
    for name in ("notes", "student_README.md~", ".student_README.md.swp"):
        (kit / "grader/publish/templates" / name).write_text("stray_canary")
    (kit / "requirements/notes.txt").write_text("stray_canary")
    for folder_ in (kit / "grader", course.root / "tests" / SLUG):
        (folder_ / ".#test_tiny.py").symlink_to("author@host.123:456")

    command = [sys.executable, "-m", "grader", "publish", "folder", "--no-audit", "--to", str(tmp_path / "out")]
    subprocess.run(command, cwd=course.root, env=environment(PYTHONPATH=str(kit)), check=True)

    found = files(tmp_path / "out")
    assert not [name for name, data in found.items() if b"stray_canary" in data]
    assert {name for name in found if name.startswith("grader/")} == {
        str(name) for name in clean if name.parts[0] == "grader"
    }
    assert json.loads(found[ABOUT])["kit_version"] == kit_version()


PIECE = """
        for fd, _ in epoll.poll():
            if fd == stop_fd:
                for client in clients.values():
                    client.close()
                return
            if fd == lsock.fileno():
        """
LEAKS = {
    **{
        f"a piece of the reference, {what}": (
            f"exercises/{SLUG}/README.md",
            PIECE.replace("\n", f"\n{mark}"),
            f"a piece of solutions/{SLUG}/tiny.py from line 25 stands in it",
        )
        for what, mark in {"commented out": "# ", "quoted": "> > ", "as a patch": "+", "as a list": "   * "}.items()
    },
    "a piece of the reference in the handout": (
        f"exercises/{SLUG}/README.md",
        "".join(f"    {line}" for line in (TINY / SOLUTION).read_text().splitlines(keepends=True)[24:30]),
        f"exercises/{SLUG}/README.md: a piece of solutions/{SLUG}/tiny.py from line 25 stands in it. Take it out",
    ),
    "a hidden size": (CHECKS, "\n# with 48,611 of them\n", "the hidden size scale of ex90_tiny stands in it"),
    "a hidden check": (CHECKS, "\n# see test_held_back\n", "test_held_back of tests/ex90_tiny/hidden/test_more.py"),
}


@pytest.mark.parametrize(("name", "text", "told"), LEAKS.values(), ids=LEAKS)
def test_what_an_author_put_into_a_public_file_is_found_and_nothing_is_published(
    course: Tiny, tmp_path: Path, name: str, text: str, told: str
) -> None:
    sizes = next(iter(load_course(course.root).exercises[0].sizes))
    hidden = course.root / "tests" / SLUG / "hidden"
    hidden.mkdir()
    (hidden / "sizes.yaml").write_text(f"format: 1\nsizes:\n  {sizes}: 48611\n")
    (hidden / "test_more.py").write_text("def test_held_back():\n    pass\n")
    with (course.root / name).open("a") as file:
        file.write(text)

    done = course.type("publish", "folder", "--no-audit", "--to", str(tmp_path / "out"))

    assert done.code == 2
    assert told.replace("scale", sizes) in done.err
    assert not (tmp_path / "out").exists()


def test_a_leak_is_found_in_a_zip_in_a_notebook_and_in_a_path() -> None:
    course = load_course(COURSE)
    exercise = course.find("ex03")
    reference = (exercise.solution_dir / "epoll_server.py").read_text()
    cells = {"cells": [{"source": reference.replace("BEGIN", "").replace("END", "").splitlines(keepends=True)}]}
    notebook = text_file(json.dumps(cells, indent=1))

    for tree, told in (
        ({"a.zip": File(zipped({"inner/b.zip": File(zipped({"c.py": text_file(reference)}))}))}, "a.zip/inner/b.zip/c"),
        ({"ex03.ipynb": notebook}, "ex03.ipynb: a piece of solutions/ex03_epoll/epoll_server.py from line"),
        ({"tests/ex03_epoll/wrong/a.py": text_file("")}, "the folder wrong is the instructor's"),
    ):
        with pytest.raises(CourseError, match=re.escape(told)):
            refuse_leaks(tree, [exercise])


def test_the_courses_own_publications_hold_no_leak() -> None:
    course = load_course(COURSE)

    refuse_leaks(folder.tree(course, course.exercises), course.exercises)
    refuse_leaks(classroom.tree(course, course.exercises, pinned=PINNED), course.exercises)


# --- the same bytes, and all or nothing -----------------------------------------------------------------------------


def test_two_publications_are_the_same_to_the_byte_and_the_mode(course: Tiny, tmp_path: Path) -> None:
    for name, umask in (("one", 0o022), ("two", 0o077)):
        before = os.umask(umask)
        try:
            done = course.type("publish", "folder", "--no-audit", "--to", str(tmp_path / name))
        finally:
            os.umask(before)
        assert done.code == 0, done.err

    one, two = (
        {path.relative_to(top): path for path in top.rglob("*")} for top in (tmp_path / "one", tmp_path / "two")
    )

    assert files(tmp_path / "one") == files(tmp_path / "two")
    assert {name: path.stat().st_mode for name, path in one.items()} == {
        name: path.stat().st_mode for name, path in two.items()
    }


def test_a_zip_is_the_same_whatever_the_order_and_the_day() -> None:
    tree = {"run": File(b"#!/bin/sh\n", executable=True), "a/b": File(b"\0" * 100)}

    assert zipped(tree) == zipped(dict(reversed(tree.items())))
    assert b"a/b" in zipped(tree)


def test_a_commit_is_named_if_all_is_committed(course: Tiny, tmp_path: Path) -> None:
    def git(*words: str) -> str:
        settings = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
        command = ["git", "-C", str(course.root), *settings, *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    def about(name: str) -> Any:
        course.type("publish", "folder", "--no-audit", "--to", str(tmp_path / name))
        record = json.loads((tmp_path / name / ABOUT).read_text())
        assert len(record.pop("files")) == len(files(tmp_path / name)) - 1  # all but the record itself
        return record

    git("init", "-q")
    git("add", ".")
    git("commit", "-q", "-m", "a course")
    loaded = load_course(course.root)
    digests = {SLUG: loaded.exercises[0].digest}
    common = {"schema": "tracegrade/published/1", "target": "folder", "kit_version": kit_version()}

    assert about("clean") == {
        **common,
        "commit": git("rev-parse", "HEAD"),
        "audited": False,
        "checks_digests": digests,
    }

    (course.root / "new").write_text("")
    assert about("dirty") == {**common, "commit": None, "audited": False, "checks_digests": digests}


@pytest.mark.parametrize("before", ["a file", "a full folder", "a link"])
def test_what_is_there_is_not_written_over(course: Tiny, tmp_path: Path, before: str) -> None:
    out = tmp_path / "out"
    if before == "a file":
        out.write_text("mine")
    elif before == "a link":
        (tmp_path / "elsewhere").mkdir()
        out.symlink_to(tmp_path / "elsewhere")
    else:
        out.mkdir()
        (out / "mine").write_text("mine")
    there = sorted(tmp_path.rglob("*"))

    done = course.type("publish", "folder", "--no-audit", "--to", str(out))

    assert done.code == 2
    assert done.err.startswith(f"grade: {out}: there is something already") and "Name a new folder" in done.err
    assert sorted(tmp_path.rglob("*")) == there


def test_a_folder_that_cannot_be_written_is_told(course: Tiny) -> None:
    done = course.type("publish", "folder", "--no-audit", "--to", "/proc/self/out")

    assert done.code == 2
    assert re.fullmatch(r"grade: /proc/self/out: cannot be written: .*\. Name another folder\.\n", done.err)


# Kills this process at the n-th file that it writes, as a power cut would: nothing of it can run afterwards.
KILLED = """
import os, signal, sys
from pathlib import Path
from grader.publish import tree
written = 0
def write_file(path, file, really=tree._write_file):
    global written
    really(path, file)
    written += 1
    if written == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
tree._write_file = write_file
tree.write({f"a/{number}": tree.File(b"x" * 10000) for number in range(9)}, Path(sys.argv[1]))
"""


@pytest.mark.parametrize("moment", [1, 5, 9])
def test_a_kill_in_the_middle_leaves_nothing_and_the_next_one_cleans_up(tmp_path: Path, moment: int) -> None:
    out = tmp_path / "out"

    killed = subprocess.run([sys.executable, "-c", KILLED, str(out), str(moment)], env=environment())

    assert killed.returncode == -9
    assert not out.exists()
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith(".out.publishing-")] == []
    write({"a": File(b"whole")}, out)
    assert files(tmp_path) == {"out/a": b"whole"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_another_publication_that_is_still_at_work_is_left_alone(tmp_path: Path) -> None:
    from grader.publish.tree import scratch_beside

    with scratch_beside(tmp_path / "out") as other:
        write({"a": File(b"")}, tmp_path / "out")

        assert other.exists()


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    script = (
        "import resource, signal, sys\nfrom pathlib import Path\nfrom grader.publish.tree import File, write\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\nresource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))\n"
        "write({'a': File(b'x'), 'b': File(b'x' * 10000)}, Path(sys.argv[1]))"
    )

    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "out")], capture_output=True, text=True, env=environment()
    )

    assert "UsageError" in done.stderr and "cannot be written: File too large" in done.stderr
    assert list(tmp_path.iterdir()) == []


# --- audits -------------------------------------------------------------------------------------------------------


def test_what_no_audit_has_found_is_audited_first_and_once(course: Tiny, tmp_path: Path, countable: None) -> None:
    first = course.type("publish", "folder", "--to", str(tmp_path / "first"))
    second = course.type("publish", "folder", "--to", str(tmp_path / "second"))
    with (course.root / CHECKS).open("a") as file:
        file.write("# changed\n")
    after_a_change = course.type("publish", "folder", "--no-audit", "--to", str(tmp_path / "third"))

    assert (first.code, second.code, after_a_change.code) == (0, 0, 0), first.out + first.err
    assert "No audit has found ex90 as they are now" in first.out and "All as promised." in first.out
    assert "gradings" not in second.out and "NOT AUDITED" not in second.out
    assert "NOT AUDITED, as you asked" in after_a_change.out
    audited = [json.loads((tmp_path / name / ABOUT).read_text())["audited"] for name in ("first", "second", "third")]
    assert audited == [True, True, False]
    assert files(tmp_path / "first") == files(tmp_path / "second")


def test_what_an_audit_finds_off_is_not_published(course: Tiny, tmp_path: Path) -> None:
    with (course.root / HANDOUT).open("a") as file:
        file.write("# not what the reference gives\n")

    done = course.type("publish", "folder", "--to", str(tmp_path / "out"))

    assert done.code == 2
    assert "OFF" in done.out and "nothing was published" in done.err
    assert not (tmp_path / "out").exists()


# --- classroom ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pinned",
    ["an-instructor/servers", "an-instructor/servers@main", "an-instructor/servers@0123456", "a b/c@" + "0" * 40],
)
def test_a_workflow_is_pinned_to_one_commit(course: Tiny, tmp_path: Path, pinned: str) -> None:
    done = course.type("publish", "classroom", "--no-audit", "--pinned", pinned, "--to", str(tmp_path / "out"))

    assert done.code == 2
    assert f"--pinned {pinned}: write OWNER/REPOSITORY@COMMIT, with all 40 digits" in done.err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["classroom"], "The target classroom needs --pinned OWNER/REPOSITORY@COMMIT: see `grade publish --help`."),
        (["prairielearn"], "The target prairielearn needs --image OWNER/NAME: see `grade publish --help`."),
        (["folder", "--pinned", PINNED], "--pinned belongs to classroom, not to folder: leave it out."),
        (["folder", "--hidden"], "--hidden belongs to gradescope, prairielearn, autolab, not to folder: leave it out."),
        (["nbgrader", "--trust"], "--trust belongs to gradescope, prairielearn, autolab, not to nbgrader"),
    ],
)
def test_a_target_has_its_options_and_no_others(course: Tiny, tmp_path: Path, words: list[str], told: str) -> None:
    done = course.type("publish", *words, "--no-audit", "--to", str(tmp_path / "out"))

    assert done.code == 2
    assert told in done.err


def test_the_workflow_is_the_instructors_at_one_commit_and_holds_no_token() -> None:
    course = load_course(COURSE)
    tree = classroom.tree(course, course.exercises, pinned=PINNED)

    workflow = yaml.safe_load(tree[".github/workflows/classroom.yml"].data)
    steps = workflow["jobs"]["grade"]["steps"]

    theirs, ours = steps[0]["with"], steps[1]["with"]
    assert theirs == {"path": "submission", "persist-credentials": False}
    assert ours == {
        "repository": "an-instructor/servers-2026",
        "ref": PINNED.partition("@")[2],
        "path": "course",
        "persist-credentials": False,
    }
    graded = [step["id"] for step in steps if "grade" in step.get("run", "")]
    assert graded == [one.number for one in course.exercises]
    reporter = steps[-1]
    assert reporter["with"] == {"runners": "ex01,ex02,ex03,ex04,ex05,ex06"}
    for number in graded:  # an empty result would end the reporter, and with it the other exercises
        value = reporter["env"].pop(f"{number.upper()}_RESULTS")
        found = re.fullmatch(rf"\$\{{\{{ steps\.{number}\.outputs\.result \|\| '([A-Za-z0-9+/=]+)' \}}\}}", value)
        assert found is not None, value
        instead = json.loads(base64.b64decode(found[1], validate=True))
        assert (instead["status"], instead["max_score"], instead["tests"][0]["score"]) == ("error", 0, 0)
    assert reporter["env"] == {}
    assert "secrets" not in tree[".github/workflows/classroom.yml"].data.decode()


# --- in a student's copy ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["ex90", "--solution"], "grade: --solution: this copy of the course has no references ("),
        (["stubs"], "ex90_tiny: no reference here; references stand in the instructor's copy."),
        (["publish", "folder", "--no-audit", "--to", "/tmp/never"], "solutions/ex90_tiny/tiny.py: cannot be read"),
    ],
)
def test_what_needs_a_reference_says_that_a_student_has_none(
    course: Tiny, tmp_path: Path, words: list[str], told: str
) -> None:
    course.type("publish", "folder", "--no-audit", "--to", str(tmp_path / "out"))

    done = Tiny(tmp_path / "out").type(*words)

    assert done.code == 2
    assert told in done.err


def test_a_student_is_graded_by_the_same_checks(course: Tiny, tmp_path: Path) -> None:
    course.type("publish", "folder", "--no-audit", "--to", str(tmp_path / "out"))
    student = Tiny(tmp_path / "out")
    reference = (course.root / SOLUTION).read_text()

    stub = student.grade("ex90")
    student.write(HANDOUT, reference)
    solved = student.grade("ex90")
    by_the_instructor = course.grade("ex90", "--submission", str(student.root / HANDOUT))

    assert (stub.graded.score, solved.graded.score) == (0, by_the_instructor.graded.score)
    assert solved.graded.score == solved.graded.measurable_score
    assert solved.graded.checks_digest == by_the_instructor.graded.checks_digest


# What a runner of GitHub's has and a machine may lack: the word that makes a root of whoever types it. Behind it stands
# a switch of Ubuntu's kernel.
SUDO = '#!/bin/sh\necho "$@" >>"$GITHUB_WORKSPACE/sudo.log"\n'


@dataclass(frozen=True, slots=True)
class Runner:
    """Runs a workflow's steps as GitHub's runner does: shell steps with bash, in one workspace, and checkouts."""

    workspace: Path
    repositories: Mapping[str, Path]  # what a checkout copies; "" is the repository that was pushed to

    def run(self, workflow: Path) -> dict[str, dict[str, str]]:
        """The outputs of each step that has an id. A step that fails ends the job, unless it may."""
        outputs = {}
        for number, step in enumerate(yaml.safe_load(workflow.read_text())["jobs"]["grade"]["steps"]):
            if step.get("uses", "").startswith("actions/checkout@"):
                wanted = step["with"]
                shutil.copytree(self.repositories[wanted.get("repository", "")], self.workspace / wanted["path"])
            if "run" in step:
                outputs[step["id"]] = self._step(step, self.workspace / f"output-{number}")
        return outputs

    def _step(self, step: Mapping[str, Any], output: Path) -> dict[str, str]:
        script = self.workspace / "step.sh"
        script.write_text(step["run"])
        settings = {
            "GITHUB_WORKSPACE": str(self.workspace),
            "GITHUB_OUTPUT": str(output),
            "GITHUB_STEP_SUMMARY": str(self.workspace / "summary.md"),
            "PATH": f"{self.workspace}:{os.environ['PATH']}",
        }
        command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)]
        done = subprocess.run(
            command, cwd=self.workspace, env=environment(**settings), capture_output=True, text=True, check=False
        )
        with (self.workspace / "log").open("a") as log:
            log.write(done.stdout + done.stderr)
        assert done.returncode == 0 or step.get("continue-on-error"), done.stdout + done.stderr
        lines = output.read_text().splitlines() if output.exists() else []
        return dict(line.split("=", 1) for line in lines)


def test_a_push_is_graded_as_the_workflow_says_by_the_instructors_copy_alone(tmp_path: Path) -> None:
    course = load_course(COURSE)
    (one,) = chosen = [course.find("ex01")]
    pinned, pushed, workspace = tmp_path / "pinned", tmp_path / "pushed", tmp_path / "workspace"
    write(folder.tree(course, chosen), pinned)
    write(classroom.tree(course, chosen, pinned=PINNED), pushed)
    written = pushed / "exercises" / one.slug / one.submit[0]
    shutil.copyfile(one.checks_dir / "wrong/late_binding" / one.submit[0], written)
    # What a student may try in a copy of their own: easier checks, a kit that gives all points, a course without any.
    for path in (pushed / "tests" / one.slug).glob("*.py"):
        path.write_text("raise SystemExit(0)\n")
    (pushed / "grader/commands/main.py").write_text("raise SystemExit(0)\n")
    (pushed / "course.yaml").write_text("no course\n")
    subprocess.run(["git", "init", "-q", str(pushed)], check=True)
    workspace.mkdir()
    (workspace / "sudo").write_text(SUDO)
    (workspace / "sudo").chmod(0o755)
    runner = Runner(workspace, {"": pushed, PINNED.partition("@")[0]: pinned})

    outputs = runner.run(pushed / ".github/workflows/classroom.yml")

    result = json.loads(base64.b64decode(outputs["ex01"]["result"]))
    assert (result["status"], result["max_score"]) == ("fail", 100)
    failed = [test["name"] for test in result["tests"] if test["status"] != "pass"]
    assert [name.split(":")[0].split()[0] for name in failed] == ["async_args", "async_error", "close"], failed
    log = (workspace / "log").read_text()
    assert f"::error file=exercises/{one.slug}/{one.submit[0]}" in log
    assert "85 of 100 points" in (workspace / "summary.md").read_text()
    assert (workspace / "sudo.log").read_text() == "sysctl -q -w kernel.apparmor_restrict_unprivileged_userns=0\n"


def test_a_kit_without_its_projects_files_cannot_be_published(tmp_path: Path) -> None:
    shutil.copytree(Path(grader.__file__).parent, tmp_path / "grader", ignore=shutil.ignore_patterns("__pycache__"))
    script = "from grader.publish import folder; folder.kit_files()"

    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, env=environment()
    )

    assert f"GraderError: The kit was installed without its own project's files, {tmp_path}: publish from there." in (
        done.stderr
    )


# --- line endings ---------------------------------------------------------------------------------------------------


def test_a_clone_for_windows_has_the_same_bytes(course: Tiny, tmp_path: Path) -> None:
    out, clone = tmp_path / "out", tmp_path / "clone"
    course.type("publish", "folder", "--no-audit", "--to", str(out))
    settings = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false", "-c", "core.autocrlf=true")
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "the course"], ["clone", "-q", ".", str(clone)]):
        subprocess.run(["git", *settings, *words], cwd=out, check=True, capture_output=True)

    published = {name: data for name, data in files(out).items() if not name.startswith(".git/")}

    assert published == {name: data for name, data in files(clone).items() if not name.startswith(".git/")}


def test_a_clone_of_the_kit_for_windows_has_scripts_that_run() -> None:
    scripts = [str(path.relative_to(COURSE)) for path in (COURSE / "tools").glob("*.sh")]

    said = subprocess.run(
        ["git", "check-attr", "eol", "--", *scripts], cwd=COURSE, capture_output=True, text=True, check=True
    )

    assert said.stdout.splitlines() == [f"{name}: eol: lf" for name in scripts]
