"""Submissions that attack the grader: each has to be held, to earn what a stub earns, and to leave nothing behind.

What each attempts, and what must come of it, stands in red_team/attacks.yaml; its honest twins there must keep all
their points. The attacks know where everything is: they are told the paths, ports and sockets of what they must not
reach. Knows the command line and the JSON of a report, as anybody's; knows nothing of how the grader defends itself.
"""

import os
import py_compile
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from importlib.util import cache_from_source
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from pydantic import BaseModel, ConfigDict, model_validator

from grader.course.load import load_course
from grader.course.model import Exercise
from grader.report.model import Graded, Outcome, Report, from_json
from places import ROOT, TESTS

TEAM = TESTS / "red_team"
COURSE = ROOT
REFERENCE = COURSE / "solutions/ex03_epoll/epoll_server.py"
# The text of such a module takes the place of the line: a submission is one file.
INCLUDED = re.compile(r"^from ((?:tests\.grader\.red_team|solutions)\.[\w.]+) import .+\n", re.MULTILINE)

BREACHED = "breached"  # the word of every attack that got what it came for
OF_THE_COURSE = ("honest_floor", "_OUT_OF_RESOURCES", "big_crowd: 1013")  # from the checks, the reference, hidden sizes
REPORT_BYTES = 32_768  # far more than one check's words can take
JUDGE_BYTES, DISK_BYTES = 150 << 20, 64 << 20  # the most that a grading may take, whatever a submission does
MEMORY_KIB = 2 << 20  # of each process of the grader, so that an attack that works does no more harm than it must


class Attack(BaseModel):
    """One entry of attacks.yaml, where the fields are described."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    attempt: str
    exercise: str = "ex03"
    folder: str | None
    tokens: Mapping[str, str] = {}
    planted: Mapping[str, str] = {}
    links: Mapping[str, str] = {}
    only: tuple[str, ...] = ()
    outcomes: Mapping[str, Outcome] = {}
    honest: bool = False
    refused: str = ""
    says: str = ""
    traced: bool = False
    bare: str = ""
    open: str = ""

    @model_validator(mode="after")
    def _says_what_must_come_of_it(self) -> "Attack":
        if [bool(self.outcomes), bool(self.refused), self.honest].count(True) != 1:
            raise ValueError("an entry has one of `outcomes`, `refused` and `honest`")
        return self

    @property
    def exit_code(self) -> int:
        if self.refused:
            return 2
        if self.honest:
            return 0
        return 0 if set(self.outcomes.values()) == {Outcome.PASSED} else 1


def _attacks() -> list[Attack]:
    listed = yaml.safe_load((TEAM / "attacks.yaml").read_text(encoding="utf-8"))["attacks"]
    return [Attack(name=name, **{"folder": name, **entry}) for name, entry in listed.items()]


ATTACKS = _attacks()
EXERCISES = load_course(COURSE)


def exercise_of(attack: Attack) -> Exercise:
    return EXERCISES.find(attack.exercise)


# --- the field ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """What an attack could harm or steal, and knows of: a folder and two sockets of the host's, a secret or two."""

    room: Path  # where submissions and temporary files lie; its name is found nowhere else
    folder: Path  # anybody may write to it, and nobody should
    listener: socket.socket
    abstract: socket.socket
    secret: str  # in the folder's file, and in the environment of the grader

    def tokens(self) -> dict[str, str]:
        name = self.abstract.getsockname()
        assert isinstance(name, bytes)  # an abstract name comes as bytes, with a NUL before it
        port = str(self.listener.getsockname()[1])
        return {"FOLDER": str(self.folder), "PORT": port, "ABSTRACT": name[1:].decode(), "COURSE": str(COURSE)}

    def untouched(self) -> bool:
        """Nothing in the folder has changed, and nobody has called."""
        inside = {str(file.relative_to(self.folder)): file.read_text() for file in self.folder.rglob("*")}
        for sock in (self.listener, self.abstract):
            try:
                sock.accept()[0].close()
            except BlockingIOError:
                continue
            return False
        return inside == {"canary": self.secret}


@pytest.fixture(scope="module")
def field() -> Iterator[Field]:
    with ExitStack() as stack:
        room = Path(tempfile.mkdtemp(prefix="red-team-"))
        stack.callback(shutil.rmtree, room, ignore_errors=True)
        room.chmod(0o755)
        folder = room / "of-the-host"
        folder.mkdir()
        folder.chmod(0o777)
        secret = secrets.token_hex(16)
        (folder / "canary").write_text(secret)
        (folder / "canary").chmod(0o666)
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        abstract = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        abstract.bind(f"\0{room.name}")
        abstract.listen()
        listener.setblocking(False)
        abstract.setblocking(False)
        yield Field(room=room, folder=folder, listener=listener, abstract=abstract, secret=secret)


