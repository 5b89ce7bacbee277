"""nbgrader itself, from a course to a table of grades: what it shows to whom, what it runs, and what it writes down."""

import copy
import csv
import hashlib
import json
import re
import runpy
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from classroom import NUMBER, PROGRAMS, Classroom, Notebook, added, cell_id, cell_of, read, solved, text_of
from grader.course.load import load_course
from grader.course.model import POINTS, Course
from grader.course.stubs import solution_lines, stub_of
from grader.errors import CourseError
from grader.notebooks.cells import solution_cell
from grader.notebooks.extension import NoVerdict, verdict
from grader.publish import nbgrader
from grader.report.model import Outcome
from gradings import COURSE, EXERCISE, REFUSING, SLUG, SOLUTION, descendants, in_a_box, tiny_course, wait_until
from places import TESTS

FORGED: dict[str, Any] = {
    "schema_version": 3,
    "grade": True,
    "solution": False,
    "locked": True,
    "task": False,
    "points": 1000,
}
MARKS = {"solution": "zq_solution_7", "wrong": "zq_wrong_7", "right": "zq_right_7", "hidden": "31337"}
FULL = {"check-scaled": 20.0, "check-echo": 30.0, "check-calls": 30.0, "check-stop": 20.0}
WAITING = {name: [None, True] for name in FULL}
COUNTED = """import select
from itertools import count

answers = count()


def answer(client, data):
    if next(answers) > 40:
        for _ in range(50):
            client.getpeername()
    client.sendall(data)
"""
HELD = {
    "deleted": "is not in the notebook",
    "renamed": "does not begin with `%%solution tiny.py`",
    "above": "does not begin with `%%solution tiny.py`",
    "twice": "is there 2 times, with different text",
    "oversize": "tiny.py is larger than 64 KiB",
    "surrogate": "holds characters that are not UTF-8",
}


@pytest.fixture(scope="session")
def course() -> Course:
    return load_course(COURSE)


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Classroom:
    """Released, with a word in everything that no student may see."""
    folder = tmp_path_factory.mktemp("nbgrader")
    tiny = tiny_course(folder)
    tiny.write(f"exercises/{SLUG}/README.md", "# ex90: tiny\n\nText.\n\n## Run it\n\n```\n## no heading\n```\n")
    tiny.edit(SOLUTION, "clients: dict", f"{MARKS['solution']} = 1\n    clients: dict")
    tiny.edit(f"tests/{SLUG}/wrong/unscaled/tiny.py", "import select", f"import select  # {MARKS['wrong']}")
    tiny.edit(f"tests/{SLUG}/right/poll/tiny.py", "import select", f"import select  # {MARKS['right']}")
    tiny.write(f"tests/{SLUG}/hidden/sizes.yaml", f"format: 1\nsizes:\n  requests: {MARKS['hidden']}\n")
    tiny.write(f"exercises/{SLUG}/tiny.py", f"{MARKS['solution']} = 'the instructor has tried it in place'\n")
    room = Classroom(folder / "nb", tiny)
    room.publish()
    room.type("generate_assignment", NUMBER)
    return room


def cheating(room: Classroom, canary: Path) -> list[Any]:
    """All that can be changed but the solution, which is the stub."""
    touch = f"open({str(canary)!r}, 'w').write('ran')"

    def rewritten(notebook: Notebook) -> None:
        for cell in notebook["cells"]:
            if cell_id(cell).startswith("check-"):
                cell["metadata"]["nbgrader"]["points"] = 1000
                cell["source"] = f"{touch}\n1000.0"
        cell_of(notebook, "check-echo")["source"] = "None"
        cell_of(notebook, "check-stop")["cell_type"] = "markdown"
        cell_of(notebook, "setup")["source"] = f"{touch}\ncheck = lambda name: 100.0"
        notebook["metadata"]["kernelspec"] = {"name": "evil", "display_name": "evil", "language": "R"}

    return [
        rewritten,
        added(f"{touch}\n!touch {canary}", at=0),
        added(f"%%script sh\ntouch {canary}"),
        added("1000.0", grade_id="check-scaled", **FORGED),
        added("1000.0", grade_id="check-more", **FORGED),
    ]


def sloppy(notebook: Notebook) -> None:
    """What happens to an honest notebook: cells pasted twice, deleted, of another type, of another nbgrader."""
    cells = notebook["cells"]
    cells.append(copy.deepcopy(cell_of(notebook, "solution")))
    cells.append(copy.deepcopy(cell_of(notebook, "check-echo")))
    cells.remove(cell_of(notebook, "check-stop"))
    cells[0]["metadata"]["nbgrader"]["schema_version"] = 99
    cells[1]["metadata"]["nbgrader"] = {}
    cells[2]["metadata"] = {"nbgrader": "none"}


