"""What a person types and what comes back: exit codes, words, reports, and a terminal that is left as it was found."""

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import jsonschema
import pytest
from rich.cells import cell_len

import grader
from grader.report.model import Graded, Isolation, Refused, from_json
from gradings import (
    CHECKS,
    EXERCISE,
    GRADE,
    HANDOUT,
    SLUG,
    SOLUTION,
    TINY,
    Tiny,
    descendants,
    environment,
    in_a_box,
    run,
    started,
    tiny_course,
    wait_until,
)

SCHEMA = Path(grader.__file__).parent / "report/schemas/report-2.json"
ESCAPE = "\x1b"


@pytest.fixture
def course(tmp_path: Path) -> Tiny:
    return tiny_course(tmp_path)


@pytest.fixture
def stranger(tmp_path: Path) -> Path:
    """The folder of somebody else, with a right solution."""
    folder = tmp_path / "stranger"
    folder.mkdir()
    (folder / "tiny.py").write_text((TINY / SOLUTION).read_text())
    return folder


# --- the overview, and what is remembered -------------------------------------------------------------------------


def test_grade_alone_lists_the_exercises_and_what_to_type_next(course: Tiny) -> None:
    done = course.type()

    assert done.code == 0
    assert "A tiny course" in done.out
    assert "ex90_tiny  not yet  a tiny server" in done.out
    assert "Next: grade ex90" in done.out


def test_the_best_result_is_remembered_of_ones_own_whole_gradings_only(course: Tiny, stranger: Path) -> None:
    course.hand_in(source=f"tests/{SLUG}/wrong/unscaled/tiny.py")
    course.type("ex90", "--solution")
    course.type("ex90", "--submission", str(stranger), "--trust")
    course.type("ex90", "--only", "scaled")
    before = course.type()
    first = course.grade("ex90")
    between = course.type()
    course.hand_in()
    course.type("ex90")
    after = course.type()

    assert "not yet" in before.out
    assert first.graded.score == 80
    assert "80/100" in between.out
    assert "Next: grade ex90" in between.out
    assert "100/100" in after.out
    assert "Next: grade --all" in after.out


def test_a_result_that_cannot_be_remembered_is_a_warning_and_the_verdict_stands(course: Tiny) -> None:
    course.write(".grade", "a file where the folder should be\n")
    course.hand_in()

    done = course.grade("ex90")

    assert done.code == 0
    assert "was not remembered" in done.out
    assert done.graded.score == 100


def test_all_exercises_are_graded_and_summed_up(course: Tiny) -> None:
    course.hand_in(source=f"tests/{SLUG}/wrong/unscaled/tiny.py")

    done = course.type("--all")

    assert done.code == 1
    assert done.out.endswith("All exercises: 80 of 100\n")


# --- wrong words, wrong files: exit code 2 ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(["ex91"], "there is no exercise 'ex91'; there are: ex90_tiny", id="no such exercise"),
        pytest.param(["ex90_tony"], "did you mean 'ex90_tiny'?", id="a misspelt exercise"),
        pytest.param(["ex90", "--only", "ecko"], "did you mean 'echo'?", id="a misspelt check"),
        pytest.param(["ex90", "--only", "x"], "there are: scaled, echo, calls, stop", id="no such check"),
        pytest.param(["ex90", "--solution", "--submission", "."], "leave one out", id="two things to grade"),
        pytest.param(["ex90", "--language", "fr"], "no texts in fr: it has en, ko", id="no such language"),
        pytest.param(["ex90", "--hidden"], "hidden is not there", id="no hidden sizes"),
        pytest.param(["--solution"], "--solution needs an exercise", id="an option without an exercise"),
        pytest.param(["--json", "-"], "--json needs an exercise", id="a report without an exercise"),
        pytest.param(["--all", "ex90"], "leave out the exercise", id="all and one"),
        pytest.param(["--all", "--json", "-"], "and --json", id="all on one output"),
        pytest.param(["--format", "junit", "--output", "x"], "--format needs an exercise", id="a form of nothing"),
        pytest.param(["ex90", "--format", "junit"], "write them in pairs", id="a form without a place"),
        pytest.param(["ex90", "--output", "x.xml"], "write them in pairs", id="a place without a form"),
        pytest.param(["ex90", "--format", "canvas", "--output", "-"], "'canvas' is not one of", id="a class's form"),
        pytest.param(["--all", "--format", "junit", "--output", "-"], "without --all", id="all in a form for one"),
        pytest.param(["ex90", "--json", "-", "--format", "github", "--output", "-"], "Two outputs go to -", id="two"),
        pytest.param(["ex90", "--seed", "-1"], "--seed", id="a negative seed"),
        pytest.param(["ex90", "--sede", "1"], "Did you mean one of: '--keep', '--seed'?", id="no such option"),
        pytest.param(["ex90", "ex90"], "unexpected extra argument", id="two exercises"),
    ],
)
def test_wrong_words_are_refused_with_the_cure_before_anything_runs(
    course: Tiny, words: Sequence[str], said: str
) -> None:
    done = course.type(*words)

    assert done.code == 2, done.out
    assert said in " ".join(done.err.split())
    assert "Traceback" not in done.err


