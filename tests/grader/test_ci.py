"""The files that make other machines run this project: they can be read, name what is there, and their steps that can
be done here are done. Their form was held against the public schemas of GitHub's workflows and GitLab CI.
"""

import os
import re
import shlex
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import yaml

from grader.course.load import load_course
from grader.doctor.finding import DOCKER_OPTIONS
from grader.publish import folder
from gradings import TINY
from places import ROOT

WORKFLOW = ROOT / ".github/workflows/ci.yml"
GITLAB = ROOT / ".gitlab-ci.yml"
DOCKERFILE = ROOT / "tools/docker/Dockerfile"


def _read(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def _steps() -> Iterator[tuple[str, str]]:
    """Each job's name and each thing that it runs."""
    for job, does in _read(WORKFLOW)["jobs"].items():
        for step in does["steps"]:
            if "run" in step:
                yield job, step["run"]


def _gitlab_lines(course: Any) -> list[str]:
    jobs = [one for one in course.values() if isinstance(one, dict)]
    return [line for one in jobs for part in ("before_script", "script") for line in one.get(part, [])]


def test_every_line_is_good_shell() -> None:
    published = folder.tree(load_course(TINY), load_course(TINY).exercises)[".gitlab-ci.yml"].data.decode()
    lines = [line for _, line in _steps()] + _gitlab_lines(_read(GITLAB)) + _gitlab_lines(yaml.safe_load(published))
    assert len(lines) > 10
    for line in lines:
        outside = re.sub(r"\$\{\{.*?\}\}", "x", line)  # GitHub's own expressions are replaced before a shell sees them
        subprocess.run(["bash", "-n", "-c", outside], check=True)


def test_the_pythons_are_those_that_are_supported() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pythons = _read(WORKFLOW)["jobs"]["ubuntu"]["strategy"]["matrix"]["python"]
    assert project["requires-python"] == f">={pythons[0]}"
    named = re.findall(r"python3\.\d+", re.search(r"for name in (.*); do", (ROOT / "tools/setup.sh").read_text())[1])  # type: ignore[index]
    assert sorted(f"python{one}" for one in pythons) == sorted(named)


def test_containers_are_given_what_doctor_says() -> None:
    assert _read(WORKFLOW)["jobs"]["debian"]["env"]["FLAGS"].split() == DOCKER_OPTIONS.split()


def test_a_namespace_is_allowed_before_anything_is_graded() -> None:
    for job in ("ubuntu", "debian"):
        runs = [run for name, run in _steps() if name == job]
        sysctl = next(number for number, run in enumerate(runs) if "apparmor_restrict_unprivileged_userns=0" in run)
        graded = next(number for number, run in enumerate(runs) if "doctor" in run or " test" in run)
        assert sysctl < graded


@pytest.mark.parametrize("isolation", ["true", "false"])
def test_a_machine_without_a_box_fails_the_build(isolation: str) -> None:
    """The end of the step is run as it stands, behind a doctor that says one or the other."""
    asked = [run.partition(" | ")[2] for _, run in _steps() if "doctor --json" in run]
    assert len(asked) == 2
    for command in asked:
        answer = f'{{"isolation_possible": {isolation}}}'
        done = subprocess.run(["bash", "-c", f"echo {shlex.quote(answer)} | {command}"], check=False)
        assert (done.returncode == 0) == (isolation == "true")


def test_gitlab_grades_every_exercise_and_keeps_its_report(tmp_path: Path) -> None:
    job = _read(GITLAB)["references"]
    assert job["parallel"]["matrix"] == [{"EXERCISE": [one.number for one in load_course(ROOT).exercises]}]
    report = tmp_path / job["artifacts"]["reports"]["junit"]
    command = job["script"][-1].replace(report.name, str(report)).replace(".venv/bin/grade", "python -m grader")
    environment = {**os.environ, "EXERCISE": "ex01", "PATH": f"{ROOT}/.venv/bin:{os.environ['PATH']}"}
    subprocess.run(["bash", "-c", command], check=True, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    suite = ET.parse(report).getroot()
    assert int(suite.attrib["tests"]) > 5 and suite.attrib["failures"] == suite.attrib["errors"] == "0"


def test_a_students_repository_grades_each_push_on_gitlab() -> None:
    course = load_course(TINY)
    published = folder.tree(course, course.exercises)
    job = yaml.safe_load(published[".gitlab-ci.yml"].data)["grade"]
    assert job["parallel"]["matrix"] == [{"EXERCISE": ["ex90"]}]
    assert job["artifacts"]["reports"]["junit"] in job["script"][-1]
    assert "make setup" in job["before_script"] and "Makefile" in published


def test_the_image_holds_what_setup_needs_and_nothing_that_it_makes() -> None:
    text = DOCKERFILE.read_text()
    for package in ("strace", "bubblewrap", "libseccomp2", "python3-venv"):
        assert re.search(rf"\b{package}\b", text)
    ignored = (DOCKERFILE.parent / "Dockerfile.dockerignore").read_text().split()
    assert {".venv", ".setup.lock", ".grade", ".git"} <= set(ignored)
