"""Results are kept, and nothing that happens to their file is worse than a warning."""

import fcntl
import json
import os
import resource
import runpy
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from grader.report import history as progress
from grader.report.history import Attempt, Best
from grader.report.model import Graded, Isolation, Outcome
from places import TESTS

SAMPLES: dict[str, Any] = runpy.run_path(str(TESTS / "golden" / "regenerate.py"))
NOON = datetime(2025, 9, 1, 12, tzinfo=UTC)


def result(points: int, **more: object) -> Graded:
    """A grading with `points` of 10."""
    checks = [
        SAMPLES["scored"]("many", "Many clients", points),
        SAMPLES["scored"]("rest", "The rest", 10 - points, Outcome.FAILED),
    ]
    report = SAMPLES["graded"](*checks, **more)
    assert isinstance(report, Graded)
    return report


def file(root: Path) -> Path:
    return root / ".grade" / "results.json"


def test_before_the_first_grading_there_is_no_best_result(tmp_path: Path) -> None:
    assert progress.best(tmp_path) == {}
    assert progress.attempts(tmp_path, "ex03_epoll") == ()
    assert not (tmp_path / ".grade").exists()


def test_a_grading_is_remembered_with_what_it_was_worth(tmp_path: Path) -> None:
    warning = progress.remember(tmp_path, result(7, isolation=Isolation.BARE, official=False), NOON)

    assert warning is None
    assert progress.best(tmp_path) == {
        "ex03_epoll": Best(
            score=7,
            max_score=10,
            measurable_score=10,
            when="2025-09-01T12:00:00Z",
            official=False,
            isolation=Isolation.BARE,
        )
    }


def test_a_worse_result_stays_in_the_attempts_only(tmp_path: Path) -> None:
    for hour, points in enumerate([3, 8, 5]):
        progress.remember(tmp_path, result(points), NOON + timedelta(hours=hour))

    assert progress.best(tmp_path)["ex03_epoll"].score == 8
    assert progress.attempts(tmp_path, "ex03_epoll") == (
        Attempt(when="2025-09-01T12:00:00Z", score=3, max_score=10),
        Attempt(when="2025-09-01T13:00:00Z", score=8, max_score=10),
        Attempt(when="2025-09-01T14:00:00Z", score=5, max_score=10),
    )


@pytest.mark.parametrize("hours", [(0, 1), (1, 0)])
def test_of_equal_results_the_newest_is_the_best_in_whatever_order_they_arrive(
    tmp_path: Path, hours: tuple[int, int]
) -> None:
    for hour in hours:
        progress.remember(tmp_path, result(6, official=hour == 1), NOON + timedelta(hours=hour))

    best = progress.best(tmp_path)["ex03_epoll"]
    assert (best.when, best.official) == ("2025-09-01T13:00:00Z", True)


def test_exercises_do_not_touch_each_other(tmp_path: Path) -> None:
    progress.remember(tmp_path, result(6), NOON)
    progress.remember(tmp_path, result(2, exercise="ex04_io_uring"), NOON)

    assert {slug: best.score for slug, best in progress.best(tmp_path).items()} == {"ex03_epoll": 6, "ex04_io_uring": 2}


def test_a_partial_grading_is_not_remembered(tmp_path: Path) -> None:
    warning = progress.remember(tmp_path, result(10, partial=True), NOON)

    assert warning is None
    assert progress.best(tmp_path) == {}


def test_moments_are_kept_in_utc_and_one_without_a_zone_is_refused(tmp_path: Path) -> None:
    progress.remember(tmp_path, result(6), datetime(2025, 9, 1, 2, tzinfo=timezone(timedelta(hours=9))))

    assert progress.best(tmp_path)["ex03_epoll"].when == "2025-08-31T17:00:00Z"
    with pytest.raises(ValueError, match="no time zone"):
        progress.remember(tmp_path, result(6), datetime(2025, 9, 1, 2))


def test_the_oldest_attempts_go_first_and_never_the_best_result(tmp_path: Path) -> None:
    progress.remember(tmp_path, result(9), NOON)
    content = json.loads(file(tmp_path).read_text())
    later = [{"when": f"2026-01-01T00:{n // 60:02}:{n % 60:02}Z", "score": 1, "max_score": 10} for n in range(1_000)]
    content["exercises"]["ex03_epoll"]["attempts"] += later
    file(tmp_path).write_text(json.dumps(content))

    progress.remember(tmp_path, result(2), NOON + timedelta(days=365))

    attempts = progress.attempts(tmp_path, "ex03_epoll")
    assert (len(attempts), attempts[0].score, attempts[-1].score) == (1_000, 1, 2)
    assert progress.best(tmp_path)["ex03_epoll"].score == 9


