"""Publishing again: what was published before is replaced, what is a person's stays, and what changes is told."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from grader.publish.earlier import ABOUT
from grader.publish.tree import scratch_beside
from gradings import EXERCISE, HANDOUT, SLUG, Done, Tiny, tiny_course

_LIMITS = f"exercises/{SLUG}/exercise.yaml"


@pytest.fixture
def course(tmp_path: Path) -> Tiny:
    return tiny_course(tmp_path)


@pytest.fixture
def out(course: Tiny, tmp_path: Path) -> Path:
    """The course, published."""
    folder = tmp_path / "out"
    assert publish(course, folder).code == 0
    return folder


def publish(course: Tiny, to: Path, *words: str, target: str = "folder") -> Done:
    return course.type("publish", target, "--no-audit", "--to", str(to), *words)


def record(**words: object) -> str:
    about = {"schema": "tracegrade/published/1", "kit_version": "1", "target": "folder", **words}
    return json.dumps(about)


def git(folder: Path, *words: str) -> str:
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    command = ["git", *who, "-C", str(folder), *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def retune(course: Tiny) -> None:
    """Another limit, another sentence, and a file that is no longer given out."""
    file = course.root / EXERCISE
    listing = yaml.safe_load(file.read_text())
    listing["summary"] = "Another summary."
    budget = next(budget for check in listing["checks"] for budget in check.get("budgets", ()))
    budget["limit"] = budget["limit"] + 1
    file.write_text(yaml.safe_dump(listing, sort_keys=False))


def test_an_empty_repository_is_published_into(course: Tiny, tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "out")

    done = publish(course, tmp_path / "out")

    assert done.code == 0, done.err
    assert (tmp_path / "out" / HANDOUT).exists() and git(tmp_path / "out", "status", "--porcelain")


def test_the_same_again_changes_nothing(course: Tiny, out: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}

    done = publish(course, out)

    assert done.code == 0, done.err
    assert "What changes:\nnothing\n" in done.out
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()} == before


def test_what_would_change_is_told_and_not_written_without_update(course: Tiny, out: Path) -> None:
    before = (out / _LIMITS).read_bytes()
    retune(course)

    done = publish(course, out)

    assert done.code == 2 and "--update" in done.err
    assert 'summary: "' in done.err and '-> "Another summary."' in done.err
    assert (out / _LIMITS).read_bytes() == before


def test_an_update_replaces_removes_and_leaves_what_is_somebodys(course: Tiny, out: Path) -> None:
    git(out, "init", "-q")
    for mine in ("gradebook.db", "submitted/ada/ex90/ex90.ipynb", f"exercises/{SLUG}/notes.txt"):
        (out / mine).parent.mkdir(parents=True, exist_ok=True)
        (out / mine).write_text("mine\n")
    record = json.loads((out / ABOUT).read_text())
    gone = out / "exercises/ex01_gone/README.md"
    gone.parent.mkdir()
    gone.write_bytes((out / HANDOUT).read_bytes())
    record["files"]["exercises/ex01_gone/README.md"] = record["files"][HANDOUT]
    (out / ABOUT).write_text(json.dumps(record))
    retune(course)

    done = publish(course, out, "--update")

    assert done.code == 0, done.err
    assert (out / _LIMITS).read_bytes() == (course.root / EXERCISE).read_bytes()
    assert not gone.parent.exists()
    assert (out / "gradebook.db").read_text() == (out / "submitted/ada/ex90/ex90.ipynb").read_text() == "mine\n"
    assert (out / f"exercises/{SLUG}/notes.txt").exists() and (out / ".git").is_dir()
    assert ".limit: " in done.out and '-> "Another summary."' in done.out
    assert "no longer published, removed:\n  exercises/ex01_gone/README.md" in done.out
    assert publish(course, out).code == 0


def test_a_fresh_clone_is_updated_also_with_other_line_ends(course: Tiny, out: Path, tmp_path: Path) -> None:
    git(out, "init", "-q")
    git(out, "add", "-A")
    git(out, "commit", "-qm", "published")
    git(tmp_path, "clone", "-q", str(out), "clone")
    for name in (_LIMITS, "README.md"):  # as core.autocrlf leaves them
        file = tmp_path / "clone" / name
        file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    retune(course)

    done = publish(course, tmp_path / "clone", "--update")

    assert done.code == 0, done.err
    assert (tmp_path / "clone" / _LIMITS).read_bytes() == (course.root / EXERCISE).read_bytes()
    assert "summary" in done.out and "points" not in done.out


@pytest.mark.parametrize("how", ["edited", "link", "link_to_folder", "in_the_way", "file_for_folder"])
def test_what_a_person_edited_or_added_is_named_and_nothing_is_written(
    course: Tiny, out: Path, tmp_path: Path, how: str
) -> None:
    handouts = course.root / "exercises" / SLUG
    named = _LIMITS
    if how == "edited":
        (out / _LIMITS).write_text("mine\n")
    elif how == "link":
        (tmp_path / "elsewhere").write_bytes((out / _LIMITS).read_bytes())
        (out / _LIMITS).unlink()
        (out / _LIMITS).symlink_to(tmp_path / "elsewhere")
    elif how == "link_to_folder":
        (out / "exercises").rename(tmp_path / "elsewhere")
        (out / "exercises").symlink_to(tmp_path / "elsewhere")
    elif how == "in_the_way":
        named = f"exercises/{SLUG}/README.ko.md"
        (out / named).mkdir()
        (out / named / "mine").write_text("mine\n")
        (handouts / "README.ko.md").write_text("# 작은\n")
    else:
        named = "tools/setup.sh"
        shutil.rmtree(out / "tools")
        (out / "tools").write_text("mine\n")
    retune(course)
    before = (out / ABOUT).read_bytes()

    done = publish(course, out, "--update")

    assert done.code == 2, done.out
    assert f"\n  {named}\n" in done.err and "Move these files away" in done.err
    assert (out / ABOUT).read_bytes() == before


def test_a_file_that_a_person_deleted_comes_back(course: Tiny, out: Path) -> None:
    (out / HANDOUT).unlink()

    done = publish(course, out, "--update")

    assert done.code == 0 and f"new:\n  {HANDOUT}" in done.out
    assert (out / HANDOUT).read_bytes() == (course.root / HANDOUT).read_bytes()


def test_a_folder_takes_the_place_of_a_file_that_was_published(course: Tiny, out: Path) -> None:
    record = json.loads((out / ABOUT).read_text())
    shutil.rmtree(out / "tools")
    (out / "tools").write_bytes((out / HANDOUT).read_bytes())
    record["files"]["tools"] = record["files"][HANDOUT]
    del record["files"]["tools/setup.sh"]
    (out / ABOUT).write_text(json.dumps(record))

    done = publish(course, out, "--update")

    assert done.code == 0, done.err
    assert (out / "tools/setup.sh").is_file()


def test_settings_that_are_an_instructors_to_edit_stay(course: Tiny, tmp_path: Path) -> None:
    (course.root / "exercises" / SLUG / "README.md").write_text("# Tiny\n")
    out = tmp_path / "nb"
    assert publish(course, out, target="nbgrader").code == 0
    with (out / "nbgrader_config.py").open("a") as settings:
        settings.write("# mine\n")
    retune(course)

    done = publish(course, out, "--update", target="nbgrader")

    assert done.code == 0, done.err
    assert "left as they are:\n  nbgrader_config.py" in done.out
    assert (out / "nbgrader_config.py").read_text().endswith("# mine\n")
    assert "Another summary" in (out / f"source/ex90/course/{_LIMITS}").read_text()


@pytest.mark.parametrize(
    ("record", "told"),
    [
        (None, "no published.json says"),
        ("{", "no record of a publication"),
        ("[]", "no record of a publication"),
        (record(schema="tracegrade/published/2"), "another kit wrote it"),
        (record(target="autolab"), "for 'autolab', not for folder"),
        (record(), "an older kit wrote it"),
        (record(files={"../mine": ""}), "is no path"),
        (record(files={"/mine": ""}), "is no path"),
        (record(files={"a/../../mine": ""}), "is no path"),
        (record(files={".git/config": ""}), "is no path"),
        (record(files={"a//b": ""}), "is no path"),
        (record(files={"": ""}), "is no path"),
        (record(files={"a\nb": ""}), "is no path"),
    ],
)
def test_a_record_that_says_nothing_sound_is_refused(
    course: Tiny, tmp_path: Path, record: str | None, told: str
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine").write_text("mine\n")
    if record is not None:
        (out / ABOUT).write_text(record)

    done = publish(course, out, "--update")

    assert done.code == 2 and told in done.err
    assert sorted(path.name for path in out.iterdir()) == sorted(["mine"] + [ABOUT] * (record is not None))


def test_an_update_that_was_killed_halfway_is_done_by_the_next(course: Tiny, out: Path) -> None:
    """The record is written last: files that are new already are no person's edits."""
    retune(course)
    shutil.copyfile(course.root / EXERCISE, out / _LIMITS)

    done = publish(course, out, "--update")

    assert done.code == 0, done.err
    assert json.loads((out / ABOUT).read_text())["files"] != {} and publish(course, out).code == 0


def test_two_updates_at_a_time_are_one_after_another(course: Tiny, out: Path) -> None:
    from grader.publish.tree import locked

    retune(course)
    with locked(out):
        done = publish(course, out, "--update")

    assert done.code == 2 and "Publish again" in done.err
    assert publish(course, out, "--update").code == 0


def test_what_an_update_stages_is_gone_and_modes_are_set(course: Tiny, out: Path, tmp_path: Path) -> None:
    retune(course)
    (out / "tools/setup.sh").chmod(0o644)

    umask = os.umask(0o077)
    try:
        done = publish(course, out, "--update")
    finally:
        os.umask(umask)

    assert done.code == 0, done.err
    assert (out / _LIMITS).stat().st_mode & 0o777 == 0o644
    assert not list(tmp_path.glob(".out.publishing-*"))
    with scratch_beside(out):
        pass
