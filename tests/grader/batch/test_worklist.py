"""What is to be graded of a class, and how far it has come. Nothing is graded here: reports are made by hand."""

from pathlib import Path

import pytest

from grader.batch import worklist
from grader.batch.worklist import Item, Seeds, Standing, items_of, look, remove_halves, wanted
from grader.course.load import load_course
from grader.course.model import Exercise
from grader.doctor.machine import machine
from grader.errors import GraderError, UsageError
from grader.report.model import Graded, Isolation, Refusal, Refused, Report, Ungraded, to_json
from grader.versions import kit_version
from gradings import SOLUTION, TINY

EXERCISE = load_course(TINY).exercises[0]
OTHER = EXERCISE.model_copy(update={"slug": "ex91_other", "submit": ("other.py",)})


@pytest.fixture
def submissions(tmp_path: Path) -> Path:
    folder = tmp_path / "submissions"
    folder.mkdir()
    return folder


def hand_in(submissions: Path, name: str, *parts: str) -> Path:
    file = submissions.joinpath(name, *parts, "tiny.py")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes((TINY / SOLUTION).read_bytes())
    return file


def names(items: object) -> list[tuple[str, str, str | None]]:
    assert isinstance(items, list)
    return [(one.student, one.exercise.number, one.source and one.source.name) for one in items]


def test_everybody_has_an_item_for_each_exercise(submissions: Path, tmp_path: Path) -> None:
    hand_in(submissions, "ada")
    hand_in(submissions, "bob", "ex90")
    hand_in(submissions, "cy", "ex90_tiny")
    (submissions / "dot").mkdir()
    (submissions / "eve.zip").write_bytes(b"")
    for name in (".hidden", "_unknown"):
        (submissions / name).mkdir()
    (submissions / "collected.json").write_text("{}")

    items = items_of(submissions, tmp_path / "results", [EXERCISE, OTHER], ["ada", "finn"])

    assert names(items) == [
        ("ada", "ex90", "ada"),
        ("ada", "ex91", None),
        ("bob", "ex90", "ex90"),
        ("bob", "ex91", None),
        ("cy", "ex90", "ex90_tiny"),
        ("cy", "ex91", None),
        ("dot", "ex90", None),
        ("dot", "ex91", None),
        ("eve", "ex90", "eve.zip"),
        ("eve", "ex91", "eve.zip"),
        ("finn", "ex90", None),
        ("finn", "ex91", None),
    ]
    assert items[0].file == tmp_path / "results/ada/ex90.json"


def test_of_one_exercise_a_folder_without_its_file_is_what_was_handed_in(submissions: Path, tmp_path: Path) -> None:
    (submissions / "dot").mkdir()

    assert names(items_of(submissions, tmp_path, [EXERCISE])) == [("dot", "ex90", "dot")]


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ([], "nobody's work is here"),
        (["ada/", "ada.zip"], "ada is there twice, ada and ada.zip"),
        (["a\x1bda/"], "cannot be printed"),
    ],
)
def test_a_class_that_cannot_be_told_apart_is_refused(submissions: Path, made: list[str], said: str) -> None:
    for name in made:
        (submissions / name).mkdir() if name.endswith("/") else (submissions / name).write_bytes(b"")

    with pytest.raises(UsageError, match=said):
        items_of(submissions, submissions, [EXERCISE])


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no such folder"):
        items_of(tmp_path / "nowhere", tmp_path, [EXERCISE])


# --- how far it has come ------------------------------------------------------------------------------------------


def common(source: Path | None, **changed: object) -> dict[str, object]:
    return {
        "exercise": EXERCISE.slug,
        "title": "a tiny server",
        "isolation": Isolation.BOXED,
        "seed": 1,
        "kit_version": kit_version(),
        "checks_digest": EXERCISE.digest,
        "machine": machine(path=""),
        "graded_at": "2026-01-01T00:00:00Z",
        "submission_digest": None if source is None else worklist.digest_of(source, EXERCISE),
    } | changed


def graded(source: Path, *, partial: bool = False, **changed: object) -> Graded:
    return Graded(
        score=0,
        max_score=0,
        measurable_score=0,
        partial=partial,
        checks=(),
        **common(source, **changed),  # type: ignore[arg-type]
    )


def refused(source: Path | None) -> Refused:
    refusal = Refusal(what="it", why="It is empty.", cure="Fill it.")
    return Refused(refusal=refusal, **common(source))  # type: ignore[arg-type]


