"""The targets `gradescope`, `prairielearn` and `autolab`: what they publish, and what their entry points answer when
they are run as the platform runs them, on what the platform would have unpacked.

What a platform reads is checked by rules written from its documentation: see the docstrings of the targets.
"""

import dataclasses
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from grader.course.load import load_course
from grader.course.model import Course, Exercise
from grader.errors import CourseError, SubmissionError, UsageError
from grader.grading import on_platform as entry
from grader.grading.finding import find
from grader.publish import autolab, gradescope, prairielearn
from grader.publish.leaks import refuse_leaks
from grader.publish.tree import File, Tree, tarred, text_file
from grader.report.output import Target
from gradings import SLUG, SOLUTION, TINY
from platforms import HIDDEN_NUMBER, course_with_secrets, installed, leaked, on_platform, texts, unpacked

REFERENCE = TINY / SOLUTION
WRONG = TINY / f"tests/{SLUG}/wrong/unscaled/tiny.py"
IMAGE = "somebody/tracegrade"

Build = Callable[..., Tree]
TARGETS: dict[str, Build] = {
    "gradescope": gradescope.tree,
    "prairielearn": lambda course, exercises, **options: prairielearn.tree(course, exercises, image=IMAGE, **options),
    "autolab": autolab.tree,
}


@pytest.fixture(scope="module")
def secret_course(tmp_path_factory: pytest.TempPathFactory) -> Course:
    return course_with_secrets(tmp_path_factory.mktemp("secret"))


@pytest.fixture(scope="module")
def trees() -> dict[str, Tree]:
    """The tiny course, published to each platform."""
    course = load_course(TINY)
    return {name: build(course, course.exercises) for name, build in TARGETS.items()}


# --- what is published --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_of_the_instructors_stands_in_any_published_byte(target: str, secret_course: Course) -> None:
    published = TARGETS[target](secret_course, secret_course.exercises)
    assert leaked(published) == {}
    refuse_leaks(published, secret_course.exercises)


@pytest.mark.parametrize("target", TARGETS)
def test_two_publications_of_the_same_files_are_the_same_bytes(
    target: str, trees: dict[str, Tree], tmp_path: Path
) -> None:
    copied = shutil.copytree(TINY, tmp_path / "elsewhere", ignore=shutil.ignore_patterns("__pycache__", ".grade"))
    for path in copied.rglob("*"):
        path.touch()
    course = load_course(copied)
    assert TARGETS[target](course, course.exercises) == trees[target]


@pytest.mark.parametrize("target", TARGETS)
def test_hidden_sizes_are_carried_only_when_they_are_asked_for(target: str, secret_course: Course) -> None:
    published = TARGETS[target](secret_course, secret_course.exercises, hidden=True)
    found = leaked(published)
    assert set(found.values()) == {str(HIDDEN_NUMBER)}
    assert not [name for name in found if "handout" in name]  # which students receive all the same
    refuse_leaks(published, secret_course.exercises, with_sizes=True)
    with pytest.raises(CourseError, match="hidden"):
        refuse_leaks(published, secret_course.exercises)
    told = {
        name.rpartition("/")[2]
        for name, data in texts({name: file.data for name, file in published.items()})
        if not name.endswith((".tar", ".zip"))
        and re.search(rb'--deadline [0-9]+ --hidden( &&|$)|"--hidden"$', data, re.MULTILINE)
    }
    assert told == {{"gradescope": "run_autograder", "prairielearn": "info.json", "autolab": "driver.sh"}[target]}


@pytest.mark.parametrize("target", TARGETS)
def test_hidden_sizes_that_are_not_there_cannot_be_published(target: str) -> None:
    course = load_course(TINY)
    with pytest.raises(UsageError, match=r"--hidden.*has hidden sizes"):
        TARGETS[target](course, course.exercises, hidden=True)


def test_a_leak_inside_of_a_tar_is_found(secret_course: Course) -> None:
    tar = File(tarred({"notes/sizes.txt": text_file(f"{HIDDEN_NUMBER} requests\n")}))
    with pytest.raises(CourseError, match=r"lab\.tar/notes/sizes\.txt: the hidden size requests"):
        refuse_leaks({"lab.tar": tar}, secret_course.exercises)