# --- gradings -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Grading:
    """One grading that has ended, and what was left when it had."""

    exit_code: int
    json: str
    screen: str
    printed: str  # by the program, the part that the grader keeps
    left: tuple[str, ...]  # processes, and files in the temporary folder
    judge_bytes: int  # the most memory that the judge had, and the most that the temporary folder held
    disk_bytes: int

    @property
    def report(self) -> Report:
        return from_json(self.json)


def hand_in(attack: Attack, field: Field) -> Path:
    """The attack as a submission, in a folder of its own."""
    place = field.room / attack.name / "submission"
    place.mkdir(parents=True)
    tokens = {**field.tokens(), **attack.tokens}
    if attack.folder is not None:
        (file_name,) = exercise_of(attack).submit
        source = (TEAM / attack.folder / file_name).read_text(encoding="utf-8")
        (place / file_name).write_text(_filled(source, tokens), encoding="utf-8")
    tag = cache_from_source("x.py").split(".")[-2]
    for name, text in attack.planted.items():
        file = place / name.replace("{tag}", tag)
        file.parent.mkdir(exist_ok=True)
        if text == "{bytecode}":
            mode = py_compile.PycInvalidationMode.UNCHECKED_HASH  # runs whatever the source says (PEP 552)
            py_compile.compile(str(REFERENCE), str(file), invalidation_mode=mode)
        else:
            file.write_text(_filled(text, tokens), encoding="utf-8")
    for name, target in attack.links.items():
        (place / name).symlink_to(_filled(target, tokens))
    return place


def _filled(text: str, tokens: Mapping[str, str]) -> str:
    """The text with the values of its tokens, a token within a value included, and with the modules it builds upon."""
    text = INCLUDED.sub(_text_of, text)
    for _ in range(2):
        for name, value in tokens.items():
            text = text.replace(
                f"@{name}@", value.replace("\\", "\\\\").replace('"', '\\"') if name == "BODY" else value
            )
    return text


def _text_of(line: re.Match[str]) -> str:
    return COURSE.joinpath(*line[1].split(".")).with_suffix(".py").read_text(encoding="utf-8")


def graded(attack: Attack, field: Field, *options: str) -> Grading:
    command, environment = grade(attack, field, *options)
    room = field.room / attack.name
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, cwd=COURSE, env=environment, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True
    ) as grader:
        peaks = Peaks(grader.pid, room / "tmp")
        with peaks:
            stdout, stderr = grader.communicate(timeout=240)
    outputs = sorted(room.glob("kept/*.output"))
    printed = "".join(file.read_text(encoding="utf-8", errors="backslashreplace") for file in outputs)
    left = (*survivors(room), *(file.name for file in (room / "tmp").iterdir()))
    return Grading(
        exit_code=grader.returncode,
        json=stdout,
        screen=stderr,
        printed=printed,
        left=left,
        judge_bytes=peaks.judge_bytes,
        disk_bytes=peaks.disk_bytes,
    )


class Peaks:
    """What a grading takes of its host at most, looked at ten times a second; for a `with` block."""

    def __init__(self, pid: int, scratch: Path) -> None:
        self.judge_bytes = self.disk_bytes = 0
        self._pid, self._scratch = pid, scratch
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.1):
            self.disk_bytes = max(self.disk_bytes, sum(self._sizes()))
            with suppress(psutil.Error):
                for process in psutil.Process(self._pid).children(recursive=True):
                    with suppress(psutil.Error):
                        if "grader.judge" in process.cmdline():
                            self.judge_bytes = max(self.judge_bytes, process.memory_info().rss)

    def _sizes(self) -> Iterator[int]:
        for folder, _, files in os.walk(self._scratch):
            for name in files:
                with suppress(OSError):
                    yield Path(folder, name).lstat().st_blocks * 512


def grade(attack: Attack, field: Field, *options: str) -> tuple[list[str], dict[str, str]]:
    """The command that grades an attack, and its environment."""
    submission = hand_in(attack, field)
    scratch, kept = submission.with_name("tmp"), submission.with_name("kept")
    scratch.mkdir()
    scratch.chmod(0o755)
    words = ["sh", "-c", f'ulimit -v {MEMORY_KIB}; exec "$@"', "sh", sys.executable, "-m", "grader"]
    words += [attack.exercise, "--submission", str(submission), "--keep", str(kept), "--json", "-"]
    words += [word for check in attack.only for word in ("--only", check)]
    settings = {"TMPDIR": str(scratch), "RED_TEAM_CANARY": field.secret, "COLUMNS": "200"}
    return [*words, *options], {**os.environ, **settings}


def survivors(room: Path) -> Iterator[str]:
    """Processes of a grading with its temporary files here: a box shows them in its mounts, a tracer in its words."""
    mark = f"{room.parent.name}/{room.name}/"
    for process in psutil.process_iter():
        try:
            mounts = Path("/proc", str(process.pid), "mountinfo").read_text()
            words = " ".join(process.cmdline())
        except (OSError, psutil.Error):
            continue
        if mark in mounts or mark in words:
            yield f"process {process.pid}: {words}"


