"""Course files in, values or one located sentence out. Knows how a course looks on disk; knows nothing of grading."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from grader.course.load import find_course_root, load_course
from grader.course.model import Course, Exercise
from grader.course.text import Text
from grader.errors import CourseError, UsageError
from grader.prove.promises import read_promises

COURSE = """\
# A course for tests.
format: 1
title:
  en: Servers
  ko: 서버
languages: [en, ko]
exercises:
  - ex03_loop
defaults:
  deadline_s: 30
  memory_mb: 512
  processes: 64
  tmp_mb: 16
  file_kb: 256
"""

EXERCISE = """\
# What the loop is graded by.
format: 1
title: the loop
summary: One thread holds all connections.
submit: [loop.py, buffers.py]
given: [traps.py]
entry: serve
forbidden:
  modules:
    concurrent.futures: one thread is enough here
  calls:
    select: it hands over the whole interest set
sizes:
  crowd: 100
  requests: 200
limits:
  memory_mb: 128
checks:
  - name: basic
    points: 40
    title:
      en: One client is served
      ko: 한 명을 응대한다
    hint: Register the listening socket.
  - name: idle
    points: 25
    title: Idle connections cost nothing
    needs: [basic]
    deadline_s: 2.5
    hint: Wait without a timeout.
    budgets:
      - name: idle_syscalls
        limit: 5
        reference: 0
        naive: 3500
        unit: calls
        formula: system calls in 0.5 s
        why: nothing is ready
  - name: api
    points: 15
    title: Readiness comes from epoll
    hint: Create it once.
  - name: scale
    points: 20
    title: Work does not grow
    needs: [api, idle]
    hint: Keep a dict.
    budgets:
      - name: step_ratio
        limit: 2.0
        reference: 1.0
        unit: ratio
        formula: steps with 300 connections / with 10
        why: nobody has to search
bounds:
  crowd: [50, 120]
"""

TESTS = """\
def shout(line):
    return line.upper()

def test_basic(submission):
    pass

def test_idle(submission, budget):
    def tests_nothing():
        pass

def test_api(submission):
    pass
"""

COURSE_FILE = "course.yaml"
EXERCISE_FILE = "exercises/ex03_loop/exercise.yaml"
TEST_FILE = "tests/ex03_loop/test_loop.py"
HIDDEN_FILE = "tests/ex03_loop/hidden/sizes.yaml"

FILES = {
    COURSE_FILE: COURSE,
    EXERCISE_FILE: EXERCISE,
    "exercises/ex03_loop/traps.py": "SLEEP = 1\n",
    "exercises/ex03_loop/README.md": "Write a loop.\n",
    TEST_FILE: TESTS,
    "tests/ex03_loop/test_scale.py": "def test_scale(submission, budget):\n    pass\n",
    "tests/ex03_loop/conftest.py": "def test_is_no_test_in_a_conftest():\n    pass\n",
    "tests/ex03_loop/wrong/busy/loop.py": "def test_of_nothing(): pass\n",
    "tests/ex03_loop/right/classes/loop.py": "class Loop: pass\n",
    HIDDEN_FILE: "format: 1\nsizes:\n  crowd: 117\n",
}

FAULT = "HERE"  # stands in the line that a message must name


def put(root: Path, name: str, text: str) -> None:
    """Write a file; a lone surrogate in `text` becomes the byte that it stands for, so that it is no UTF-8."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode(errors="surrogateescape"))


def put_course(root: Path, *more: str) -> Path:
    """The course above; each slug of `more` is an exercise after the first one, with the same words."""
    for name, text in FILES.items():
        put(root, name, text)
        for slug in more:
            put(root, name.replace("ex03_loop", slug), text)
    put(root, COURSE_FILE, COURSE.replace("  - ex03_loop\n", "".join(f"  - {slug}\n" for slug in ("ex03_loop", *more))))
    return root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return put_course(tmp_path)


@pytest.fixture
def exercise(root: Path) -> Exercise:
    return load_course(root).exercises[0]


@pytest.fixture(params=["libyaml", "python"])
def parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """PyYAML with libyaml, where it was built with it, and without."""
    if request.param == "python":
        monkeypatch.delattr(yaml, "CSafeLoader", raising=False)
    return str(request.param)


def refusal(root: Path) -> str:
    with pytest.raises(CourseError) as caught:
        load_course(root)
    return str(caught.value)


# What is refused


class Mistake(NamedTuple):
    """`right` in the file becomes `wrong`, and the message holds `said`."""

    name: str
    file: str
    right: str
    wrong: str
    said: str


