"""docs/instructors.md, typed: every command of the page in its order, in a clone, with a class of two students."""

import csv
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from gradings import COURSE, environment

PAGE = COURSE / "docs" / "instructors.md"
_BLOCK = re.compile(r"^```\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SLUG = "ex01_callbacks"
# Fails one check. What the page writes in capitals, a person fills in.
_BOB = f"tests/{_SLUG}/wrong/late_binding/dispatcher.py"
_FILLED_IN = {"OWNER/REPOSITORY@COMMIT": f"an-instructor/servers@{'0' * 40}"}


def blocks() -> list[str]:
    """What is typed, block by block: not those that show files, as in "3. Collect"."""
    found = [block for block in _BLOCK.findall(PAGE.read_text()) if not block.startswith("submissions/")]
    for capitals, value in _FILLED_IN.items():
        found = [block.replace(capitals, value) for block in found]
    return found


def clone(to: Path) -> Path:
    """What is committed or about to be, with some of ex01's wrong submissions."""
    listed = subprocess.run(
        ["git", "-C", str(COURSE), "ls-files", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        text=True,
        check=True,
    )
    for name in listed.stdout.splitlines():
        if (COURSE / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(COURSE / name, to / name)
    wrong = to / "tests" / _SLUG / "wrong"
    promises = yaml.safe_load((wrong / "expected.yaml").read_text())
    checks = yaml.safe_load((to / "exercises" / _SLUG / "exercise.yaml").read_text())["checks"]
    counted = {check["name"] for check in checks if "budgets" in check}  # the audit looks for their figures
    kept: dict[str, object] = {}
    proven: set[str] = set()
    for fault, promise in promises["wrong"].items():
        if set(promise["red"]) & counted or set(promise["red"]) - proven:
            proven |= set(promise["red"])
            kept[fault] = promise
        else:
            shutil.rmtree(wrong / fault)
    (wrong / "expected.yaml").write_text(yaml.safe_dump({**promises, "wrong": kept}))
    (wrong.parent / "rules.yaml").unlink()  # they name the others
    return to


@pytest.mark.timeout(900)  # it sets up an environment with nbgrader and Jupyter
def test_a_semester_as_the_page_types_it(bwrap: str, strace: str, tmp_path: Path) -> None:
    course = clone(tmp_path / "course")
    for student, file in (("ada", f"solutions/{_SLUG}/dispatcher.py"), ("bob", _BOB)):
        (course / "submissions" / student).mkdir(parents=True)
        shutil.copy2(COURSE / file, course / "submissions" / student / "dispatcher.py")
    # A failure of the submission or of the machine's examination is no failure of a command: 1. Others are.
    guarded = 'failed() { code=$?; [ $code -eq 1 ] || { echo "code $code" >&2; exit $code; }; }\ntrap failed ERR\n'
    script = guarded + "\n".join(blocks())

    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-c", script],
        cwd=course,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode in (0, 1), done.stdout[-3000:] + done.stderr[-3000:]
    assert not re.search(r"(?m)^grade: |command not found|No such file", done.stderr), done.stderr[-3000:]
    reports = {name: json.loads((course / "results" / name / "ex01.json").read_text()) for name in ("ada", "bob")}
    scores = {name: report["score"] for name, report in reports.items()}
    assert scores == {"ada": 100, "bob": 85}
    assert {report["sizes"] for report in reports.values()} == {"hidden"}
    with (course / "grades.csv").open() as exported:
        assert {row["student_id"]: float(row["score"]) for row in csv.DictReader(exported)} == scores
    for name in ("canvas.csv", "moodle.csv"):
        assert {"ada", "bob"} <= set(re.findall(r"\w+", (course / "results" / name).read_text()))
    assert "85 of 100" in (course / "results/bob.txt").read_text()
    published = json.loads((tmp_path / "students/published.json").read_text())
    assert published["audited"] and (tmp_path / "template/.github/workflows/classroom.yml").exists()
    assert any(path.suffix in {".strace", ".output"} for path in (course / "out").iterdir())
    assert "same checks" in done.stdout