def test_a_folder_outside_of_any_course_is_refused_with_the_cure(tmp_path: Path) -> None:
    done = run("ex90", "--course", str(tmp_path))

    assert done.returncode == 2
    assert "no course.yaml here or in any folder above" in done.stderr
    assert str(tmp_path) in done.stderr


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        pytest.param("course.yaml", "languages: [en, ko]", "languages: en", "course.yaml:4:", id="course.yaml"),
        pytest.param(
            EXERCISE,
            "points: 30\n    title: A request",
            "points: 29\n    title: A request",
            f"{EXERCISE}:",
            id="points",
        ),
        pytest.param(
            EXERCISE, "needs: [echo]\n    hint: One", "needs: [ecko]\n    hint: One", "needs 'ecko'", id="a need"
        ),
        pytest.param(EXERCISE, "format: 1", "format: 1\n  x: 2", f"{EXERCISE}:", id="no YAML"),
        pytest.param(CHECKS, "def test_stop(", "def test_stops(", f"{CHECKS}:", id="a check without a rule"),
        pytest.param(CHECKS, "return line.upper()", "return line.upper(", f"{CHECKS}:", id="a check file"),
    ],
)
def test_a_mistake_in_the_courses_files_is_told_with_file_and_line(
    course: Tiny, name: str, old: str, new: str, said: str
) -> None:
    course.edit(name, old, new)

    done = course.type("ex90", "--solution")

    assert done.code == 2
    assert said in done.err
    assert done.err.startswith("grade: ")
    assert done.out == ""


def test_a_submission_without_the_wanted_file_is_refused_with_what_was_found(course: Tiny, tmp_path: Path) -> None:
    folder = tmp_path / "handed_in"
    folder.mkdir()
    (folder / "Tiny.py").write_text("x = 1\n")

    done = course.type("ex90", "--submission", str(folder))

    assert done.code == 2
    assert "REFUSED: " in done.out
    assert "tiny.py is missing; found instead: Tiny.py." in " ".join(done.out.split())
    assert "What to do: Did you mean Tiny.py? Its name must be exactly tiny.py." in " ".join(done.out.split())
    assert "NO VERDICT" not in done.out


def test_ones_own_file_that_is_missing_is_refused_by_its_name(course: Tiny) -> None:
    (course.root / HANDOUT).unlink()

    done = course.type("ex90")

    assert done.code == 2
    assert "ex90_tiny: tiny.py is missing" in done.out


def test_a_folder_for_traces_that_cannot_be_one_is_refused_by_its_name(course: Tiny, tmp_path: Path) -> None:
    file = tmp_path / "a_file"
    file.write_text("")

    done = course.type("ex90", "--keep", str(file))

    assert done.code == 2
    assert f"--keep {file}" in done.err