def test_scripts_are_executable_and_have_no_syntax_error(trees: dict[str, Tree], tmp_path: Path) -> None:
    scripts: dict[Path, str] = {}
    for name, archive in (("gradescope", "ex90_autograder.zip"), ("autolab", f"{SLUG}/autograde.tar")):
        folder = unpacked(trees[name], archive, tmp_path / name)
        scripts |= {path: "bash" for path in (folder / "run_autograder", folder / "setup.sh") if path.exists()}
        scripts |= dict.fromkeys(folder.glob("tracegrade/driver.sh"), "sh")
    (tmp_path / "entrypoint").write_bytes(trees["prairielearn"]["image/entrypoint"].data)
    assert trees["prairielearn"]["image/entrypoint"].executable
    assert {path.name for path in scripts} == {"run_autograder", "setup.sh", "driver.sh"}
    assert all(path.stat().st_mode & 0o100 for path in scripts)
    for path, shell in {**scripts, tmp_path / "entrypoint": "sh"}.items():
        subprocess.run([shell, "-n", str(path)], check=True)


def test_prairielearns_question_has_the_keys_that_its_schema_asks_for(trees: dict[str, Tree]) -> None:
    info = json.loads(trees["prairielearn"][f"questions/{SLUG}/info.json"].data)
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}", info["uuid"])
    assert (info["type"], info["gradingMethod"], info["title"]) == ("v3", "External", "a tiny server")
    grading = info["externalGradingOptions"]
    assert grading == {
        "image": f"{IMAGE}:{trees['prairielearn']['image/tracegrade/kit.digest'].data[:12].decode()}",
        "entrypoint": ["/opt/tracegrade-entrypoint"],
        "timeout": 600,
        "enableNetworking": False,
    }
    question = trees["prairielearn"][f"questions/{SLUG}/question.html"].data.decode()
    assert 'file-names="tiny.py"' in question and "{" not in question
    handout = re.search(r'file-name="(\S+)"', question)
    assert handout and f"questions/{SLUG}/clientFilesQuestion/{handout[1]}" in trees["prairielearn"]


@pytest.mark.parametrize("image", ["tracegrade", "somebody/tracegrade:1", "Somebody/tracegrade", "a/b c", ""])
def test_an_image_that_cannot_be_pushed_is_refused(image: str) -> None:
    course = load_course(TINY)
    with pytest.raises(UsageError, match="write OWNER/NAME"):
        prairielearn.tree(course, course.exercises, image=image)


def test_autolabs_properties_are_those_that_it_imports(trees: dict[str, Tree]) -> None:
    properties = yaml.safe_load(trees["autolab"][f"{SLUG}/{SLUG}.yml"].data)
    general = properties["general"]
    assert (general["name"], general["handin_filename"], general["handin_directory"]) == (SLUG, "tiny.py", "handin")
    assert f"{SLUG}/{general['handout']}" in trees["autolab"]
    assert [(one["name"], one["max_score"]) for one in properties["problems"]] == [(SLUG, 100.0)]
    assert re.fullmatch("tracegrade_[0-9a-f]{12}", properties["autograder"]["autograde_image"])
    assert 10 <= properties["autograder"]["autograde_timeout"] <= 900


def test_a_handout_is_a_students_repository(trees: dict[str, Tree], tmp_path: Path) -> None:
    top = unpacked(trees["autolab"], f"{SLUG}/{SLUG}-handout.tar", tmp_path / "lab") / f"{SLUG}-handout"
    assert load_course(top).find("ex90").digest == load_course(TINY).find("ex90").digest
    assert (top / "Makefile").is_file()
    stub = (top / f"exercises/{SLUG}/tiny.py").read_text()
    assert "YOUR CODE HERE" in stub and "BEGIN SOLUTION" not in stub


# --- Gradescope ---------------------------------------------------------------------------------------------------