MISTAKES = [
    # YAML itself
    Mistake("not YAML", EXERCISE_FILE, "entry: serve", 'entry: "a" "b" # HERE', "not YAML"),
    Mistake("a tab", EXERCISE_FILE, "entry: serve", "\tentry: serve # HERE", "not YAML"),
    Mistake("a control character", EXERCISE_FILE, "entry: serve", "entry: serve\x07 # HERE", "U+0007"),
    Mistake("a NUL", COURSE_FILE, "  - ex03_loop", "  - ex03_loop # HERE \0", "U+0000"),
    Mistake("not UTF-8", EXERCISE_FILE, "title: the loop", "title: caf\udce9 # HERE", "not UTF-8"),
    Mistake("a doubled key", EXERCISE_FILE, "entry: serve", "entry: serve\nentry: other # HERE", "in line 7 already"),
    Mistake("a doubled key below", EXERCISE_FILE, "  requests: 200", "  crowd: 200 # HERE", "in line 14 already"),
    Mistake("an anchor", EXERCISE_FILE, "title: the loop", "title: &t the loop # HERE", "anchors and aliases"),
    Mistake("an anchored key", EXERCISE_FILE, "title: the loop", "&t title: the loop # HERE", "anchors and aliases"),
    Mistake("an alias", EXERCISE_FILE, "title: the loop", "title: *t # HERE", "write the value out"),
    Mistake("a merge key", EXERCISE_FILE, "title: the loop", "<<: {} # HERE", "put it in quotes"),
    Mistake("a tag", EXERCISE_FILE, "title: the loop", "title: !!python/name:os.system x # HERE", "the tag"),
    Mistake("a tagged key", EXERCISE_FILE, "title: the loop", "!!str title: x # HERE", "the tag"),
    Mistake("a tagged list", EXERCISE_FILE, "submit: [loop.py", "submit: !!set [loop.py # HERE\n  ", "the tag"),
    Mistake("a number as key", EXERCISE_FILE, "    select:", "    4: no # HERE\n    select:", "put it in quotes"),
    Mistake("a list as key", EXERCISE_FILE, "sizes:", "? [sizes] # HERE\n:", "put it in quotes"),
    Mistake("a second document", COURSE_FILE, "  file_kb: 256", "  file_kb: 256\n--- # HERE\na: 1", "second document"),
    Mistake("a date that is none", EXERCISE_FILE, "title: the loop", "title: 2026-13-45 # HERE", "put it in quotes"),
    Mistake("an endless number", EXERCISE_FILE, "crowd: 100", f"crowd: {'9' * 5000} # HERE", "put it in quotes"),
    Mistake("an octal number", EXERCISE_FILE, "crowd: 100", "crowd: 0100 # HERE", "reads 0100 as the number 64"),
    Mistake("a number to the base of 60", EXERCISE_FILE, "crowd: 100", "crowd: 1:30 # HERE", "as the number 90"),
    Mistake("a clock for a limit", COURSE_FILE, "deadline_s: 30", "deadline_s: 1:30 # HERE", "as the number 90"),
    Mistake("a huge octal number", EXERCISE_FILE, "crowd: 100", f"crowd: 0{'7' * 400} # HERE", "too large"),
    Mistake("a huge number", EXERCISE_FILE, "crowd: 100", f"crowd: 0x{'f' * 5000} # HERE", "too large"),
    Mistake("deep flow", EXERCISE_FILE, "title: the loop", "title: " + "[" * 5000 + " # HERE", "nested deeper"),
    Mistake(
        "deep blocks",
        EXERCISE_FILE,
        "title: the loop",
        "title:\n" + "".join(f"{' ' * i}a:{' # HERE' * (i == 16)}\n" for i in range(1, 60)) + "#",
        "nested deeper",
    ),
    # Format
    Mistake("a newer format", EXERCISE_FILE, "format: 1", "format: 2 # HERE", "newer than this kit"),
    Mistake("a newer format with new keys", COURSE_FILE, "format: 1", "format: 2 # HERE\nterm: 3", "update"),
    Mistake("a format of words", EXERCISE_FILE, "format: 1", "format: one # HERE", "write `format: 1`"),
    Mistake("a format of yes", COURSE_FILE, "format: 1", "format: yes # HERE", "write `format: 1`"),
    Mistake("format 0", HIDDEN_FILE, "format: 1", "format: 0 # HERE", "write `format: 1`"),
    Mistake("no format", EXERCISE_FILE, "format: 1\ntitle:", "title: # HERE\n ", "'format' is missing"),
    # Keys and types
    Mistake("unknown key", EXERCISE_FILE, "summary:", "sumary: # HERE\n ", "did you mean 'summary'?"),
    Mistake(
        "unknown key of a check", EXERCISE_FILE, "    points: 25", "    point: 25 # HERE", "did you mean 'points'?"
    ),
    Mistake(
        "unknown key of a budget",
        EXERCISE_FILE,
        "        why: nothing is",
        "        wy: # HERE\n         ",
        "mean 'why'?",
    ),
    Mistake("unknown key of the ban", EXERCISE_FILE, "  calls:", "  call: # HERE", "did you mean 'calls'?"),
    Mistake("unknown limit", EXERCISE_FILE, "  memory_mb:", "  memory_gb: # HERE\n   ", "did you mean 'memory_mb'?"),
    Mistake("unknown key of the course", COURSE_FILE, "defaults:", "default: # HERE", "did you mean 'defaults'?"),
    Mistake("unknown default", COURSE_FILE, "  tmp_mb:", "  tmp_gb: # HERE\n   ", "did you mean 'tmp_mb'?"),
    Mistake("unknown key of the overlay", HIDDEN_FILE, "sizes:", "size: # HERE", "did you mean 'sizes'?"),
    Mistake("missing key", EXERCISE_FILE, "format: 1\ntitle: the loop", "format: 1 # HERE", "'title' is missing"),
    Mistake(
        "missing key of a check", EXERCISE_FILE, "- name: idle\n    points: 25", "- name: idle # HERE", "'points' is"
    ),
    Mistake(
        "budget without formula",
        EXERCISE_FILE,
        "- name: step_ratio\n        limit: 2.0\n        reference: 1.0\n        unit: ratio\n        formula:",
        "- name: step_ratio # HERE\n        limit: 2.0\n        reference: 1.0\n        unit:",
        "'formula' is missing",
    ),
    Mistake(
        "budget without why",
        EXERCISE_FILE,
        EXERCISE[EXERCISE.index("- name: step_ratio") :],
        "- {name: step_ratio, limit: 2, reference: 1, unit: ratio, formula: x} # HERE\n",
        "'why' is missing",
    ),
    Mistake(
        "missing default", COURSE_FILE, "defaults:\n  deadline_s: 30", "defaults: # HERE", "'deadline_s' is missing"
    ),
    Mistake("points as text", EXERCISE_FILE, "points: 40", "points: many # HERE", "write a whole number"),
    Mistake("points as digits in quotes", EXERCISE_FILE, "points: 40", 'points: "40" # HERE', "write a whole number"),
    Mistake(
        "points as a fraction", EXERCISE_FILE, "points: 40", "points: 40.5 # HERE", "the number 40.5; write a whole"
    ),
    Mistake("points as yes", EXERCISE_FILE, "points: 40", "points: yes # HERE", "yes or no; write a whole number"),
    Mistake("negative points", EXERCISE_FILE, "points: 40", "points: -1 # HERE", "at least 0"),
    Mistake("limit as text", EXERCISE_FILE, "limit: 5", "limit: 5 calls # HERE", "write a number"),
    Mistake("limit NaN", EXERCISE_FILE, "limit: 5", "limit: .nan # HERE", "finite"),
    Mistake("limit infinite", EXERCISE_FILE, "limit: 5", "limit: .inf # HERE", "finite"),
    Mistake("limit that overflows", EXERCISE_FILE, "limit: 5", "limit: 1.0e+400 # HERE", "finite"),
    Mistake("reference NaN", EXERCISE_FILE, "reference: 0", "reference: .NaN # HERE", "finite"),
    Mistake("naive infinite", EXERCISE_FILE, "naive: 3500", "naive: -.inf # HERE", "write a number"),
    Mistake("deadline 0", EXERCISE_FILE, "deadline_s: 2.5", "deadline_s: 0 # HERE", "greater than 0"),
    Mistake("deadline NaN", EXERCISE_FILE, "deadline_s: 2.5", "deadline_s: .nan # HERE", "write a number"),
    Mistake("limits as a list", EXERCISE_FILE, "limits:\n  memory_mb: 128", "limits: [1] # HERE", "write a mapping"),
    Mistake("limit of 0 MiB", EXERCISE_FILE, "memory_mb: 128", "memory_mb: 0 # HERE", "greater than 0"),
    Mistake("default as text", COURSE_FILE, "processes: 64", "processes: few # HERE", "write a whole number"),
    Mistake("check as text", EXERCISE_FILE, "checks:", "checks:\n  - basic # HERE", "write a mapping"),
    Mistake("needs as text", EXERCISE_FILE, "needs: [basic]", "needs: basic # HERE", "write a list"),
    Mistake("size as text", EXERCISE_FILE, "crowd: 100", "crowd: some # HERE", "write a whole number"),
    Mistake("negative size", HIDDEN_FILE, "crowd: 117", "crowd: -1 # HERE", "at least 0"),
    Mistake("no exercises", COURSE_FILE, "exercises:\n  - ex03_loop", "exercises: [] # HERE", "at least one"),
    Mistake("nothing to submit", EXERCISE_FILE, "submit: [loop.py, buffers.py]", "submit: [] # HERE", "at least one"),
    # Texts
    Mistake(
        "empty hint", EXERCISE_FILE, "hint: Register the listening socket.", 'hint: "" # HERE', "at least one word"
    ),
    Mistake(
        "blank hint", EXERCISE_FILE, "hint: Register the listening socket.", 'hint: " " # HERE', "at least one word"
    ),
    Mistake("hint without a value", EXERCISE_FILE, "hint: Create it once.", "hint: # HERE", "this text is empty"),
    Mistake(
        "title that YAML reads as yes", EXERCISE_FILE, "title: the loop", "title: on # HERE", "in quotes if need be"
    ),
    Mistake("title that is a number", EXERCISE_FILE, "title: the loop", "title: 42 # HERE", "the number 42"),
    Mistake("title that is a date", EXERCISE_FILE, "title: the loop", "title: 2026-01-02 # HERE", "a date"),
    Mistake("title that is a list", EXERCISE_FILE, "title: the loop", "title: [loop] # HERE", "a list"),
    Mistake("no English", EXERCISE_FILE, "title:\n      en: One client is served", "title: # HERE", "add the key 'en'"),
    Mistake(
        "unknown language", EXERCISE_FILE, "      ko:", "      jp: # HERE\n       ", "not a language of the course"
    ),
    Mistake("unknown language of the course", COURSE_FILE, "  ko: 서버", "  fr: Serveurs # HERE", "there are: en, ko"),
    Mistake("empty translation", EXERCISE_FILE, "ko: 한 명을 응대한다", "ko: '' # HERE", "'ko' is the text ''"),
    Mistake(
        "text in a translation's place", EXERCISE_FILE, "en: One client is served", "en: [x] # HERE", "'en' is a list"
    ),
    Mistake("languages without English", COURSE_FILE, "languages: [en, ko]", "languages: [ko] # HERE", "add en"),
    # Names
    Mistake("slug", COURSE_FILE, "  - ex03_loop", "  - ../ex03 # HERE", "not the name of an exercise"),
    Mistake("exercise twice", COURSE_FILE, "  - ex03_loop", "  - ex03_loop\n  - ex03_loop # HERE", "in line 8 already"),
    Mistake(
        "exercise without a folder", COURSE_FILE, "  - ex03_loop", "  - ex04_ring # HERE", "there is no exercises/ex04"
    ),
    Mistake("check twice", EXERCISE_FILE, "name: api", "name: idle # HERE", "in line 25 already"),
    Mistake("check in capitals", EXERCISE_FILE, "name: api", "name: Api # HERE", "lower case"),
    Mistake("budget twice", EXERCISE_FILE, "name: step_ratio", "name: idle_syscalls # HERE", "in line 32 already"),
    Mistake("need unknown", EXERCISE_FILE, "needs: [basic]", "needs: [basics] # HERE", "did you mean 'basic'?"),
    Mistake("need below", EXERCISE_FILE, "needs: [basic]", "needs: [scale] # HERE", "does not stand above it"),
    Mistake("need of itself", EXERCISE_FILE, "needs: [basic]", "needs: [idle] # HERE", "does not stand above it"),
    Mistake(
        "second need",
        EXERCISE_FILE,
        "needs: [api, idle]",
        "needs:\n    - api\n    - i # HERE",
        "needs 'i', which is no check",
    ),
    Mistake(
        "points below 100",
        EXERCISE_FILE,
        "checks:\n  - name: basic\n    points: 40",
        "checks: # HERE\n  - name: basic\n    points: 38",
        "98, not 100; add 2",
    ),
    Mistake(
        "points above 100",
        EXERCISE_FILE,
        "checks:\n  - name: basic\n    points: 40",
        "checks: # HERE\n  - name: basic\n    points: 43",
        "take away 3",
    ),
    Mistake("entry with a dot", EXERCISE_FILE, "entry: serve", "entry: loop.serve # HERE", "a Python identifier"),
    Mistake(
        "module with a slash",
        EXERCISE_FILE,
        "    concurrent.futures:",
        "    concurrent/futures: # HERE\n     ",
        "a module",
    ),
    # Files
    Mistake(
        "submit with a slash", EXERCISE_FILE, "[loop.py, buffers.py]", "[loop.py, a/b.py] # HERE", "the plain name"
    ),
    Mistake("submit of another kind", EXERCISE_FILE, "[loop.py, buffers.py]", "[loop.txt] # HERE", "a Python file"),
    Mistake("submit twice", EXERCISE_FILE, "[loop.py, buffers.py]", "[loop.py, loop.py] # HERE", "in line 5 already"),
    Mistake("given and submitted", EXERCISE_FILE, "given: [traps.py]", "given: [loop.py] # HERE", "in line 5 already"),
    Mistake(
        "given missing", EXERCISE_FILE, "given: [traps.py]", "given: [trap.py] # HERE", "no exercises/ex03_loop/trap.py"
    ),
    Mistake("given elsewhere", EXERCISE_FILE, "given: [traps.py]", "given: [../traps.py] # HERE", "without a folder"),
    Mistake(
        "bounds of no size",
        EXERCISE_FILE,
        "  crowd: [50, 120]",
        "  crowds: [5, 9] # HERE",
        "no size 'crowds' that this",
    ),
    Mistake("bounds of three", EXERCISE_FILE, "[50, 120]", "[50, 80, 120] # HERE", ""),
    Mistake(
        "size out of bounds", EXERCISE_FILE, "crowd: 100", "crowd: 49 # HERE", "crowd is 49, and the exercise promises"
    ),
    Mistake("hidden size out of bounds", HIDDEN_FILE, "crowd: 117", "crowd: 121 # HERE", "promises 50 to 120; choose"),
    Mistake("hidden size unknown", HIDDEN_FILE, "crowd: 117", "crowds: 117 # HERE", "did you mean 'crowd'?"),
    # Checks and their tests
    Mistake(
        "check without a test",
        EXERCISE_FILE,
        "  - name: api",
        "  - name: extra # HERE\n    points: 0\n    title: x\n    hint: x\n  - name: api",
        "write the function test_extra",
    ),
    Mistake(
        "test without a check",
        TEST_FILE,
        "def test_api(submission):",
        "def test_apo(submission): # HERE",
        "mean 'test_api'?",
    ),
    Mistake(
        "test by pytest's prefix", TEST_FILE, "def shout(line):", "def testify(line): # HERE", "the test of no check"
    ),
    Mistake(
        "async test without a check",
        TEST_FILE,
        "def shout(line):",
        "async def test_it(): # HERE",
        "the test of no check",
    ),
    Mistake(
        "test twice",
        TEST_FILE,
        "def test_api(",
        "def test_basic(): # HERE\n    pass\ndef test_api(",
        "test_loop.py:4 already",
    ),
    Mistake(
        "test twice, in two files",
        "tests/ex03_loop/test_scale.py",
        "def test_scale",
        "def test_idle(): # HERE\n    pass\ndef test_scale",
        "test_loop.py:7 already",
    ),
    Mistake(
        "class of tests", TEST_FILE, "def shout(line):", "class TestLoop: # HERE\n  def shout(line):", "class of tests"
    ),
    Mistake("syntax error", TEST_FILE, "def shout(line):", "def shout(line: # HERE", "not Python"),
    Mistake("test that is not UTF-8", TEST_FILE, "line.upper()", "'caf\udce9' # HERE", "not UTF-8"),
]


