"""A class made of the course's own submissions, graded by `grade class run` on a slot for each core, while something of
it is killed five times at a random moment: `make bench`, or `python bench/class_run.py [HOW MANY] [SEED]`.

Everybody must have the verdict that the course promises: references and right ones all points, wrong ones their red
checks and no other, what cannot be graded a refusal. What differs is a flip. Ends with 1 when there is one.
"""

import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from grader.course.load import load_course
from grader.course.model import Course
from grader.prove.promises import folders, read_promises
from grader.report.model import Graded, Refused, from_json

ROOT = Path(__file__).resolve().parents[1]
GRADE = Path(sys.executable).with_name("grade")
KILLS = 5
REFUSED = {
    "no-text": b"x = '\xff'\n",
    "two-encodings": b"# -*- coding: latin-1 -*-\nx = 1\n",
    "archive": b"PK\x03\x04 and nothing more",
}
# They cost their own deadlines, and nobody else's.
HOSTILE = {
    "hangs": "while True:\n    pass\n",
    "forks": "import os\nwhile True:\n    os.fork()\n",
    "hogs": "it = []\nwhile True:\n    it.append(bytes(1 << 24))\n",
    "floods": "while True:\n    print('x' * 4096)\n",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Student:
    """One submission, and what must become of it.

    Attributes:
        red: the checks that must fail, and no others; None when it must be refused.
        least: hostile ones may fail in more.
    """

    name: str
    number: str
    red: frozenset[str] | None
    hostile: bool = False


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        students = list(a_class(folder / "submissions", load_course(ROOT), count, rng))
        begun_s = time.monotonic()
        killed = graded(folder, rng)
        spent_s = time.monotonic() - begun_s
        flips = list(differences(folder / "results", students))
        halves = list((folder / "results").rglob(".*.json.*"))
    for line in [*flips, *(f"half a report: {half}" for half in halves)]:
        print(line)
    print(f"killed: {', '.join(f'{times} x {who}' for who, times in sorted(killed.items())) or 'nobody'}")
    rate = f"{60 * len(students) / spent_s:.1f} a minute"
    print(f"{len(students)} submissions in {spent_s:.0f} s, {rate}; {len(flips)} flips")
    sys.exit(bool(flips or halves))


def a_class(place: Path, course: Course, count: int, rng: random.Random) -> Iterator[Student]:
    """Half of it right, a third wrong, the rest refused or hostile."""
    right, wrong = [], []
    for exercise in course.exercises:
        (file,) = exercise.submit
        sources = [exercise.solution_dir, *folders(exercise.checks_dir / "right")]
        right += [(exercise.number, file, source / file, frozenset[str]()) for source in sources]
        for fault, promise in read_promises(exercise).wrong.items():
            source = exercise.checks_dir / "wrong" / fault
            wrong.append((exercise.number, file, source / file, frozenset(promise.red)))
    for number in range(count):
        drawn = rng.random()
        exercise = rng.choice(course.exercises)
        (file,) = exercise.submit
        if drawn < 5 / 6:
            which, file, source, red = rng.choice(right if drawn < 1 / 2 else wrong)
            yield handed_in(place, Student(name=f"s{number:03}", number=which, red=red), file, source.read_bytes())
        elif drawn < 11 / 12:
            what = rng.choice(list(REFUSED.values()))
            yield handed_in(place, Student(name=f"s{number:03}", number=exercise.number, red=None), file, what)
        else:
            text = rng.choice(list(HOSTILE.values())).encode()
            student = Student(name=f"s{number:03}", number=exercise.number, red=frozenset(), hostile=True)
            yield handed_in(place, student, file, text)


def handed_in(place: Path, student: Student, file: str, data: bytes) -> Student:
    path = place / student.name / student.number / file
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    return student


def graded(folder: Path, rng: random.Random) -> Counter[str]:
    """Type the command until it has come to its end; five times, kill something of it first."""
    command = [GRADE, "class", "run", folder / "submissions", "--to", folder / "results", "--course", ROOT]
    killed: Counter[str] = Counter()
    while True:
        with subprocess.Popen([*map(str, command)], stdout=subprocess.DEVNULL) as process:
            while killed.total() < KILLS and process.poll() is None:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(rng.uniform(1.0, 15.0))
                if process.poll() is None:
                    killed[kill_one(process.pid, rng)] += 1
            if process.wait() >= 0:
                return killed


def kill_one(pid: int, rng: random.Random) -> str:
    """Kill the command, a slot, a judge, or anything below.

    Returns:
        What it was.
    """
    with suppress(psutil.Error):
        command = psutil.Process(pid)
        one = rng.choice([command, *command.children(), *command.children(recursive=True)])
        name = "command" if one.pid == pid else "slot" if one.ppid() == pid else one.name()
        one.kill()
        return name
    return "nobody"


def differences(results: Path, students: list[Student]) -> Iterator[str]:
    for student in students:
        file = results / student.name / f"{student.number}.json"
        if not file.exists():
            yield f"{student.name} {student.number}: no report"
            continue
        report = from_json(file.read_bytes())
        if student.red is None or not isinstance(report, Graded):
            if student.red is not None or not isinstance(report, Refused):
                yield f"{student.name} {student.number}: {type(report).__name__}"
            continue
        red = {check.name for check in report.checks if check.outcome.failed}
        if (student.hostile and report.score) or (not student.hostile and red != student.red):
            yield f"{student.name} {student.number}: {report.score} points, {sorted(red ^ student.red)} differ"


if __name__ == "__main__":
    os.umask(0o022)
    main()