def through_the_exchange(room: Classroom, text: str) -> str:
    """Released, fetched, filled in, submitted and collected by nbgrader's own commands; the student's name."""
    exchange = room.root.parent / "exchange"
    exchange.mkdir()
    exchange.chmod(0o777)
    at = f"--Exchange.root={exchange}"
    home = room.root.parent / "students"
    home.mkdir()
    student = ["--course", "a-tiny-course", at]
    room.type("release_assignment", NUMBER, at)
    room.type("fetch_assignment", NUMBER, *student, cwd=home)
    file = home / NUMBER / f"{NUMBER}.ipynb"
    notebook = read(file)
    solved(text)(notebook)
    file.write_text(json.dumps(notebook))
    room.type("submit", NUMBER, *student, cwd=home)
    room.type("collect", NUMBER, at)
    (name,) = (path.name for path in (room.root / "submitted").iterdir())
    return name


@pytest.fixture(scope="session")
def graded(published: Classroom, private_network: None, bwrap: str, strace: str) -> Iterator[Classroom]:
    """Everybody's notebook, autograded; feedback and table written."""
    room = published
    canary = room.root.parent / "canary"
    reference, stub = room.source(SOLUTION), stub_of(room.source(SOLUTION), name="tiny")
    name = through_the_exchange(room, reference)
    (room.root / "submitted" / name).rename(room.root / "submitted" / "honest")
    room.hand_in("stub")
    room.hand_in("partly", solved(room.source(f"tests/{SLUG}/wrong/unscaled/tiny.py")))
    good_for_some = reference.replace("import select", COUNTED, 1)
    room.hand_in("published", solved(good_for_some.replace("clients[fd].sendall(b", "answer(clients[fd], b")))
    room.hand_in("sloppy", solved(reference, first_line="\r\n \t\n%%solution tiny.py"), sloppy)
    room.hand_in("cheat", *cheating(room, canary))
    forged = room.root / "submitted/cheat" / NUMBER / "course"
    (forged / "tests" / SLUG / "test_tiny.py").write_text("def test_scaled(): pass\n")
    (forged / "tests" / SLUG / "conftest.py").write_text(f"open({str(canary)!r}, 'w')\n")
    markup = "raise ValueError('<script>alert(7)</script> \\x1b[2J')"
    room.hand_in("markup", solved(f"{stub}\n\ndef scaled(number):\n    {markup}\n"))
    room.hand_in("shell", solved(f"!touch {canary}\n{reference}"))
    room.hand_in("deleted", lambda notebook: notebook["cells"].remove(cell_of(notebook, "solution")))
    room.hand_in("renamed", solved(reference, first_line="%%solution other.py"))
    room.hand_in("above", solved(reference, first_line=f"!touch {canary}\n%%solution tiny.py"))
    pasted = added("%%solution tiny.py\n...", at=0, **FORGED | {"grade_id": "solution", "grade": False})
    room.hand_in("twice", solved(reference), pasted)
    room.hand_in("oversize", solved(f"{reference}# {'x' * (64 << 10)}"))
    room.hand_in("surrogate", solved(f"{reference}# \ud800"))
    (room.root.parent / "log").write_text(room.type("autograde", NUMBER))
    room.type("generate_feedback", NUMBER)
    said = room.type("release_feedback", NUMBER, f"--Exchange.root={room.root.parent / 'exchange'}")
    (room.root.parent / "feedback.log").write_text(said)
    room.type("export")
    yield room
    assert not canary.exists()


@pytest.fixture(scope="session")
def grades(graded: Classroom) -> Mapping[str, Any]:
    return graded.grades()


# --- what is published ----------------------------------------------------------------------------------------------


def test_the_same_course_gives_the_same_bytes_and_no_path_of_the_machine(course: Course) -> None:
    tree = nbgrader.tree(course, course.exercises)
    assert tree == nbgrader.tree(load_course(COURSE), course.exercises)
    for name, file in tree.items():
        for word in (str(COURSE), str(Path.home()) + "/", sys.prefix):
            assert word.encode() not in file.data, name


def test_every_notebook_has_one_graded_cell_a_check_and_a_hundred_points(course: Course) -> None:
    tree = nbgrader.tree(course, course.exercises)
    for exercise in course.exercises:
        notebook = json.loads(tree[f"source/{exercise.number}/{exercise.number}.ipynb"].data)
        marks = [cell["metadata"]["nbgrader"] for cell in notebook["cells"]]
        points = {mark["grade_id"]: mark["points"] for mark in marks if mark["grade"]}
        assert points == {f"check-{check.name}": check.points for check in exercise.checks}
        assert sum(points.values()) == POINTS
        assert len({mark["grade_id"] for mark in marks}) == len(marks)