@pytest.mark.parametrize("mistake", MISTAKES, ids=[mistake.name for mistake in MISTAKES])
def test_a_mistake_is_refused_with_its_file_its_line_and_the_cure(root: Path, parser: str, mistake: Mistake) -> None:
    text = FILES[mistake.file]
    assert mistake.right in text
    wrong = text.replace(mistake.right, mistake.wrong, 1)
    put(root, mistake.file, wrong)
    line = wrong[: wrong.index(FAULT)].count("\n") + 1

    said = refusal(root)

    assert said.startswith(f"{mistake.file}:{line}: ")
    assert mistake.said in said
    assert "; " in said


@pytest.mark.parametrize("name", [COURSE_FILE, EXERCISE_FILE, HIDDEN_FILE])
@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n"])
def test_an_empty_file_is_refused(root: Path, parser: str, name: str, text: str) -> None:
    put(root, name, text)

    assert refusal(root).startswith(f"{name}:1: the file is empty; ")


@pytest.mark.parametrize("name", [COURSE_FILE, EXERCISE_FILE, HIDDEN_FILE])
@pytest.mark.parametrize(
    ("text", "seen"),
    [("- a\n- b\n", "a list"), ("hello\n", "the text 'hello'"), ("--- ~\n", "empty"), ("4\n", "the number 4")],
)
def test_a_file_that_is_no_mapping_is_refused(root: Path, name: str, text: str, seen: str) -> None:
    put(root, name, "# comment\n" + text)

    assert refusal(root) == f"{name}:2: the file is {seen}; write a mapping, `key: value`"