@pytest.fixture(scope="module")
def machine(field: Field) -> Mapping[str, Outcome]:
    """What this machine makes of an honest submission; without a box there is nothing to attack, and all is skipped."""
    twin = next(attack for attack in ATTACKS if attack.name == "twin_imports_much")
    report = graded(twin.model_copy(update={"name": "machine"}), field).report
    if not report.graded:
        pytest.skip(f"no box is to be had here: {report.reason}")
    return {check.name: check.outcome for check in report.checks}


# --- what must hold -----------------------------------------------------------------------------------------------


def _params() -> list[Any]:
    broken = (AssertionError,)
    marks = {a.name: pytest.mark.xfail(reason=a.open, raises=broken, strict=True) for a in ATTACKS if a.open}
    return [pytest.param(a, id=a.name, marks=[marks[a.name]] if a.open else []) for a in ATTACKS]


@pytest.mark.parametrize("attack", _params())
def test_an_attack_is_held_and_an_honest_twin_keeps_its_points(
    attack: Attack, field: Field, machine: Mapping[str, Outcome]
) -> None:
    if attack.traced and machine["api"] is Outcome.UNMEASURED:
        pytest.skip("it attacks a count, and nothing can be counted here")

    grading = graded(attack, field)

    said = grading.json + grading.screen + grading.printed
    assert grading.left == ()
    assert field.untouched()
    assert grading.judge_bytes < JUDGE_BYTES and grading.disk_bytes < DISK_BYTES
    assert not [word for word in (BREACHED, field.secret, *OF_THE_COURSE) if word in said]
    assert attack.says in said and attack.refused in grading.screen
    assert len(grading.json) < REPORT_BYTES and len(grading.screen) < REPORT_BYTES
    assert not obeyed(grading.json) and not obeyed(grading.screen)
    if not attack.refused:
        assert earned(grading.report) == expected(grading.report, attack)
    assert grading.exit_code == attack.exit_code


def earned(report: Report) -> dict[str, tuple[Outcome, int | None]]:
    assert isinstance(report, Graded), report.reason
    assert report.score == sum(check.score or 0 for check in report.checks)
    return {check.name: (check.outcome, check.score) for check in report.checks}


def expected(report: Report, attack: Attack) -> dict[str, tuple[Outcome, int]]:
    """What each check has to be, and to be worth: the attacked ones as listed, others passed, or not run.

    Of an honest twin each is passed.
    """
    worth = {}
    for check in report.checks:
        outcome = attack.outcomes.get(check.name, Outcome.PASSED)
        if check.name not in attack.outcomes and check.outcome is Outcome.NOT_RUN and not attack.honest:
            outcome = Outcome.NOT_RUN
        worth[check.name] = outcome, check.points if outcome is Outcome.PASSED else 0
    assert attack.outcomes.keys() <= worth.keys()
    return worth


def obeyed(text: str) -> list[str]:
    """Lines that a terminal or a CI runner would obey, or that show otherwise than they are."""
    command = re.compile(r"\s*::|.*##\w*\[")
    return [line for line in text.split("\n") if not line.isprintable() or command.match(line)]


def test_without_a_wall_the_attacks_would_work(field: Field, machine: Mapping[str, Outcome]) -> None:
    attacks = [attack for attack in ATTACKS if attack.bare]
    assert attacks

    for attack in attacks:
        grading = graded(attack.model_copy(update={"name": f"bare_{attack.name}"}), field, "--trust")

        assert attack.bare in grading.printed
        assert field.secret in grading.printed


def test_what_looks_for_survivors_sees_a_box_that_lives_and_ends_with_its_grader(
    field: Field, machine: Mapping[str, Outcome]
) -> None:
    endless = next(attack for attack in ATTACKS if attack.name == "trickles_at_import")
    command, environment = grade(endless.model_copy(update={"name": "killed"}), field)
    room = field.room / "killed"

    with subprocess.Popen(
        command, cwd=COURSE, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as grader:
        while not (seen := [found for found in survivors(room) if "/box/inside.py" in found]) and grader.poll() is None:
            time.sleep(0.02)
        grader.kill()
    while list(
        survivors(room)
    ):  # each link of the chain dies with the one above it; the test's deadline is the way out
        time.sleep(0.02)

    assert seen


def test_every_folder_is_the_home_of_a_listed_attack() -> None:
    homes = {f"{attack.folder}/{exercise_of(attack).submit[0]}" for attack in ATTACKS if attack.folder}

    assert homes == {str(file.relative_to(TEAM)) for file in TEAM.glob("*/*.py")}


def test_every_attack_names_checks_of_its_exercise() -> None:
    for attack in ATTACKS:
        names = {check.name for check in exercise_of(attack).checks}

        assert names.issuperset({*attack.only, *attack.outcomes}), attack.name