def test_the_report_of_an_earlier_submission_does_not_outlive_a_refusal(course: Tiny, tmp_path: Path) -> None:
    folder = tmp_path / "zoe"
    folder.mkdir()
    shutil.copy(course.root / SOLUTION, folder)
    file, summary = tmp_path / "report.json", tmp_path / "summary.xml"
    words = ["ex90", "--submission", str(folder), "--json", str(file), "--format", "junit", "--output", str(summary)]

    first = course.type(*words)
    good = from_json(file.read_bytes())
    (folder / "tiny.py").write_bytes(b"# \xfc\n")
    second = course.type(*words)

    assert (first.code, second.code) == (0, 2)
    assert isinstance(good, Graded) and good.submission_digest and good.graded_at
    report = from_json(file.read_bytes())
    assert isinstance(report, Refused) and report.refusal.line == 1
    assert report.submission_digest not in (None, good.submission_digest)
    assert 'type="refused"' in summary.read_text()
    assert "Traceback" not in second.err


def test_one_refused_exercise_stops_no_other(course: Tiny) -> None:
    (course.root / HANDOUT).write_bytes(b"\xff")

    done = course.type("--all")

    assert done.code == 2
    assert "REFUSED" in done.out and done.out.endswith("All exercises: 0 of 0\n")


def test_a_submission_in_a_folder_that_is_closed_to_us_is_refused_in_every_form(course: Tiny) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "zoe").symlink_to("zoe")

        done = course.type("ex90", "--submission", f"{folder}/zoe", "--format", "github", "--output", "-")

    assert done.code == 2, done.err
    assert "::error title=ex90_tiny%3A refused::" in done.out


# --- a report as a file -------------------------------------------------------------------------------------------


def test_a_report_on_standard_output_is_all_that_is_there_and_fits_the_schema(course: Tiny) -> None:
    course.hand_in(source=f"tests/{SLUG}/wrong/own_words/tiny.py")

    done = course.type("ex90", "--json", "-")

    assert done.code == 1
    document = json.loads(done.out)
    jsonschema.validate(document, json.loads(SCHEMA.read_text()))
    assert document["schema"] == "tracegrade/report/2"
    assert [check["outcome"] for check in document["checks"]] == ["passed", "failed", "not_run", "not_run"]
    assert "Grading ex90_tiny" in done.err
    assert "Score 20 of 100" in done.err


def test_a_report_without_a_verdict_fits_the_schema_too(course: Tiny) -> None:
    course.edit(CHECKS, "number = rng.randrange(1, 1000)", "number = 1 // 0")

    done = course.type("ex90", "--solution", "--json", "-")

    assert done.code == 3
    document = json.loads(done.out)
    jsonschema.validate(document, json.loads(SCHEMA.read_text()))
    assert document["graded"] is False
    assert "score" not in document


def test_a_report_replaces_the_old_one_as_a_whole_and_leaves_nothing_beside_it(course: Tiny, tmp_path: Path) -> None:
    folder = tmp_path / "reports"
    folder.mkdir()
    file = folder / "report.json"
    file.write_text("old\n" * 10_000)
    before = file.stat().st_ino

    done = course.type("ex90", "--solution", "--only", "scaled", "--json", str(file))

    assert done.code == 0
    assert from_json(file.read_text()).graded
    assert list(folder.iterdir()) == [file]
    assert file.stat().st_ino != before


@pytest.mark.parametrize("place", ["no/such/folder/report.json", "a_folder"])
def test_a_place_that_cannot_be_written_to_is_told_before_anything_runs(
    course: Tiny, tmp_path: Path, place: str
) -> None:
    (tmp_path / "a_folder").mkdir()

    done = course.type("ex90", "--solution", "--only", "scaled", "--json", str(tmp_path / place))

    assert done.code == 2
    assert str(tmp_path / place) in done.err
    assert "Choose another FILE" in done.err
    assert "Grading" not in done.out
    assert not [entry for entry in tmp_path.iterdir() if entry.name.startswith(".")]
    assert list((tmp_path / "a_folder").iterdir()) == []