def test_an_alias_bomb_is_refused_before_it_is_unfolded(root: Path, parser: str) -> None:
    bomb = "".join(f"k{i}: &k{i} [{', '.join([f'*k{i - 1}'] * 9) if i else 'x'}]\n" for i in range(40))
    put(root, EXERCISE_FILE, bomb)

    assert refusal(root).startswith(f"{EXERCISE_FILE}:1: anchors and aliases are not read in course files; ")


def test_a_course_folder_without_a_course_file_is_refused(tmp_path: Path) -> None:
    assert (
        refusal(tmp_path) == f"{tmp_path / COURSE_FILE}: there is no such file; name the folder that holds the course"
    )


def test_an_exercise_whose_folder_has_no_exercise_file_is_refused_where_it_is_listed(root: Path) -> None:
    (root / EXERCISE_FILE).unlink()

    assert refusal(root).startswith(f"{COURSE_FILE}:8: ex03_loop is listed, but there is no {EXERCISE_FILE}; ")


def test_a_check_that_is_imported_has_its_test(root: Path) -> None:
    tests = root.joinpath("tests/ex03_loop").glob("test_*.py")
    path = next(path for path in tests if "def test_basic(" in path.read_text())
    path.write_text(path.read_text().replace("def test_basic(", "def basic("))
    shared = "from grader.checks.line_server import test_basic, shout"
    with_it = f"{shared}\n{path.read_text()}"

    assert " has no test; " in refusal(root)
    path.write_text(with_it)
    load_course(root)
    path.write_text(with_it.replace("test_basic, shout", "test_basic, test_rst"))
    assert ":1: test_rst is the test of no check; " in refusal(root)


