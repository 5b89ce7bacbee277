"""`grade new`: an exercise that keeps every promise as it is, and a course in which nothing else has changed."""

from pathlib import Path

import pytest

from grader.course import beginning
from grader.course.beginning import begin_exercise
from grader.course.load import load_course
from grader.errors import CourseError, GraderError, UsageError
from gradings import SLUG, Tiny, tiny_course

NEW = "ex20_select"  # a name that a module of the standard library has, too


@pytest.fixture
def course(tmp_path: Path) -> Tiny:
    return tiny_course(tmp_path)


@pytest.mark.usefixtures("bwrap", "strace")
def test_a_new_exercise_passes_the_audit_as_it_is(course: Tiny) -> None:
    done = course.type("new", NEW)

    assert done.code == 0, done.err
    assert f"exercises/{NEW}/README.md\n" in done.out and done.out.endswith("course.yaml\nNext: grade audit ex20\n")
    audit = course.type("audit", "ex20")
    assert audit.code == 0 and "All as promised." in audit.out, audit.out
    assert "OFF" not in audit.out and "ex20: rule | check | wrong submissions" in audit.out


def test_nothing_of_the_models_name_is_left_and_it_can_be_published(course: Tiny) -> None:
    course.type("new", NEW)

    for top in ("exercises", "solutions", "tests"):
        for path in (course.root / top / NEW).rglob("*"):
            assert "newname" not in path.name
            assert not path.is_file() or not {"newname", "ex00"} & set(path.read_text().replace("_", " ").split())
    done = course.type("publish", "folder", "ex20", "--no-audit", "--to", str(course.root.parent / "out"))
    assert done.code == 0, done.err


@pytest.mark.parametrize(
    ("listing", "expected"),
    [
        (f"exercises:\n  - {SLUG} # the first\n", f"exercises:\n  - {SLUG} # the first\n  - {NEW}\n"),
        (f"exercises:\n- '{SLUG}'\r\n", f"exercises:\n- '{SLUG}'\r\n- {NEW}\r\n"),
        (f"exercises: [{SLUG}]\n", f"exercises: [{SLUG}, {NEW}]\n"),
        (f'exercises: ["{SLUG}",\n ]\n', f'exercises: ["{SLUG}", {NEW},\n ]\n'),
    ],
)
def test_the_exercise_is_listed_behind_the_last_one(course: Tiny, listing: str, expected: str) -> None:
    before = (course.root / "course.yaml").read_bytes().decode()
    old = f"exercises:\n  - {SLUG}\n"
    assert old in before
    (course.root / "course.yaml").write_bytes(before.replace(old, listing).encode())

    begin_exercise(load_course(course.root), NEW)

    assert (course.root / "course.yaml").read_bytes().decode() == before.replace(old, expected)
    assert [one.slug for one in load_course(course.root).exercises] == [SLUG, NEW]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("tee", "no name of an exercise"),
        ("ex20", "no name of an exercise"),
        ("ex20_Tee", "no name of an exercise"),
        ("../ex20_tee", "no name of an exercise"),
        ("ex090_tee", "an exercise ex90 already"),
        ("ex21_tee", "there is something already"),
    ],
)
def test_a_name_that_cannot_be_is_refused_and_nothing_is_written(course: Tiny, name: str, told: str) -> None:
    (course.root / "tests" / "ex21_tee").mkdir()
    before = sorted(course.root.rglob("*"))

    done = course.type("new", name)

    assert done.code == 2 and told in " ".join(done.err.split())
    assert sorted(course.root.rglob("*")) == before


def test_a_folder_that_cannot_be_written_leaves_nothing(course: Tiny) -> None:
    (course.root / "solutions").rename(course.root / "elsewhere")
    (course.root / "solutions").write_text("a file\n")
    loaded = load_course(course.root)

    with pytest.raises(UsageError, match="Nothing was begun"):
        begin_exercise(loaded, NEW)

    assert not list(course.root.rglob(NEW))


def test_a_list_that_is_written_otherwise_is_told(course: Tiny) -> None:
    loaded = load_course(course.root)
    (course.root / "course.yaml").write_text("exercises: &all\n  -\n   ex90_tin\n")

    with pytest.raises(CourseError, match="list the exercises one a line"):
        begin_exercise(loaded, NEW)


def test_a_kit_without_its_projects_files_says_so(
    course: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beginning, "_MODEL", tmp_path / "nothing")

    with pytest.raises(GraderError, match="installed without its own project's files"):
        begin_exercise(load_course(course.root), NEW)