def test_nbgrader_clears_every_reference_to_the_committed_stub(course: Course, tmp_path: Path) -> None:
    tree = nbgrader.tree(course, course.exercises)
    for exercise in course.exercises:
        (tmp_path / f"{exercise.number}.ipynb").write_bytes(
            tree[f"source/{exercise.number}/{exercise.number}.ipynb"].data
        )
    clear = """
import json, pathlib, sys, nbformat
from nbgrader.preprocessors import ClearSolutions
for file in sorted(pathlib.Path(sys.argv[1]).glob("*.ipynb")):
    cleared, _ = ClearSolutions().preprocess(nbformat.read(file, as_version=4), {})
    cells = {cell.metadata.nbgrader.grade_id: cell.source for cell in cleared.cells}
    print(json.dumps({name: text for name, text in cells.items() if name.startswith("solution")}))
"""
    done = subprocess.run([sys.executable, "-c", clear, str(tmp_path)], capture_output=True, text=True, check=True)
    for exercise, line in zip(course.exercises, done.stdout.splitlines(), strict=True):
        expected = {
            solution_cell(
                name, first=name == exercise.submit[0]
            ): f"%%solution {name}\n{(exercise.handout_dir / name).read_text()}"
            for name in exercise.submit
        }
        assert {name: text + "\n" for name, text in json.loads(line).items()} == expected


def test_the_course_beside_a_notebook_is_the_exercise_with_the_same_digest(published: Classroom) -> None:
    beside = load_course(published.root / "release" / NUMBER / "course")
    whole = load_course(published.tiny.root).find(NUMBER)
    assert [one.slug for one in beside.exercises] == [SLUG]
    assert beside.exercises[0].digest == whole.digest
    assert beside.exercises[0].hidden_sizes is None


def test_a_release_holds_the_stub_and_no_word_that_students_may_not_see(published: Classroom) -> None:
    stub = stub_of(published.source(SOLUTION), name="tiny")
    released = published.released()
    assert text_of(cell_of(released, "solution")) + "\n" == f"%%solution tiny.py\n{stub}"
    files = [path for path in (published.root / "release").rglob("*") if path.is_file()]
    assert len(files) == 7  # the notebook, course.yaml, three of the handout, its stub, the checks
    lines = {line.strip() for region in solution_lines(published.source(SOLUTION), name=SOLUTION) for _, line in region}
    checks = published.source(f"tests/{SLUG}/test_tiny.py")
    secrets = {*MARKS.values(), *(line for line in lines if len(line) > 12 and line not in checks)}
    assert len(secrets) > 10
    for path in files:
        for secret in secrets:
            assert secret not in path.read_text(), path
        assert not {"hidden", "wrong", "right", "solutions"} & set(path.parts[len(published.root.parts) :])


def test_a_handout_is_cut_at_headings_and_not_in_a_fence(published: Classroom) -> None:
    released = published.released()
    parts = [text_of(cell) for cell in released["cells"] if cell_id(cell).startswith("handout-")]
    assert parts == ["# ex90: tiny\n\nText.", "## Run it\n\n```\n## no heading\n```"]


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        (f"exercises/{SLUG}/README.md", None, "README.md: cannot be read: No such file"),
        (SOLUTION, None, "tiny.py: cannot be read: No such file"),
        (SOLUTION, b"\xff", "tiny.py: byte 0 is not UTF-8"),
        (SOLUTION, b"def scaled(): ...\n", "tiny.py: no solution region"),
    ],
    ids=["no-handout", "no-reference", "not-utf8", "no-region"],
)
def test_a_course_that_cannot_be_published_is_told(tmp_path: Path, name: str, data: bytes | None, said: str) -> None:
    tiny = tiny_course(tmp_path)
    tiny.write(f"exercises/{SLUG}/README.md", "# ex90\n")
    if data is None:
        (tiny.root / name).unlink()
    else:
        (tiny.root / name).write_bytes(data)
    course = load_course(tiny.root)
    with pytest.raises(CourseError, match=said):
        nbgrader.tree(course, course.exercises)


# --- what is graded -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("student", "submission"),
    [("honest", "solutions/ex90_tiny"), ("partly", "tests/ex90_tiny/wrong/unscaled")],
)
def test_the_gradebook_says_what_grade_says(
    graded: Classroom, grades: Mapping[str, Any], student: str, submission: str
) -> None:
    report = graded.tiny.grade("ex90", "--submission", str(graded.tiny.root / submission)).graded
    found = grades[student]
    assert found["cells"] == {f"check-{check.name}": [check.score, False] for check in report.checks}
    assert (found["score"], found["max_score"], found["waits"]) == (report.score, report.max_score, False)