def test_a_report_that_could_not_be_written_is_told_and_is_no_verdict(course: Tiny) -> None:
    done = course.type("ex90", "--solution", "--only", "scaled", "--json", "/dev/full")

    assert done.code == 3
    assert "could not be written to /dev/full: No space left on device" in done.err


def test_a_report_into_a_pipe_goes_through_the_pipe_and_does_not_replace_it(course: Tiny, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    with subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE) as reader:
        done = course.type("ex90", "--solution", "--only", "scaled", "--json", str(pipe))
        text, _ = reader.communicate()

    assert done.code == 0
    assert from_json(text).graded
    assert pipe.is_fifo()


def test_the_printed_schema_is_the_shipped_one() -> None:
    assert run("schema").stdout == SCHEMA.read_text()


# --- traces and logs ----------------------------------------------------------------------------------------------


def test_keep_leaves_the_traces_what_was_printed_and_the_judges_log(course: Tiny, tmp_path: Path) -> None:
    kept = tmp_path / "new" / "kept"

    done = course.grade("ex90", "--solution", "--keep", str(kept))

    names = {file.name for file in kept.iterdir()}
    assert {"judge.log", "scaled-1.output", "echo-1.output", "calls-1.output", "stop-1.output"} <= names
    assert "passed" in (kept / "judge.log").read_text()
    if done.outcomes["calls"] == "passed":
        assert "epoll_wait(" in (kept / "calls-1.strace").read_text()


# --- isolation ----------------------------------------------------------------------------------------------------


def test_trust_runs_bare_under_a_banner_and_is_not_official(course: Tiny, stranger: Path) -> None:
    done = course.grade("ex90", "--submission", str(stranger), "--trust")

    assert done.code == 0, done.out + done.err
    assert done.graded.isolation is Isolation.BARE
    assert not done.graded.official
    assert done.graded.missing_protections == ("it was asked for with --trust",)
    assert "NOT ISOLATED: it was asked for with --trust." in done.out
    assert "You asked for it, so it runs bare, and the result is not official." in " ".join(done.out.split())
    assert "Official:  no, because the program was not boxed" in done.out


def test_a_run_of_some_checks_is_not_official_and_says_so(course: Tiny) -> None:
    done = course.grade("ex90", "--solution", "--only", "scaled")

    assert not done.graded.official
    assert done.graded.partial
    assert "only some of the checks were run" in done.out


# --- how it looks -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["en", "ko"])
def test_in_a_pipe_no_line_is_longer_than_80_columns_and_nothing_is_coloured(course: Tiny, language: str) -> None:
    course.hand_in(source=f"tests/{SLUG}/wrong/chatty/tiny.py")

    outputs = [course.type(*words, "--language", language).out for words in (["ex90"], [])]

    for line in "".join(outputs).splitlines():
        assert cell_len(line) <= 80, line
        assert ESCAPE not in line
    assert ("아주 작은 서버" in outputs[0]) == (language == "ko")


def on_a_terminal(course: Tiny, *words: str, columns: int = 100, **settings: str) -> str:
    """What a person sees who types this at a terminal of so many columns."""
    leader, follower = pty.openpty()
    with os.fdopen(leader, "rb", buffering=0) as screen:
        subprocess.run(["stty", "cols", str(columns), "rows", "40"], stdin=follower, check=True)
        command = [*GRADE, *words, "--course", str(course.root)]
        with subprocess.Popen(
            command,
            stdin=follower,
            stdout=follower,
            stderr=follower,
            env=environment(TERM="xterm", **settings),
            cwd="/",
        ):
            os.close(follower)
            seen = b""
            try:
                while data := screen.read(65536):
                    seen += data
            except OSError:  # EIO: the last process that had the terminal open has ended
                pass
    return seen.decode()


def test_a_terminal_gets_colours_unless_it_is_asked_not_to(course: Tiny) -> None:
    words = ("ex90", "--solution", "--only", "scaled")

    assert f"{ESCAPE}[32mok" in on_a_terminal(course, *words)
    assert ESCAPE not in on_a_terminal(course, *words, NO_COLOR="1")