def test_an_exercise_without_any_test_file_is_refused_at_its_first_check(root: Path) -> None:
    for path in (root / "tests/ex03_loop").glob("test_*.py"):
        path.unlink()

    assert refusal(root).startswith(f"{EXERCISE_FILE}:19: the check basic has no test; ")


@pytest.mark.parametrize("name", [COURSE_FILE, EXERCISE_FILE, HIDDEN_FILE, TEST_FILE, "exercises/ex03_loop/traps.py"])
def test_a_file_that_cannot_be_read_is_refused(root: Path, name: str) -> None:
    (root / name).unlink()
    (root / name).mkdir()  # a folder cannot be read as a file, not even by root

    assert refusal(root) == f"{name}:1: the file cannot be read: Is a directory; make it readable"


@pytest.mark.parametrize("nested", ["(" * 5000 + ")" * 5000, "x" + ".x" * 50_000, "-" * 50_000 + "1"])
def test_a_test_file_that_the_parser_cannot_hold_is_refused(root: Path, nested: str) -> None:
    put(root, TEST_FILE, f"x = {nested}\n")

    assert refusal(root).startswith(f"{TEST_FILE}:1: ")


def test_a_test_file_with_a_nul_is_refused(root: Path) -> None:
    put(root, TEST_FILE, "x = 1\0\n")

    assert refusal(root).startswith(f"{TEST_FILE}:1: ")