def test_everybody_gets_what_their_solution_is_worth(grades: Mapping[str, Any]) -> None:
    scores = {student: found["score"] for student, found in grades.items() if student not in HELD}
    assert scores == {
        "honest": 100,
        "published": 100,
        "sloppy": 100,
        "partly": 80,
        "stub": 0,
        "cheat": 0,
        "markup": 0,
        "shell": 0,
    }


@pytest.mark.parametrize("student", HELD)
def test_without_a_verdict_nobody_gets_a_zero(graded: Classroom, grades: Mapping[str, Any], student: str) -> None:
    found = grades[student]
    assert found["cells"] == WAITING
    assert found["waits"]
    assert found["comment"].startswith("Refused: this notebook cannot be graded as it was handed in. That is no zero.")
    for outputs in graded.outputs(student).values():
        assert [(output["output_type"], output["ename"]) for output in outputs] == [("error", "Refused")]
        assert HELD[student] in outputs[0]["evalue"]
        assert "/tmp" not in outputs[0]["evalue"]
    assert f"Refused ex90 of {student}: " in (graded.root.parent / "log").read_text()


def test_a_table_of_grades_leaves_empty_what_has_no_verdict(graded: Classroom) -> None:
    with (graded.root / "grades.csv").open() as file:
        rows = list(csv.DictReader(file))
    scores = {row["student_id"]: row["score"] for row in rows}
    assert {scores[student] for student in HELD} == {""}
    assert {row["student_id"]: row["no_score"] for row in rows if row["no_score"]} == dict.fromkeys(HELD, "refused")
    assert (scores["honest"], scores["partly"], scores["stub"]) == ("100.0", "80.0", "0.0")


def test_a_graded_cell_shows_the_words_of_a_terminal_and_its_points(graded: Classroom) -> None:
    shown = graded.outputs("partly")
    (words, value) = shown["check-scaled"]
    assert "".join(words["text"]).startswith("  FAIL        scaled         0/20  A number is scaled\n      expected: ")
    assert "try:      Multiply by factor.FACTOR." in "".join(words["text"])
    assert value["data"]["text/plain"] in ("0.0", ["0.0"])
    (words, value) = shown["check-echo"]
    assert "".join(words["text"]) == "  ok          echo          30/30  A line is answered\n"


def test_what_a_student_added_is_neither_run_nor_shown(graded: Classroom) -> None:
    assert not (graded.root.parent / "canary").exists()
    notebook = read(graded.root / "autograded/cheat" / NUMBER / f"{NUMBER}.ipynb")
    assert [cell_id(cell) for cell in notebook["cells"]] == [cell_id(cell) for cell in graded.released()["cells"]]
    assert "1000.0" not in json.dumps(notebook)


def test_feedback_shows_a_strangers_words_and_obeys_none(graded: Classroom) -> None:
    page = (graded.root / "feedback/markup" / NUMBER / f"{NUMBER}.html").read_text()
    assert "&lt;script&gt;alert(7)" in page
    assert "<script>alert(7)" not in page
    assert "\x1b" not in page
    assert r"\x1b[2J" in page.replace("&#39;", "'")
    page = (graded.root / "feedback/deleted" / NUMBER / f"{NUMBER}.html").read_text()
    assert "Refused. The notebook: the cell that begins with" in page


def test_nothing_but_a_verdict_in_a_box_becomes_points(graded: Classroom, tmp_path: Path) -> None:
    """One student, graded again and again: the scores of the time before must not stay either."""
    room = alone(graded, tmp_path, "published")
    (tmp_path / "other").mkdir()
    other = tiny_course(tmp_path / "other")
    other.edit(EXERCISE, "points: 30\n    title: A line", "points: 30\n    title: The line")
    room.type(*AGAIN, f"--GradeInBox.course={other.root}")
    assert room.grades()["published"]["cells"] == WAITING
    assert "is not the course that was published" in room.outputs("published")["check-echo"][0]["evalue"]
    room.type(*AGAIN, "--GradeInBox.enabled=False")  # nbgrader by itself gives all points where there is no output
    assert room.grades()["published"]["cells"] == WAITING
    room.type(*AGAIN, prefix=(sys.executable, str(REFUSING), "--"))
    assert room.grades()["published"]["cells"] == WAITING
    assert "Other people's programs run only in a box" in room.outputs("published")["check-echo"][0]["evalue"]
    assert "passed" not in json.dumps(room.outputs("published"))