_TEST = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "output": {"type": "string"},
        "score": {"type": "number"},
        "max_score": {"type": "number"},
        "status": {"enum": ["passed", "failed"]},
    },
}
GRADESCOPE = {
    "type": "object",
    "properties": {
        "score": {"type": "number"},
        "output": {"type": "string"},
        "output_format": {"enum": ["text", "html", "simple_format", "md", "ansi"]},
        "execution_time": {"type": "number"},
        "tests": {"type": "array", "items": _TEST},
    },
    "required": ["output"],
}


@dataclasses.dataclass(frozen=True)
class Gradescope:
    """What Gradescope has built from the zip."""

    bwrap: str
    home: Path

    def grade(self, submission: Path, **options: Any) -> dict[str, Any]:
        shutil.rmtree(self.home / "results", ignore_errors=True)
        shutil.rmtree(self.home / "submission", ignore_errors=True)
        shutil.copytree(submission, self.home / "submission")
        done = on_platform(
            self.bwrap, {"/autograder": self.home}, "/autograder/run_autograder", at="/autograder", **options
        )
        assert done.returncode == 0, done.stdout + done.stderr
        results: dict[str, Any] = json.loads((self.home / "results/results.json").read_text())
        jsonschema.validate(results, GRADESCOPE)
        return results


def _gradescope(tree: Tree, folder: Path, bwrap: str) -> Gradescope:
    source = unpacked(tree, "ex90_autograder.zip", folder / "source")
    installed(source, "/autograder/source")
    shutil.copy(source / "run_autograder", folder)
    return Gradescope(bwrap, folder)


@pytest.fixture(scope="module")
def on_gradescope(trees: dict[str, Tree], tmp_path_factory: pytest.TempPathFactory, bwrap: str) -> Gradescope:
    return _gradescope(trees["gradescope"], tmp_path_factory.mktemp("gradescope"), bwrap)


@pytest.fixture
def handed_in(tmp_path: Path) -> Path:
    folder = tmp_path / "handed_in"
    folder.mkdir()
    return folder


def test_gradescope_gets_the_score_of_a_repository_with_the_exercise_in_it(
    on_gradescope: Gradescope, handed_in: Path
) -> None:
    (handed_in / f"exercises/{SLUG}").mkdir(parents=True)
    shutil.copy(REFERENCE, handed_in / f"exercises/{SLUG}")
    results = on_gradescope.grade(handed_in)
    assert results["score"] == sum(test["score"] for test in results["tests"]) == 100
    assert results["extra_data"]["isolation"] == "boxed" and results["extra_data"]["official"] == "yes"


def test_gradescope_gets_no_score_and_the_cure_where_a_file_is_missing(
    on_gradescope: Gradescope, handed_in: Path
) -> None:
    (handed_in / "tini.py").write_text("")
    results = on_gradescope.grade(handed_in)
    assert "score" not in results and results["tests"] == []
    assert "is refused, and this is no zero: What was handed in: tiny.py is missing" in results["output"]
    assert "Did you mean tini.py?" in results["output"]
    assert results["extra_data"]["graded_at"].endswith("Z")


def test_gradescope_gets_no_score_where_it_refuses_a_box(on_gradescope: Gradescope, handed_in: Path) -> None:
    shutil.copy(REFERENCE, handed_in)
    results = on_gradescope.grade(handed_in, boxes=False)
    assert "score" not in results and not any("score" in test for test in results.get("tests", []))
    assert "no verdict" in results["output"] and "only in a box" in results["output"]


def test_gradescope_grades_without_a_box_for_an_instructor_who_trusts(
    handed_in: Path, tmp_path: Path, bwrap: str
) -> None:
    course = load_course(TINY)
    shutil.copy(WRONG, handed_in)
    trusting = _gradescope(gradescope.tree(course, course.exercises, trust=True), tmp_path / "trusting", bwrap)
    results = trusting.grade(handed_in, boxes=False)
    assert results["score"] == 80
    assert results["extra_data"]["isolation"] == "bare" and results["extra_data"]["official"] == "no"
    assert "Not official" in results["output"]