def test_the_columns_that_are_asked_for_are_kept_to(course: Tiny) -> None:
    course.hand_in(source=f"tests/{SLUG}/wrong/own_words/tiny.py")

    done = course.type("ex90", env={"COLUMNS": "60"})

    assert max(cell_len(line) for line in done.out.splitlines()) <= 60
    assert done.code == 1


@pytest.mark.parametrize("columns", ["wide", "-5", "0", "99999999999999999999", "²"])
def test_columns_that_are_no_number_do_not_matter(course: Tiny, columns: str) -> None:
    done = course.type(env={"COLUMNS": columns})

    assert done.code == 0, done.err
    assert "ex90_tiny" in done.out


# --- a person, or a pipe, that goes away --------------------------------------------------------------------------


def test_ctrl_c_is_no_verdict_and_leaves_no_process_and_no_file(course: Tiny, tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    for folder in (temporary, *list(temporary.parents)[:-2]):
        folder.chmod(0o755)
    course.hand_in(("import factor\n", "import factor\n\nwhile True:\n    pass\n"))
    words = ["ex90", "--course", str(course.root), "--json", str(tmp_path / "report.json")]

    with started(*words, env={"TMPDIR": str(temporary)}) as process:
        wait_until(lambda: in_a_box(process.pid), "a box")
        below = descendants(process.pid)
        os.killpg(process.pid, signal.SIGINT)  # a terminal sends it to the whole foreground group
        _, err = process.communicate(timeout=240)

    assert process.returncode == 3
    assert "grade: interrupted, so there is no verdict." in err
    assert "Traceback" not in err
    assert [one for one in below if one.is_running()] == []
    assert list(temporary.iterdir()) == []
    assert not (tmp_path / "report.json").exists()


def test_ctrl_c_where_python_tells_nobody_comes_once_more(course: Tiny) -> None:
    """An import's own bookkeeping swallows an exception, and shows it as a traceback."""
    program = (
        "import signal, sys, threading\n"
        "from grader.commands import main as cli\nfrom grader.grading import one as grading\n"
        "class Swallows:\n"
        "    def __del__(self):\n"
        "        signal.raise_signal(signal.SIGINT)\n"
        "def grade(*_):\n"
        "    Swallows()\n"
        "    threading.Event().wait()\n"
        "grading.grade = grade\n"
        "cli.main()\n"
    )
    command = [sys.executable, "-c", program, "ex90", "--solution", "--course", str(course.root)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment(), cwd="/")

    assert done.returncode == 3
    assert done.stderr == "\ngrade: interrupted, so there is no verdict.\n"


def test_ctrl_c_before_there_is_anything_to_clean_up_says_nothing() -> None:
    program = (
        "import signal, sys\n"
        "class Importing:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'grader.commands.main':\n"
        "            signal.raise_signal(signal.SIGINT)\n"
        "sys.meta_path.insert(0, Importing())\n"
        "from grader.__main__ import main\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd="/")

    assert (done.returncode, done.stderr) == (-signal.SIGINT, "")


ODD = """
import os, signal, sys
for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGINT, signal.SIGTERM}:
    signal.signal(number, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
os.umask(0o077)
os.nice(19)
os.execv(sys.argv[1], sys.argv[1:])
"""


def test_what_the_caller_ignores_blocks_and_keeps_from_others_changes_no_verdict(course: Tiny) -> None:
    course.hand_in()

    done = course.grade("ex90", prefix=[sys.executable, "-c", ODD])

    assert done.graded.score == done.graded.max_score, done.outcomes
    assert (course.root.parent / "report.json").stat().st_mode & 0o077 == 0  # as whoever grades wants it


def test_a_script_that_a_student_has_beside_the_work_is_not_the_kits(tmp_path: Path) -> None:
    for name in ("signal", "json", "subprocess", "click", "tempfile", "select", "socket", "ctypes", "random", "psutil"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('planted')")
    script = [sys.executable, "-c", "import sys; sys.path.pop(0); from grader.__main__ import main; main()"]

    for command in (script, GRADE):
        done = subprocess.run(
            [*command, "--version"], capture_output=True, text=True, check=False, env=environment(), cwd=tmp_path
        )
        assert (done.returncode, done.stderr) == (0, ""), command


def test_a_reader_that_has_seen_enough_ends_the_grading_and_is_no_failed_check(course: Tiny) -> None:
    with started("ex90", "--solution", "--course", str(course.root)) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("Grading ex90_tiny")
        process.stdout.close()
        assert process.stderr is not None
        err = process.stderr.read()
        process.wait(timeout=240)

    assert process.returncode == 3
    assert err == "grade: whoever read the output has gone, so it ended there. This exit code is no verdict.\n"


@pytest.mark.parametrize(("wrong", "code"), [("", 0), (f"tests/{SLUG}/wrong/unscaled", 1)])
def test_a_reader_that_has_seen_enough_of_the_screen_does_not_cost_the_report(
    wrong: str, code: int, course: Tiny, tmp_path: Path
) -> None:
    report = tmp_path / "report.json"
    source = ["--submission", str(course.root / wrong)] if wrong else ["--solution"]
    with started("ex90", *source, "--course", str(course.root), "--json", str(report)) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        err = process.stderr.read()
        process.wait(timeout=240)

    assert (process.returncode, err) == (code, "")
    assert from_json(report.read_bytes()).graded


def test_a_reader_of_a_form_who_has_gone_is_told_and_the_files_are_there(course: Tiny, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    words = ["ex90", "--solution", "--format", "junit", "--output", "-", "--json", str(report)]
    with started(*words, "--course", str(course.root)) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        err = process.stderr.read()
        process.wait(timeout=240)

    assert process.returncode == 3
    assert err.endswith("has gone, so it ended there. This exit code is no verdict.\n")
    assert from_json(report.read_bytes()).graded


def test_an_error_that_nobody_reads_keeps_its_exit_code() -> None:
    for words, code in (["ex90", "--course", "/"], 2), (["exercise", "--no-such"], 2):
        with started(*words) as process:
            assert process.stderr is not None
            process.stderr.close()
            process.wait(timeout=240)
        assert process.returncode == code


def test_an_output_that_takes_nothing_more_is_no_verdict(course: Tiny) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*GRADE, "ex90", "--solution", "--only", "scaled", "--course", str(course.root)],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            env=environment(),
            cwd="/",
        )

    assert done.returncode == 3
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_mistake_of_the_kits_own_is_no_verdict_and_not_a_failed_check(course: Tiny) -> None:
    program = (
        "import sys\n"
        "from grader.commands import main as cli\nfrom grader.grading import one as grading\n"
        "grading.grade = lambda *_: [][0]\n"
        "sys.argv[0] = 'grade'\n"
        "cli.main()\n"
    )
    command = [sys.executable, "-c", program, "ex90", "--solution", "--course", str(course.root)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment(), cwd="/")

    assert done.returncode == 3
    assert "IndexError: list index out of range" in done.stderr
    assert "no verdict" in done.stderr


# --- the other commands -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["audit", "--help"], ["doctor", "--help"], ["ex90", "--help"]])
def test_help_fits_80_columns_and_needs_no_course(words: Sequence[str]) -> None:
    done = run(*words)

    assert done.returncode == 0
    assert "Usage: grade" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_the_version_is_the_packages() -> None:
    done = run("--version")

    assert done.returncode == 0
    assert grader.__version__ in done.stdout


def test_stubs_are_written_where_students_find_them(course: Tiny) -> None:
    stub = (course.root / HANDOUT).read_text()
    course.hand_in()

    done = course.type("stubs", "ex90")

    assert done.code == 0
    assert done.out == f"exercises/{SLUG}/tiny.py\n"
    assert (course.root / HANDOUT).read_text() == stub


def test_what_the_doctor_says_as_json_is_json() -> None:
    done = run("doctor", "--json")

    found = json.loads(done.stdout)
    assert found["schema"] == "tracegrade/doctor/1"
    assert done.returncode == (0 if all(finding["ok"] for finding in found["findings"]) else 1)