def test_what_a_machine_cannot_measure_waits_alone(graded: Classroom, tmp_path: Path) -> None:
    room = alone(graded, tmp_path, "published")
    room.type(*AGAIN, path=str(tmp_path))  # no strace there
    cells = {name: [points, False] for name, points in FULL.items()}
    assert room.grades()["published"]["cells"] == {**cells, "check-calls": [None, True]}
    assert "cannot be measured on this machine" in room.outputs("published")["check-calls"][0]["evalue"]


def test_an_optional_part_that_was_not_handed_in_is_no_zero() -> None:
    samples = runpy.run_path(str(TESTS / "golden" / "regenerate.py"))
    report = samples["graded"](samples["scored"]("extra", "More", 4, Outcome.OMITTED, reason="there is no more.py"))

    with pytest.raises(NoVerdict, match=r"extra was not handed in: there is no more\.py"):
        verdict(report, "extra")


def test_the_whole_course_grades_with_its_hidden_sizes(graded: Classroom, tmp_path: Path) -> None:
    """One student's program is good for as many requests as are published."""
    room = alone(graded, tmp_path, "published")
    graded.tiny.write(f"tests/{SLUG}/hidden/sizes.yaml", "format: 1\nsizes:\n  requests: 60\n")
    said = room.type(*AGAIN, f"--GradeInBox.course={graded.tiny.root}")
    assert room.grades()["published"]["score"] == 70
    assert (
        "graded with the hidden sizes" in said and "with the public sizes" in (graded.root.parent / "log").read_text()
    )
    told = {
        name: "Graded with your instructor's sizes" in text(outputs)
        for name, outputs in room.outputs("published").items()
    }
    assert told == {"check-scaled": False, "check-echo": False, "check-calls": True, "check-stop": False}


def test_feedback_reaches_those_whom_nbgrader_collected_although_others_were_copied_by_hand(graded: Classroom) -> None:
    said = (graded.root.parent / "feedback.log").read_text()
    assert "Releasing feedback for student 'honest'" in said
    assert re.search(r"No feedback for partly: .*Hand out .*feedback/partly/ex90/ex90\.html", said)
    assert len(list((graded.root.parent / "exchange").rglob("feedback/*.html"))) == 1


def test_a_student_installs_the_kit_and_jupyter_from_one_folder(course: Course) -> None:
    tree = nbgrader.tree(course, course.exercises)
    (wheel,) = (name for name in tree if name.endswith(".whl"))
    wanted = tree["students/requirements.txt"].data.decode()
    for package in ("jupyterlab==", "nbgrader==", "click=="):
        assert f"\n{package}" in wanted
    digest = hashlib.sha256(tree[wheel].data).hexdigest()
    assert wanted.endswith(f"\n./{wheel.removeprefix('students/')} \\\n    --hash=sha256:{digest}\n")
    assert "psycopg" not in wanted and "pip install -r requirements.txt" in tree["students/README.md"].data.decode()


AGAIN = ("autograde", NUMBER, "--force")


def alone(room: Classroom, folder: Path, student: str) -> Classroom:
    """A copy of the course's folder with one student's notebook."""
    copied = Classroom(shutil.copytree(room.root, folder / "nb"), room.tiny)
    for path in (copied.root / "submitted").iterdir():
        if path.name != student:
            shutil.rmtree(path)
    return copied


def test_an_instructors_own_cells_wait_for_the_instructor(
    published: Classroom, tmp_path: Path, private_network: None, bwrap: str
) -> None:
    """A question of theirs keeps the student's answer; a test of theirs is not executed, so it has no points yet."""
    import nbformat
    from nbconvert.exporters.exporter import ResourcesDict
    from traitlets.config import Config

    from grader.notebooks.autograde import GradeInBox, TakeSolutions

    room = Classroom(shutil.copytree(published.root, tmp_path / "nb"), published.tiny)
    released = room.released()
    question: dict[str, Any] = {**FORGED, "grade_id": "why", "solution": True, "locked": False, "points": 5}
    added("YOUR ANSWER HERE", **question)(released)
    added("assert dispatcher", **FORGED, grade_id="own-test")(released)
    (room.root / "release" / NUMBER / f"{NUMBER}.ipynb").write_text(json.dumps(released))
    handed_in = copy.deepcopy(released)
    solved(room.source(SOLUTION))(handed_in)
    cell_of(handed_in, "why")["source"] = "Because."
    config = Config({"CourseDirectory": {"root": str(room.root)}})
    resources = ResourcesDict(nbgrader={"assignment": NUMBER, "notebook": NUMBER, "student": "anna"})
    notebook = nbformat.from_dict(handed_in)
    for step in (TakeSolutions, GradeInBox):
        notebook, _ = step(config=config).preprocess(notebook, resources)
    assert cell_of(notebook, "why")["source"] == "Because."
    (refused,) = cell_of(notebook, "own-test")["outputs"]
    assert refused["evalue"].startswith("This cell is none of the exercise's checks")
    assert cell_of(notebook, "check-echo")["outputs"][1]["data"] == {"text/plain": "30.0"}