def test_gradescope_gets_an_answer_from_an_image_whose_build_failed(
    trees: dict[str, Tree], handed_in: Path, tmp_path: Path, bwrap: str
) -> None:
    source = unpacked(trees["gradescope"], "ex90_autograder.zip", tmp_path / "autograder/source")
    shutil.copy(source / "run_autograder", source.parent)
    results = Gradescope(bwrap, source.parent).grade(handed_in)
    assert set(results) == {"output", "output_format"} and "no zero" in results["output"]


# --- PrairieLearn -------------------------------------------------------------------------------------------------

PRAIRIELEARN = {
    "oneOf": [
        {
            "properties": {
                "gradable": {"const": True},
                "score": {"type": "number", "minimum": 0, "maximum": 1},
                "tests": {"type": "array", "items": {"required": ["name", "points", "max_points"]}},
            },
            "required": ["score"],
        },
        {
            "properties": {
                "gradable": {"const": False},
                "format_errors": {"type": "array", "items": {"type": "string"}},
            },
            "required": ["gradable", "format_errors"],
            "not": {"required": ["score"]},
        },
    ]
}


@pytest.fixture(scope="module")
def image(trees: dict[str, Tree], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """/opt of PrairieLearn's image."""
    return _image(trees["prairielearn"], tmp_path_factory.mktemp("image") / "opt")


def _image(tree: Tree, folder: Path) -> Path:
    """What the Dockerfile copies to /opt, with the kit installed."""
    for name, file in tree.items():
        if name.startswith("image/tracegrade/"):
            path = folder / name.removeprefix("image/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(file.data)
            path.chmod(file.mode)
    installed(folder / "tracegrade", "/opt/tracegrade")
    return folder


def _prairielearn(
    tree: Tree, image: Path, submission: Path, folder: Path, bwrap: str, **options: Any
) -> dict[str, Any]:
    """What PrairieLearn reads of one job (buildDirectory in apps/prairielearn/src/lib/externalGraderCommon.ts)."""
    question = f"questions/{SLUG}/"
    for name, file in tree.items():
        if name.startswith(f"{question}tests/"):
            path = folder / name.removeprefix(question)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(file.data)
    shutil.copytree(submission, folder / "student")
    entrypoint = folder.parent / "entrypoint"
    entrypoint.write_bytes(tree["image/entrypoint"].data)
    entrypoint.chmod(0o755)
    mounts = {
        "/grade": folder,
        "/opt/tracegrade": image / "tracegrade",
        "/opt/tracegrade-entrypoint": entrypoint,
    }
    command = json.loads(tree[f"{question}info.json"].data)["externalGradingOptions"]["entrypoint"]
    done = on_platform(bwrap, mounts, *command, **options)
    assert done.returncode == 0, done.stdout + done.stderr  # else PrairieLearn reads no result at all
    data = (folder / "results/results.json").read_bytes()
    assert len(data) < 1_000_000
    results: dict[str, Any] = json.loads(data)
    jsonschema.validate(results, PRAIRIELEARN)
    return results


def test_prairielearn_gets_the_score_of_a_file_that_was_uploaded(
    trees: dict[str, Tree], image: Path, handed_in: Path, tmp_path: Path, bwrap: str
) -> None:
    shutil.copy(WRONG, handed_in)
    results = _prairielearn(trees["prairielearn"], image, handed_in, tmp_path / "job", bwrap)
    assert results["gradable"] is True and results["score"] == pytest.approx(0.8)


def test_prairielearn_takes_no_attempt_for_what_could_not_be_graded(
    trees: dict[str, Tree], image: Path, handed_in: Path, tmp_path: Path, bwrap: str
) -> None:
    refused = _prairielearn(trees["prairielearn"], image, handed_in, tmp_path / "refused", bwrap)
    assert "tiny.py is missing" in refused["format_errors"][0]
    shutil.copy(REFERENCE, handed_in)
    no_box = _prairielearn(trees["prairielearn"], image, handed_in, tmp_path / "no_box", bwrap, boxes=False)
    assert "There is no verdict" in no_box["format_errors"][0]


def test_prairielearns_image_of_another_kit_grades_nothing(
    trees: dict[str, Tree], image: Path, handed_in: Path, tmp_path: Path, bwrap: str
) -> None:
    other = {**trees["prairielearn"], f"questions/{SLUG}/tests/kit.digest": text_file("of another kit\n")}
    results = _prairielearn(other, image, handed_in, tmp_path / "job", bwrap)
    assert "another version of the kit" in results["format_errors"][0]


# --- Autolab ------------------------------------------------------------------------------------------------------


def autolab_scores(output: str) -> dict[str, float | None]:
    """As Autolab reads them (parseAutoresult): the last line, each bare word before a colon put into quotes."""
    line = output.rstrip().splitlines()[-1]
    scores: dict[str, float | None] = json.loads(re.sub(r"([a-zA-Z0-9]+):", r'"\1":', line))["scores"]
    assert set(scores) == {SLUG}  # the one problem that the lab has
    return scores


def _autolab(tree: Tree, image: Path | None, submission: Path, folder: Path, bwrap: str, **options: Any) -> str:
    """What Autolab reads of one job: Tango puts three files into a folder and types `make` (autodriver.c), standard
    output and error in one."""
    folder.mkdir()
    (folder / "Makefile").write_bytes(tree[f"{SLUG}/autograde-Makefile"].data)
    (folder / "autograde.tar").write_bytes(tree[f"{SLUG}/autograde.tar"].data)
    properties = yaml.safe_load(tree[f"{SLUG}/{SLUG}.yml"].data)
    shutil.copy(submission, folder / properties["general"]["handin_filename"])
    mounts = {"/home/autograde/autolab": folder}
    if image is not None:
        mounts["/opt/tracegrade"] = image / "tracegrade"
    done = on_platform(bwrap, mounts, "sh", "-c", "make 2>&1", at="/home/autograde/autolab", **options)
    return done.stdout


def test_autolab_gets_the_score_in_the_last_line(
    trees: dict[str, Tree], image: Path, tmp_path: Path, bwrap: str
) -> None:
    output = _autolab(trees["autolab"], image, WRONG, tmp_path / "job", bwrap)
    assert autolab_scores(output) == {SLUG: 80}
    assert "scaled" in output


def test_autolab_keeps_no_score_where_there_is_no_verdict(
    trees: dict[str, Tree], image: Path, tmp_path: Path, bwrap: str
) -> None:
    no_box = _autolab(trees["autolab"], image, REFERENCE, tmp_path / "no_box", bwrap, boxes=False)
    assert autolab_scores(no_box) == {SLUG: None}
    assert "There is no verdict" in no_box
    broken = {**trees["autolab"], f"{SLUG}/autograde.tar": text_file("no tar\n")}
    output = _autolab(broken, image, REFERENCE, tmp_path / "broken", bwrap)
    assert autolab_scores(output) == {SLUG: None}


def test_autolab_keeps_no_score_and_says_why_a_file_was_refused(
    trees: dict[str, Tree], image: Path, tmp_path: Path, bwrap: str
) -> None:
    (tmp_path / "tiny.py").write_bytes(b"\xff\xfe")
    output = _autolab(trees["autolab"], image, tmp_path / "tiny.py", tmp_path / "job", bwrap)
    assert autolab_scores(output) == {SLUG: None}
    assert "is refused, and this is no zero: tiny.py is UTF-16" in output and "Save as UTF-8" in output


@pytest.mark.parametrize("target", ["gradescope", "prairielearn", "autolab"])
def test_each_readme_says_what_becomes_of_who_is_refused_ungraded_and_absent(
    trees: dict[str, Tree], target: str
) -> None:
    page = trees[target]["README.md"].data.decode()
    _, _, rows = page.partition("## Refused, or no verdict")
    for word in ("what was handed in cannot be graded", "the machine or the kit broke", "nothing was handed in"):
        assert f"| {word}" in rows


# --- the step that all three share --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tiny() -> Exercise:
    return load_course(TINY).find("ex90")


@pytest.mark.parametrize(
    ("files", "found"),
    [
        (["tiny.py"], "."),
        (["tiny.py", f"exercises/{SLUG}/tiny.py"], "."),
        (["work/tiny.py", "notes.txt"], "work"),
        ([f"exercises/{SLUG}/tiny.py", "exercises/ex91_other/tiny.py"], f"exercises/{SLUG}"),
        ([f"repository/exercises/{SLUG}/tiny.py", "repository/tiny.py"], f"repository/exercises/{SLUG}"),
        (["a/tiny.py", "a/old/tiny.py"], "a"),
        (["work.zip", "notes.txt"], "work.zip"),
        (["one.zip", "two.zip"], "."),
        ([".git/tiny.py", "__MACOSX/tiny.py"], "."),
        (["tiny.txt"], "."),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, list) else None,
)
def test_the_files_are_found_where_students_put_them(
    files: list[str], found: str, handed_in: Path, tiny: Exercise
) -> None:
    for name in files:
        (handed_in / name).parent.mkdir(parents=True, exist_ok=True)
        (handed_in / name).touch()
    assert find(handed_in, tiny.submit, tiny.slug) == handed_in / found


def test_a_link_to_a_folder_is_not_followed(handed_in: Path, tmp_path: Path, tiny: Exercise) -> None:
    (tmp_path / "checks").mkdir()
    (tmp_path / "checks/tiny.py").touch()
    (handed_in / "work").symlink_to(tmp_path / "checks")
    assert find(handed_in, tiny.submit, tiny.slug) == handed_in


def test_a_folder_that_is_closed_to_us_hides_no_other(tmp_path: Path, tiny: Exercise) -> None:
    with tempfile.TemporaryDirectory() as name:  # pytest's own folders let nobody but their owner through
        top = Path(name)
        top.chmod(0o755)
        (top / "work").mkdir(mode=0o755)
        (top / "work/tiny.py").touch()
        (top / "closed").mkdir(mode=0)
        before = os.geteuid()
        os.seteuid(65534 if before == 0 else before)
        try:
            found = find(top, tiny.submit, tiny.slug)
        finally:
            os.seteuid(before)
        (top / "closed").chmod(0o700)
    assert found == top / "work"


def test_two_folders_that_may_be_meant_are_named(handed_in: Path, tiny: Exercise) -> None:
    for name in ("first", "second"):
        (handed_in / name).mkdir()
        (handed_in / name / "tiny.py").touch()
    with pytest.raises(SubmissionError, match="first, second"):
        find(handed_in, tiny.submit, tiny.slug)


def _job(platform: str, submission: Path, output: Path, **changes: Any) -> entry.Job:
    where = Target(str(output))
    job = entry.Job(platform=platform, course=TINY, handed_in=submission, output=where, deadline_s=120)
    return dataclasses.replace(job, **changes)


def test_a_grading_that_takes_too_long_is_no_verdict(tmp_path: Path) -> None:
    output = tmp_path / "results.json"
    entry.run(_job("gradescope", REFERENCE, output, deadline_s=0.01))
    results = json.loads(output.read_text())
    assert "score" not in results and "had not ended after 0.01 s" in results["output"]


def test_a_mistake_of_the_instructors_is_no_zero(tmp_path: Path) -> None:
    output = tmp_path / "results.json"
    entry.run(_job("gradescope", REFERENCE, output, course=tmp_path))
    assert "score" not in json.loads(output.read_text())
    entry.run(_job("gradescope", REFERENCE, output, hidden=True))
    results = json.loads(output.read_text())
    assert "score" not in results and "has no hidden sizes" in results["output"]


def test_a_course_of_several_exercises_is_refused(tmp_path: Path) -> None:
    output = tmp_path / "results.json"
    entry.run(_job("prairielearn", REFERENCE, output, course=TINY.parents[2]))
    results = json.loads(output.read_text())
    assert results["gradable"] is False and "6 exercises" in results["message"]