def ungraded(source: Path) -> Ungraded:
    return Ungraded(reason="The judge ended.", **common(source))  # type: ignore[arg-type]


def item(tmp_path: Path, source: Path | None, report: Report | None, exercise: Exercise = EXERCISE) -> Item:
    file = tmp_path / "results/ada/ex90.json"
    if report is not None:
        file.parent.mkdir(parents=True)
        file.write_text(to_json(report))
    return Item(student="ada", exercise=exercise, source=source, file=file)


def standing_of(tmp_path: Path, source: Path | None, report: Report | None) -> Standing:
    return look(item(tmp_path, source, report)).standing


def test_how_far_an_item_has_come_is_what_its_report_says(submissions: Path, tmp_path: Path) -> None:
    source = hand_in(submissions, "ada").parent

    assert standing_of(tmp_path / "1", source, None) is Standing.NEW
    assert standing_of(tmp_path / "2", source, graded(source)) is Standing.GRADED
    assert standing_of(tmp_path / "3", source, refused(source)) is Standing.REFUSED
    assert standing_of(tmp_path / "4", source, ungraded(source)) is Standing.UNGRADED
    assert standing_of(tmp_path / "5", None, refused(None)) is Standing.ABSENT


def test_a_report_on_something_else_is_an_old_one(submissions: Path, tmp_path: Path) -> None:
    source = hand_in(submissions, "ada").parent
    older = graded(source)

    assert standing_of(tmp_path / "1", source, graded(source, checks_digest="f" * 64)) is Standing.CHANGED
    assert standing_of(tmp_path / "2", source, graded(source, kit_version="0.0")) is Standing.CHANGED
    assert standing_of(tmp_path / "3", source, graded(source, sizes="hidden")) is Standing.CHANGED
    assert standing_of(tmp_path / "4", source, graded(source, partial=True)) is Standing.CHANGED
    assert standing_of(tmp_path / "5", None, older) is Standing.CHANGED
    (source / "tiny.py").write_text("# another\n")
    assert standing_of(tmp_path / "6", source, older) is Standing.CHANGED


def test_what_has_no_report_is_wanted_and_what_is_to_be_graded_again(submissions: Path, tmp_path: Path) -> None:
    source = hand_in(submissions, "ada").parent
    new, old = look(item(tmp_path / "1", source, None)), look(item(tmp_path / "2", source, ungraded(source)))

    assert wanted([new, old], set()) == [new.item]
    assert wanted([new, old], {Standing.UNGRADED}) == [new.item, old.item]


def test_what_is_no_report_is_told_and_left(submissions: Path, tmp_path: Path) -> None:
    one = item(tmp_path, hand_in(submissions, "ada").parent, None)
    one.file.parent.mkdir(parents=True)
    one.file.write_text("{")

    with pytest.raises(UsageError, match=r"ex90.json: this is no report of this kit"):
        look(one)
    assert one.file.read_text() == "{"


def test_halves_of_writers_that_are_gone_are_taken_away(tmp_path: Path) -> None:
    (tmp_path / "ada").mkdir()
    halves = [tmp_path / "ada" / f".ex90.json.{pid}" for pid in (2**22 + 1, 1)]
    for half in halves:
        half.write_text("{")

    remove_halves(tmp_path)

    assert [half.exists() for half in halves] == [False, True]


# --- seeds --------------------------------------------------------------------------------------------------------


def test_a_student_has_the_same_seed_each_time_and_another_than_others(tmp_path: Path) -> None:
    ada, bob = (Item(student=name, exercise=EXERCISE, source=None, file=tmp_path) for name in ("ada", "bob"))
    other = Item(student="ada", exercise=OTHER, source=None, file=tmp_path)
    seeds = Seeds(tmp_path / ".grade/class-secret")

    found = {seeds.seed_of(one) for one in (ada, bob, other)}

    assert len(found) == 3
    assert Seeds(tmp_path / ".grade/class-secret").seed_of(ada) == seeds.seed_of(ada)
    assert Seeds(tmp_path / ".elsewhere/class-secret").seed_of(ada) not in found
    assert (tmp_path / ".grade/class-secret").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("text", ["", "not hex", "ab" * 31])
def test_what_is_no_secret_is_told(tmp_path: Path, text: str) -> None:
    file = tmp_path / "class-secret"
    file.write_text(text)

    with pytest.raises(GraderError, match="this is no class's secret"):
        Seeds(file)


def test_a_secret_that_cannot_be_kept_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(GraderError, match="cannot be kept in"):
        Seeds(tmp_path / "file/class-secret")