@pytest.mark.parametrize(
    ("folder", "code", "said", "cell"),
    [
        ("release", 1, "Type `nbgrader generate_assignment ex90`", [30.0, False]),  # as it was: nothing was graded
        (f"source/{NUMBER}/course", 0, "course.yaml: there is no such file", [None, True]),
    ],
    ids=["no-release", "no-course"],
)
def test_what_is_missing_in_the_courses_folder_is_told(
    graded: Classroom, tmp_path: Path, folder: str, code: int, said: str, cell: list[object]
) -> None:
    room = alone(graded, tmp_path, "published")
    shutil.rmtree(room.root / folder)
    assert said in room.type(*AGAIN, code=code)
    assert room.grades()["published"]["cells"]["check-echo"] == cell


def test_where_the_kit_is_missing_nbgrader_stops_and_runs_no_cell(graded: Classroom, tmp_path: Path) -> None:
    room = Classroom(shutil.copytree(graded.root, tmp_path / "nb"), graded.tiny)
    settings = room.root / "nbgrader_config.py"
    settings.write_text(settings.read_text().replace("grader.notebooks.autograde.", "no_such_grader."))
    assert "No module named 'no_such_grader'" in room.type("autograde", NUMBER, "--force", code=1)


# --- live -----------------------------------------------------------------------------------------------------------


def live(room: Classroom, folder: Path, *changes: Any) -> dict[str, list[dict[str, Any]]]:
    """The released notebook, changed, run from top to bottom in Jupyter's own kernel: the outputs by cell."""
    shutil.copytree(room.root / "release" / NUMBER, folder)
    notebook = room.released()
    for change in changes:
        change(notebook)
    file = folder / f"{NUMBER}.ipynb"
    file.write_text(json.dumps(notebook))
    execute = ["--execute", "--allow-errors", "--inplace", "--to", "notebook"]
    done = room.run([str(PROGRAMS / "jupyter"), "nbconvert", *execute, str(file)], cwd=folder)
    assert done.returncode == 0, done.stderr
    cells = read(file)["cells"]
    return {cell_id(cell) or cell["id"]: cell["outputs"] for cell in cells if cell["cell_type"] == "code"}


def text(outputs: list[dict[str, Any]]) -> str:
    return "".join("".join(output.get("text", "")) for output in outputs)


def values(shown: dict[str, list[dict[str, Any]]]) -> dict[str, float]:
    results = {
        name: [float("".join(one["data"]["text/plain"])) for one in outputs if one["output_type"] == "execute_result"]
        for name, outputs in shown.items()
        if name.startswith("check-")
    }
    return {name: value for name, (value,) in results.items()}


def test_a_student_sees_the_same_words_in_jupyter(
    graded: Classroom, tmp_path: Path, private_network: None, bwrap: str, strace: str
) -> None:
    shown = live(graded, tmp_path / "live", solved(graded.source(f"tests/{SLUG}/wrong/unscaled/tiny.py")))
    assert values(shown) == {**FULL, "check-scaled": 0.0}
    assert "".join(map(text, shown.values())).count("Grading all checks of ex90") == 1
    for name, outputs in graded.outputs("partly").items():
        same = text(shown[name]).partition("text of the solution ...\n")[2] or text(shown[name])
        assert without_random_numbers(same) == without_random_numbers(text(outputs))


def test_nbgrader_validates_what_a_student_has(
    graded: Classroom, tmp_path: Path, private_network: None, bwrap: str, strace: str
) -> None:
    folder = shutil.copytree(graded.root / "release" / NUMBER, tmp_path / NUMBER)
    (folder / f"{NUMBER}.ipynb").write_bytes((graded.root / f"submitted/partly/{NUMBER}/{NUMBER}.ipynb").read_bytes())
    said = graded.type("validate", f"{NUMBER}.ipynb", cwd=folder)
    assert "VALIDATION FAILED ON 1 CELL(S)!" in said
    assert 'check("scaled")' in said
    assert re.search(r"The error was:\s+FAIL +scaled +0/20", said) and "expected:" in said and "try:" in said