def test_of_two_mistakes_the_upper_one_is_told(root: Path) -> None:
    put(root, EXERCISE_FILE, EXERCISE.replace("points: 40", "points: many").replace("limit: 5", "limit: few"))

    assert refusal(root).startswith(f"{EXERCISE_FILE}:20: 'points' is the text 'many'; write a whole number")


def test_a_mistyped_key_is_told_before_the_key_that_is_missing_for_it(root: Path) -> None:
    put(root, EXERCISE_FILE, EXERCISE.replace("entry:", "entri:"))

    assert refusal(root).startswith(f"{EXERCISE_FILE}:7: the key 'entri' is not known here; did you mean 'entry'? ")


def test_nothing_of_the_course_is_imported(root: Path) -> None:
    marker = root / "imported"
    put(root, TEST_FILE, f"open({str(marker)!r}, 'w').close()\n{TESTS}")

    load_course(root)

    assert not marker.exists()


@settings(max_examples=60, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(line=st.integers(0, EXERCISE.count("\n") - 1), text=st.text(max_size=30))
def test_any_line_of_text_gives_a_course_or_a_located_refusal(root: Path, line: int, text: str) -> None:
    lines = EXERCISE.split("\n")
    lines[line] = lines[line].partition(":")[0] + ": " + text
    (root / EXERCISE_FILE).write_bytes("\n".join(lines).encode(errors="replace"))

    try:
        assert isinstance(load_course(root), Course)
    except CourseError as error:
        file, where, _ = str(error).split(":", 2)
        assert (root / file).is_file()
        assert 1 <= int(where) <= len(lines) + text.count("\n") + len(text)


@settings(max_examples=60, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(raw=st.binary(max_size=60))
def test_any_bytes_give_a_located_refusal(root: Path, raw: bytes) -> None:
    (root / EXERCISE_FILE).write_bytes(raw)

    with pytest.raises(CourseError, match=rf"\A{EXERCISE_FILE}:[0-9]+: "):
        load_course(root)


# What is read


def test_a_course_is_read_whole(root: Path, parser: str) -> None:
    course = load_course(root)

    assert course.root == root.resolve()
    assert course.languages == ("en", "ko")
    assert course.title.in_("ko") == "서버"
    (exercise,) = course.exercises
    assert (exercise.slug, exercise.number, exercise.entry) == ("ex03_loop", "ex03", "serve")
    assert exercise.submit == ("loop.py", "buffers.py")
    assert exercise.given == ("traps.py",)
    assert exercise.max_score == 100
    assert [check.name for check in exercise.checks] == ["basic", "idle", "api", "scale"]
    assert exercise.forbidden.modules["concurrent.futures"].in_("en") == "one thread is enough here"
    assert exercise.forbidden.calls["select"].in_("en") == "it hands over the whole interest set"
    (budget,) = exercise.check("idle").budgets
    assert (budget.name, budget.limit, budget.reference, budget.naive) == ("idle_syscalls", 5, 0, 3500)
    assert (budget.unit.in_("en"), budget.formula.in_("en"), budget.why.in_("en")) == (
        "calls",
        "system calls in 0.5 s",
        "nothing is ready",
    )


def test_a_budget_needs_no_naive_figure(exercise: Exercise) -> None:
    assert exercise.check("scale").budgets[0].naive is None


def test_libyaml_changes_no_value(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quick = load_course(root)
    monkeypatch.delattr(yaml, "CSafeLoader", raising=False)

    assert load_course(root) == quick


def test_the_folders_of_an_exercise_are_those_of_the_course(root: Path, exercise: Exercise) -> None:
    assert exercise.handout_dir == root.resolve() / "exercises/ex03_loop"
    assert exercise.solution_dir == root.resolve() / "solutions/ex03_loop"
    assert exercise.checks_dir == root.resolve() / "tests/ex03_loop"


def test_a_text_of_one_string_is_the_same_in_each_language(exercise: Exercise) -> None:
    assert exercise.title.in_("en") == exercise.title.in_("ko") == "the loop"


def test_a_text_falls_back_to_english(exercise: Exercise) -> None:
    title = exercise.check("basic").title

    assert title.in_("ko") == "한 명을 응대한다"
    assert title.in_("fr") == "One client is served"


def test_a_text_has_no_space_at_its_ends() -> None:
    assert Text.model_validate(" a\n").in_("en") == "a"


def test_limits_are_the_courses_with_the_exercises_own_in_their_place(exercise: Exercise) -> None:
    assert exercise.limits.model_dump() == {
        "deadline_s": 30.0,
        "memory_mb": 128,
        "processes": 64,
        "tmp_mb": 16,
        "file_kb": 256,
    }


def test_a_check_has_its_own_deadline_or_the_exercises(exercise: Exercise) -> None:
    assert exercise.deadline_s(exercise.check("idle")) == 2.5
    assert exercise.deadline_s(exercise.check("basic")) == 30


def test_hidden_sizes_are_the_public_ones_with_the_overlay_in_their_place(exercise: Exercise) -> None:
    assert exercise.sizes == {"crowd": 100, "requests": 200}
    assert exercise.hidden_sizes == {"crowd": 117, "requests": 200}


def test_without_an_overlay_there_are_no_hidden_sizes(root: Path) -> None:
    (root / HIDDEN_FILE).unlink()

    assert load_course(root).exercises[0].hidden_sizes is None


def test_a_file_with_a_byte_order_mark_and_windows_line_ends_is_read(root: Path, parser: str) -> None:
    plain = load_course(root).exercises[0]
    for name in (EXERCISE_FILE, TEST_FILE):
        put(root, name, "\ufeff" + FILES[name].replace("\n", "\r\n"))

    exercise = load_course(root).exercises[0]

    assert exercise.model_dump(exclude={"digest"}) == plain.model_dump(exclude={"digest"})


def test_the_lock_of_an_editor_beside_the_tests_is_ignored(root: Path, exercise: Exercise) -> None:
    (root / "tests/ex03_loop/.#test_loop.py").symlink_to("somebody@somewhere.1234")

    assert load_course(root).exercises[0].digest == exercise.digest


def test_values_do_not_change(exercise: Exercise) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        exercise.checks[0].points = 5


def test_an_exercise_survives_json(exercise: Exercise) -> None:
    assert Exercise.model_validate_json(exercise.model_dump_json()) == exercise


def test_what_a_check_needs_comes_along_in_the_exercises_order(exercise: Exercise) -> None:
    assert exercise.with_needs(["scale"]) == ("basic", "idle", "api", "scale")
    assert exercise.with_needs(["api", "idle", "api"]) == ("basic", "idle", "api")
    assert exercise.with_needs([]) == ()


def test_a_check_that_there_is_not_is_refused_with_the_nearest_one(exercise: Exercise) -> None:
    for look in (exercise.check, lambda name: exercise.with_needs(["api", name])):
        with pytest.raises(
            UsageError, match=r"ex03_loop has no check 'scael'; did you mean 'scale'\? there are: basic"
        ):
            look("scael")


# The digest


CHANGES: dict[str, Callable[[Path], object]] = {
    "a limit of the course": lambda root: put(root, COURSE_FILE, COURSE.replace("processes: 64", "processes: 65")),
    "exercise.yaml": lambda root: put(root, EXERCISE_FILE, EXERCISE.replace("limit: 5", "limit: 6")),
    "a given file": lambda root: put(root, "exercises/ex03_loop/traps.py", "SLEEP = 2\n"),
    "a test": lambda root: put(root, TEST_FILE, TESTS + "# more\n"),
    "conftest.py": lambda root: put(root, "tests/ex03_loop/conftest.py", ""),
    "another module": lambda root: put(root, "tests/ex03_loop/scenarios.py", ""),
    "a file's name": lambda root: (root / TEST_FILE).rename(root / "tests/ex03_loop/test_all.py"),
}
NO_CHANGES: dict[str, Callable[[Path], object]] = {
    "the rest of course.yaml": lambda root: put(root, COURSE_FILE, COURSE.replace("title: ", "title: Other ")),
    "hidden sizes": lambda root: put(root, HIDDEN_FILE, "format: 1\nsizes:\n  crowd: 118\n"),
    "hidden checks": lambda root: put(root, "tests/ex03_loop/hidden/test_more.py", "def test_more(): pass\n"),
    "wrong": lambda root: put(root, "tests/ex03_loop/wrong/busy/loop.py", ""),
    "right": lambda root: put(root, "tests/ex03_loop/right/other/loop.py", ""),
    "the handout": lambda root: put(root, "exercises/ex03_loop/README.md", ""),
    "what a student wrote": lambda root: put(root, "exercises/ex03_loop/loop.py", ""),
    "a cache": lambda root: put(root, "tests/ex03_loop/__pycache__/test_loop.cpython-311.pyc", ""),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_the_digest_follows_what_decides_a_verdict(
    root: Path, exercise: Exercise, change: Callable[[Path], object]
) -> None:
    change(root)

    assert load_course(root).exercises[0].digest != exercise.digest


@pytest.mark.parametrize("change", NO_CHANGES.values(), ids=NO_CHANGES)
def test_the_digest_follows_nothing_else(root: Path, exercise: Exercise, change: Callable[[Path], object]) -> None:
    change(root)

    assert load_course(root).exercises[0].digest == exercise.digest


def test_the_digest_is_the_same_wherever_the_course_lies(tmp_path: Path) -> None:
    here, there = (load_course(put_course(tmp_path / name)).exercises[0].digest for name in ("here", "there"))

    assert here == there
    assert len(bytes.fromhex(here)) == 32


def test_bytes_that_move_from_one_file_to_the_next_change_the_digest(root: Path, exercise: Exercise) -> None:
    put(root, "tests/ex03_loop/a.py", "# one\n# two\n")
    put(root, "tests/ex03_loop/b.py", "")
    before = load_course(root).exercises[0].digest
    put(root, "tests/ex03_loop/a.py", "# one\n")
    put(root, "tests/ex03_loop/b.py", "# two\n")

    assert len({exercise.digest, before, load_course(root).exercises[0].digest}) == 3


# Finding


@pytest.mark.parametrize(
    ("word", "slug"),
    [
        ("ex03_loop", "ex03_loop"),
        ("ex10_scheduler", "ex10_scheduler"),
        ("ex10", "ex10_scheduler"),
        ("10", "ex10_scheduler"),
        ("ex04", "ex04_ring"),
        ("04", "ex04_ring"),
        ("4", "ex04_ring"),
        ("1", "ex01_first"),
        ("ex1", "ex01_first"),
        (" EX04 ", "ex04_ring"),
        ("ex04_r", "ex04_ring"),
        ("ex03_lo", "ex03_loop"),
    ],
)
def test_an_exercise_is_found_by_slug_number_or_beginning(tmp_path: Path, word: str, slug: str) -> None:
    course = load_course(put_course(tmp_path, "ex01_first", "ex03_pool", "ex04_ring", "ex10_scheduler"))

    assert course.find(word).slug == slug


def test_one_exercise_can_be_loaded_without_a_look_at_the_others(tmp_path: Path) -> None:
    root = put_course(tmp_path, "ex03_pool", "ex04_ring")
    whole = load_course(root)
    put(root, "exercises/ex03_pool/exercise.yaml", "format: broken\n")

    assert load_course(root, only="ex04_ring").exercises == (whole.find("ex04"),)
    with pytest.raises(CourseError, match=r"ex03_pool/exercise\.yaml:1: 'format' is the text 'broken'"):
        load_course(root)


@pytest.mark.parametrize("word", ["3", "ex03", "ex03_"])
def test_a_word_for_two_exercises_is_refused_with_both(tmp_path: Path, word: str) -> None:
    course = load_course(put_course(tmp_path, "ex03_pool", "ex04_ring"))

    with pytest.raises(UsageError, match=f"'{word}' may be any of ex03_loop, ex03_pool; write more of the name"):
        course.find(word)


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("ex04_rign", "there is no exercise 'ex04_rign'; did you mean 'ex04_ring'? there are: ex03_loop, ex04_ring"),
        ("9", "there is no exercise '9'; there are: ex03_loop, ex04_ring"),
        ("", "there is no exercise ''; there are: ex03_loop, ex04_ring"),
        ("9" * 5000, "there are: ex03_loop, ex04_ring"),
    ],
)
def test_a_word_for_no_exercise_is_refused_with_what_there_is(tmp_path: Path, word: str, said: str) -> None:
    course = load_course(put_course(tmp_path, "ex04_ring"))

    with pytest.raises(UsageError) as caught:
        course.find(word)

    assert said in str(caught.value)


def test_the_course_is_found_from_any_folder_or_file_below_it(root: Path) -> None:
    for start in (root, root / "tests/ex03_loop/wrong/busy", root / EXERCISE_FILE, root / "exercises/not/there"):
        assert find_course_root(start) == root.resolve()


def test_the_nearest_course_is_the_one(root: Path) -> None:
    inner = put_course(root / "exercises" / "copy")

    assert find_course_root(inner / "tests") == inner.resolve()


def test_a_folder_outside_of_any_course_is_refused_with_the_cure(tmp_path: Path) -> None:
    with pytest.raises(CourseError) as caught:
        find_course_root(tmp_path)

    assert str(caught.value) == (
        f"{tmp_path}: no course.yaml here or in any folder above; go to the course's folder and try again"
    )


def test_the_course_that_this_kit_comes_with_is_in_order() -> None:
    course = load_course(find_course_root(Path(__file__)))

    exercise = course.find("ex03")
    assert exercise.submit == ("epoll_server.py",)
    assert exercise.with_needs(["c10k"]) == ("basic", "many", "sleeps", "c5k", "c10k")
    assert exercise.deadline_s(exercise.check("c10k")) == 180
    assert exercise.forbidden.calls.keys() >= {"select", "poll"}


def test_each_size_that_this_course_varies_has_bounds_and_each_exercise_its_rules() -> None:
    for exercise in load_course(find_course_root(Path(__file__))).exercises:
        assert exercise.bounds.keys() == exercise.sizes.keys(), exercise.slug
        assert exercise.hidden_sizes is not None
        assert read_promises(exercise).rules, exercise.slug


def test_whatever_the_instructor_chooses_within_the_bounds_the_same_servers_are_right() -> None:
    course = load_course(find_course_root(Path(__file__)))
    bounds = course.find("ex02").bounds
    within, beyond, leave = (bounds[f"{which}_fd_setsize"] for which in ("within", "beyond", "leave"))

    assert within[0] + beyond[0] > 1024, "else no client comes beyond what select() can watch"
    assert leave[1] <= within[0], "else more leave than have come"
    assert within[1] <= 900, "else more come first than the contract asks a server to hold"
    assert beyond[1] < leave[0], "else a newcomer may wait in a backlog behind those who came beyond"
    assert course.find("ex03").bounds["crowd"][1] <= 4 * 32, "else a wait has to report more than 32 events"