@pytest.mark.parametrize(
    "garbage",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\x00\xff\xfe not JSON", id="not JSON"),
        pytest.param(b"[]", id="another kind of value"),
        pytest.param(b"[" * 100_000, id="too deep"),
        pytest.param(b'{"format": 2, "exercises": {}}', id="another format"),
        pytest.param(b'{"format": 1, "exercises": {"ex03_epoll": {"best": {"score": -1}}}}', id="wrong fields"),
    ],
)
def test_a_broken_file_is_moved_aside_and_the_new_result_is_kept(tmp_path: Path, garbage: bytes) -> None:
    file(tmp_path).parent.mkdir()
    file(tmp_path).write_bytes(garbage)

    before = progress.best(tmp_path)
    warning = progress.remember(tmp_path, result(5), NOON)

    assert before == {}
    assert warning is not None
    assert str(file(tmp_path)) in warning
    assert "results.json.broken-1" in warning
    assert file(tmp_path).with_name("results.json.broken-1").read_bytes() == garbage
    assert progress.best(tmp_path)["ex03_epoll"].score == 5
    assert progress.remember(tmp_path, result(5), NOON) is None


def test_a_second_broken_file_does_not_replace_the_first(tmp_path: Path) -> None:
    file(tmp_path).parent.mkdir()
    for garbage in (b"first", b"second"):
        file(tmp_path).write_bytes(garbage)
        progress.remember(tmp_path, result(5), NOON)

    kept = [file(tmp_path).with_name(f"results.json.broken-{number}").read_bytes() for number in (1, 2)]
    assert kept == [b"first", b"second"]


def test_a_folder_that_cannot_be_made_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / ".grade").write_text("a file stands where the folder should")

    warning = progress.remember(tmp_path, result(5), NOON)

    assert warning is not None
    assert "not remembered" in warning
    assert str(file(tmp_path)) in warning
    assert progress.best(tmp_path) == {}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_a_warning(tmp_path: Path) -> None:
    progress.remember(tmp_path, result(4), NOON)
    for path in file(tmp_path).parent.iterdir():
        path.chmod(0o444)
    file(tmp_path).parent.chmod(0o555)

    warning = progress.remember(tmp_path, result(5), NOON)
    file(tmp_path).parent.chmod(0o755)

    assert warning is not None
    assert "Permission denied" in warning
    assert progress.best(tmp_path)["ex03_epoll"].score == 4


def test_a_results_file_that_cannot_be_opened_is_left_alone(tmp_path: Path) -> None:
    file(tmp_path).mkdir(parents=True)

    warning = progress.remember(tmp_path, result(5), NOON)

    assert warning is not None
    assert "Is a directory" in warning
    assert file(tmp_path).is_dir()
    assert progress.best(tmp_path) == {}


WRITER = """
import resource, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from grader.report import history as progress
from grader.report import model as report
graded = report.from_json(sys.stdin.readline())
root, times, largest_file = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
print("ready", flush=True)
sys.stdin.readline()
for _ in range(times):
    print(progress.remember(root, graded, datetime.now(UTC)))
"""


def writer(root: Path, *, times: int, largest_file: int = resource.RLIM_INFINITY) -> subprocess.Popen[str]:
    """Another process, about to remember a result of 6 points as soon as it gets a line."""
    command = [sys.executable, "-c", WRITER, str(root), str(times), str(largest_file)]
    source = Path(progress.__file__).parents[2]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=source)
    assert process.stdin
    assert process.stdout
    process.stdin.write(result(6).model_dump_json(by_alias=True) + "\n")
    process.stdin.flush()
    assert process.stdout.readline() == "ready\n"
    return process


def test_concurrent_writers_lose_nothing(tmp_path: Path) -> None:
    processes = [writer(tmp_path, times=10) for _ in range(4)]
    for process in processes:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    warnings = [process.communicate()[0] for process in processes]

    assert warnings == ["None\n" * 10] * 4
    assert len(progress.attempts(tmp_path, "ex03_epoll")) == 40
    assert sorted(path.name for path in file(tmp_path).parent.iterdir()) == ["results.json", "results.lock"]


def test_who_is_reading_the_file_reads_it_to_the_end_as_it_was(tmp_path: Path) -> None:
    progress.remember(tmp_path, result(4), NOON)
    before = file(tmp_path).read_text()

    with file(tmp_path).open() as reading:
        progress.remember(tmp_path, result(5), NOON)

        assert reading.read() == before
    assert progress.best(tmp_path)["ex03_epoll"].score == 5


def test_a_disk_that_takes_no_more_leaves_the_old_results_whole(tmp_path: Path) -> None:
    progress.remember(tmp_path, result(4), NOON)
    before = file(tmp_path).read_bytes()

    output, _ = writer(tmp_path, times=1, largest_file=100).communicate("go\n")

    assert "not remembered" in output
    assert "File too large" in output
    assert file(tmp_path).read_bytes() == before


def test_what_a_killed_writer_left_does_not_matter(tmp_path: Path) -> None:
    file(tmp_path).parent.mkdir()
    file(tmp_path).with_name("results.json.tmp").write_text('{"format": 1, "exerc')

    warning = progress.remember(tmp_path, result(4), NOON)

    assert warning is None
    assert progress.best(tmp_path)["ex03_epoll"].score == 4


def test_a_writer_that_never_lets_go_costs_a_warning_and_not_the_session(tmp_path: Path) -> None:
    progress.remember(tmp_path, result(4), NOON)
    with file(tmp_path).with_name("results.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        warning = progress.remember(tmp_path, result(9), NOON, patience_s=0.05)

    assert warning is not None
    assert "another process has held results.lock" in warning
    assert progress.best(tmp_path)["ex03_epoll"].score == 4
    assert progress.remember(tmp_path, result(9), NOON) is None