def test_rosters_deadlines_penalties_and_extensions_work_as_the_page_says(
    published: Classroom, tmp_path: Path, private_network: None, bwrap: str
) -> None:
    page = (COURSE / "docs" / "nbgrader.md").read_text()
    blocks = [textwrap.dedent(block) for block in re.findall(r"(?ms)^```python\n(.*?)^```$", page)]
    (plugin,), (setting,), (extension,) = (
        [block for block in blocks if word in block] for word in ("class TenPerHour", "plugin_class", "grant_extension")
    )
    others = shutil.ignore_patterns("submitted", "autograded", "feedback", "release", "gradebook.db", "grades.csv")
    room = Classroom(shutil.copytree(published.root, tmp_path / "nb", ignore=others), published.tiny)
    (room.root / "late_by_hour.py").write_text(plugin)
    with (room.root / "nbgrader_config.py").open("a") as settings:
        settings.write(setting)
    (room.root / "students.csv").write_text(
        "id,first_name,last_name,email,lms_user_id\nbob,Bob,B,bob@example.org,17\neve,Eve,E,,18\n"
    )
    room.type("db", "student", "import", "students.csv")
    room.type("db", "assignment", "add", NUMBER, "--duedate=2026-11-01 12:00 UTC")
    room.type("generate_assignment", NUMBER)
    room.hand_in("bob", solved(room.source(SOLUTION)))
    (room.root / "submitted/bob" / NUMBER / "timestamp.txt").write_text("2026-11-01 15:00:00 UTC\n")

    assert "Late submission penalty: 30.0" in room.type("autograde", NUMBER)
    assert scores_in(room) == {"bob": ("100.0", "30.0", "70.0"), "eve": ("", "0.0", "")}  # who is absent has no score

    done = room.run([sys.executable, "-c", extension.replace('"ex01"', f'"{NUMBER}"')])
    assert done.returncode == 0, done.stderr
    room.type("autograde", NUMBER, "--student", "bob", "--force")
    assert scores_in(room)["bob"] == ("100.0", "10.0", "90.0")


def scores_in(room: Classroom) -> dict[str, tuple[str, str, str]]:
    """What the export says of each student: raw score, penalty, score."""
    room.type("export")
    with (room.root / "grades.csv").open() as table:
        return {
            row["student_id"]: (row["raw_score"], row["late_submission_penalty"], row["score"])
            for row in csv.DictReader(table)
        }


def test_the_page_for_instructors_tells_only_commands_that_are_typed_here() -> None:
    page = (COURSE / "docs" / "nbgrader.md").read_text()
    here = Path(__file__).read_text()
    commands = set(re.findall(r"(?:^|`)nbgrader (\w+)", page, re.MULTILINE))
    assert len(commands) == 11
    for command in commands:
        assert f'room.type("{command}"' in here or f'graded.type("{command}"' in here, command


def without_random_numbers(words: str) -> str:
    return (
        "".join("N" if character.isdigit() else character for character in words).replace("NN", "N").replace("NN", "N")
    )


def test_in_jupyter_a_stub_has_no_points_and_each_mistake_is_told(
    published: Classroom, tmp_path: Path, private_network: None, bwrap: str, strace: str
) -> None:
    start = next(i for i, cell in enumerate(published.released()["cells"]) if cell_id(cell) == "setup") + 1
    file = f"course/exercises/{SLUG}/tiny.py"
    cells = {
        "before": 'check("echo")',
        "other": "%%solution other.py\npass",
        "unknown": 'check("nothing")',
        "import": "import tiny; tiny.serve_tiny.__name__",
        "edited": f"open({file!r}, 'a').write('# by hand\\n')",
        "after": 'check("echo")',
        "again": f"%%solution tiny.py\n{stub_of(published.source(SOLUTION), name='tiny')}",
    }

    def with_mistakes(notebook: Notebook) -> None:
        for name, source in reversed(cells.items()):
            at = start if name in ("before", "other") else len(notebook["cells"])
            added(source, at=at)(notebook)
            notebook["cells"][at]["id"] = name
        late = [name for name in cells if name not in ("before", "other")]
        notebook["cells"][-len(late) :] = [
            next(cell for cell in notebook["cells"] if cell["id"] == name) for name in late
        ]

    shown = live(published, tmp_path / "live", with_mistakes)
    assert values(shown) == dict.fromkeys(FULL, 0.0)
    errors = {name: "".join(shown[name][-1].get("traceback", "")) for name in cells}
    assert errors["before"] == "No verdict. Run the cell that begins with `%%solution tiny.py` first."
    assert errors["other"] == "No verdict. A cell of ex90_tiny begins with `%%solution tiny.py`."
    assert errors["unknown"] == "No verdict. ex90_tiny has no check 'nothing'."
    assert shown["import"][-1]["data"]["text/plain"] in ("'serve_tiny'", ["'serve_tiny'"])
    assert "was changed outside of its cell" in errors["after"]
    assert "had been edited outside of this cell" in text(shown["again"])
    assert (tmp_path / "live/course/.grade/cells/tiny.before.py").read_text().endswith("# by hand\n")


@pytest.mark.parametrize(
    ("exercises", "said"),
    [
        (None, "No verdict. .*course.yaml: there is no such file.* The folder `course` belongs beside the notebook"),
        (["ex90_tiny", "ex91_tiny"], "No verdict. course has 2 exercises, where a notebook has one"),
    ],
    ids=["none", "two"],
)
def test_a_notebook_without_its_course_says_so(tmp_path: Path, exercises: list[str] | None, said: str) -> None:
    if exercises:
        root = tiny_course(tmp_path).root
        for kind in ("exercises", "tests"):
            shutil.copytree(root / kind / SLUG, root / kind / "ex91_tiny")
        listing = root / "course.yaml"
        listing.write_text(listing.read_text().replace("  - ex90_tiny", "  - ex90_tiny\n  - ex91_tiny"))
    assert re.search(said, in_ipython(tmp_path, "%load_ext grader.notebooks.extension"))


def test_a_cell_that_cannot_be_written_says_so(published: Classroom, tmp_path: Path) -> None:
    shutil.copytree(published.root / "release" / NUMBER, tmp_path, dirs_exist_ok=True)
    (tmp_path / "course" / ".grade").write_text("in the way")
    said = in_ipython(
        tmp_path, "%load_ext grader.notebooks.extension\nget_ipython().run_cell_magic('solution', 'tiny.py', '0')"
    )
    assert re.search(r"No verdict\. .*tiny\.py: cannot be written: .*\.grade", said)


def in_ipython(folder: Path, code: str) -> str:
    command = [str(PROGRAMS / "ipython"), "--no-banner", "--colors=NoColor", "-c", code]
    environment = {"HOME": str(folder), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def test_without_nbgraders_packages_the_line_to_type_is_told(tmp_path: Path) -> None:
    code = """
import sys
sys.modules["nbformat"] = None
from pathlib import Path
from grader.course.load import load_course
from grader.publish.nbgrader import tree
course = load_course(Path(sys.argv[1]))
tree(course, course.exercises)
"""
    done = subprocess.run([sys.executable, "-c", code, str(COURSE)], capture_output=True, text=True, check=False)
    assert "UsageError: Notebooks are written by nbgrader's packages. Type `make setup WITH=instructor`." in done.stderr


@pytest.mark.parametrize(("points", "told"), [(6, True), (0, False)], ids=["worth points", "worth nothing"])
@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        (Outcome.UNMEASURED, "c10k cannot be measured on this machine: Why."),
        (Outcome.OMITTED, "c10k was not handed in: Why."),
    ],
)
def test_points_that_were_neither_won_nor_lost_are_no_verdict(
    outcome: Outcome, said: str, points: int, told: bool
) -> None:
    """As in every other form of a report."""
    samples = runpy.run_path(str(TESTS / "golden" / "regenerate.py"))
    report = samples["graded"](
        samples["scored"]("c10k", "Many", points, outcome, **samples["because"](outcome, "Why."))
    )

    with pytest.raises(NoVerdict, match=said) if told else nullcontext():
        assert verdict(report, "c10k").outcome is outcome


# --- a grading for a host -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT], ids=["killed", "interrupted"])
def test_when_its_host_ends_a_grading_ends_and_leaves_nothing(
    how: signal.Signals, private_network: None, bwrap: str
) -> None:
    """The host is what a kernel or nbgrader is; the submission never ends by itself."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)  # the box's user has to reach what lies below
        tiny = tiny_course(folder)
        (folder / "tmp").mkdir(mode=0o755)
        code = (
            "import sys; from pathlib import Path\n"
            "from grader.course.load import load_course\n"
            "from grader.grading.hosted import grade_texts\n"
            "course = load_course(Path(sys.argv[1]))\n"
            "grade_texts(course, course.exercises[0], {'tiny.py': 'while True: 0'})"
        )
        command = [sys.executable, "-c", code, str(tiny.root)]
        with subprocess.Popen(command, env={"TMPDIR": str(folder / "tmp")}, stderr=subprocess.DEVNULL) as host:
            wait_until(lambda: in_a_box(host.pid), "a box")  # and no `bwrap --version`
            below = descendants(host.pid)
            host.send_signal(how)
        wait_until(lambda: not any(one.is_running() for one in below), "the end of all that was started")
        wait_until(lambda: not list((folder / "tmp").iterdir()), "folders to be taken away")
