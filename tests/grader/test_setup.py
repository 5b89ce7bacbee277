"""`tools/setup.sh` and the Makefile, run for real in a small tree without a network: its one pinned package lies in a
folder, and its build backend is its own. Where a machine must be one that this one is not (no Python, an old one, no
root), a short script on an otherwise empty PATH stands in for the command that tells.
"""

import base64
import contextlib
import functools
import hashlib
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from places import ROOT

PYTHON = Path(os.path.realpath(sys._base_executable))  # type: ignore[attr-defined] # below .venv, as the script wants it
COMMANDS = (
    *(
        "cat",
        "cksum",
        "dirname",
        "echo",
        "env",
        "flock",
        "grep",
        "id",
        "mkdir",
        "mktemp",
        "realpath",
        "rm",
        "sed",
        "tail",
    ),
    *("sh", "true", "make"),
)
BACKEND = '''
"""Builds the tree's own package: an empty one. Where the tree has a file `hang`, it says so and builds for ever."""
import pathlib, signal, zipfile

def build_editable(folder, settings=None, metadata=None):
    with open("built", "a") as log:
        log.write("built\\n")
    if pathlib.Path("hang").exists():
        pathlib.Path("hangs").touch()
        signal.pause()
    with zipfile.ZipFile(pathlib.Path(folder, "kit-1-py3-none-any.whl"), "w") as wheel:
        wheel.writestr("kit-1.dist-info/METADATA", "Metadata-Version: 2.1\\nName: kit\\nVersion: 1\\n")
        wheel.writestr("kit-1.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr("kit-1.dist-info/RECORD", "")
    return "kit-1-py3-none-any.whl"
'''
makes_environments = pytest.mark.skipif(
    importlib.util.find_spec("ensurepip") is None, reason="this Python cannot make a virtual environment"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A tree to set up, and the only commands that its machine has."""

    tree: Path
    commands: Path

    def has(self, name: str, script: str) -> None:
        """Give the machine a command: a shell script."""
        command = self.commands / name
        command.unlink(missing_ok=True)
        command.write_text(f"#!/bin/sh\n{script}\n")
        command.chmod(0o755)

    def lacks(self, *names: str) -> None:
        for name in names:
            (self.commands / name).unlink()

    def start(self, *words: str, **environment: str) -> subprocess.Popen[str]:
        """Start a command in the tree, in a process group of its own."""
        return subprocess.Popen(
            words,
            cwd=self.tree,
            env={
                "PATH": str(self.commands),
                "HOME": str(self.tree),
                "PIP_CONFIG_FILE": os.devnull,
                "PIP_NO_INDEX": "1",
                "PIP_FIND_LINKS": "wheels",
                **environment,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            process_group=0,
        )

    def runs(self, *words: str, **environment: str) -> "Ended":
        with self.start(*words, **environment) as process:
            out, err = process.communicate()
        return Ended(code=process.returncode, out=out, err=err)

    def sets_up(self, **environment: str) -> "Ended":
        return self.runs("/bin/sh", "tools/setup.sh", **environment)

    def pins(self, version: str, *, digest: str = "") -> None:
        """Make the tree need that version of its one package."""
        wheel = self.tree / "wheels" / f"tiny-{version}-py3-none-any.whl"
        wheel.parent.mkdir(exist_ok=True)
        files = {
            "tiny.py": f"version = {version!r}\n",
            f"tiny-{version}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: tiny\nVersion: {version}\n",
            f"tiny-{version}.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        }
        with zipfile.ZipFile(wheel, "w") as archive:
            for name, text in files.items():
                archive.writestr(name, text)
            archive.writestr(f"tiny-{version}.dist-info/RECORD", "".join(_record(*file) for file in files.items()))
        digest = digest or hashlib.sha256(wheel.read_bytes()).hexdigest()
        (self.tree / "requirements" / "core.txt").write_text(f"tiny=={version} --hash=sha256:{digest}\n")

    def installed(self) -> str:
        """The version of the one package in the environment."""
        python = self.tree / ".venv" / "bin" / "python"
        return subprocess.check_output([python, "-I", "-c", "import tiny; print(tiny.version)"], text=True).strip()

    def remembers(self) -> dict[str, tuple[int, str]]:
        """When each file that tells a finished set-up was written, and what it says."""
        files = (self.tree / ".venv" / ".setup").iterdir()
        return {file.name: (file.stat().st_mtime_ns, file.read_text()) for file in files}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str


def _record(name: str, text: str) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
    return f"{name},sha256={digest},{len(text)}\n"


def furnished(folder: Path) -> Machine:
    """A machine that has everything, and a tree that was never set up."""
    machine = Machine(tree=folder / "tree", commands=folder / "commands")
    machine.commands.mkdir()
    for name in COMMANDS:
        found = shutil.which(name)
        if found:
            (machine.commands / name).symlink_to(os.path.realpath(found))
    (machine.commands / "python3").symlink_to(PYTHON)
    for name in ("strace", "bwrap"):
        machine.has(name, "exit 1  # whether it is there is all that counts")
    for name in ("tools", "requirements"):
        (machine.tree / name).mkdir(parents=True)
    shutil.copy(ROOT / "tools" / "setup.sh", machine.tree / "tools")
    shutil.copy(ROOT / "Makefile", machine.tree)
    (machine.tree / "backend.py").write_text(BACKEND)
    (machine.tree / "pyproject.toml").write_text(
        '[project]\nname = "kit"\nversion = "1"\n'
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    )
    machine.pins("1.0")
    return machine


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return furnished(tmp_path)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """One that was set up, to be left as it was found; making an environment takes seconds."""
    machine = furnished(tmp_path_factory.mktemp("made"))
    ended = machine.sets_up()
    assert ended.code == 0, ended
    return machine


@contextlib.contextmanager
def running(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """Whatever happens, nothing that the process started lives on."""
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


# --- interpreters


def test_without_a_python_one_line_says_what_to_type(machine: Machine) -> None:
    machine.lacks("python3", "strace", "bwrap")
    machine.has("id", "echo 1000")
    machine.has("apt-get", "exit 100")

    ended = machine.sets_up()

    assert ended.code == 2
    assert re.fullmatch(
        r"setup: no Python was found; type: sudo apt-get install -y python3 python3-venv strace bubblewrap.*\n",
        ended.err,
    )
    assert not (machine.tree / ".venv").exists()


def test_an_old_python_is_named_together_with_what_to_do(machine: Machine) -> None:
    machine.lacks("python3")
    old = 'import sys; sys.version_info = (3, 9, 2, "final", 0); exec(sys.argv[-1])'
    machine.has("python3", f"exec {PYTHON} -I -c '{old}' \"$@\"")

    ended = machine.sets_up()

    assert ended.code == 2
    assert re.fullmatch(r"setup: Python 3\.11 or newer is needed, and \S+ is 3\.9\.2; .+PYTHON=.+\n", ended.err)


def test_an_old_python_is_cured_by_a_newer_package_where_there_is_one(machine: Machine) -> None:
    old = 'import sys; sys.version_info = (3, 10, 1, "final", 0); exec(sys.argv[-1])'
    machine.has("python3", f"exec {PYTHON} -I -c '{old}' \"$@\"")
    machine.has("id", "echo 1000")
    machine.has("apt-get", "exit 100")
    machine.has("apt-cache", '[ "$*" = "show python3.12" ]')

    ended = machine.sets_up()

    assert ended.code == 2
    assert "type: sudo apt-get install -y python3.12 python3.12-venv" in ended.err


def test_a_named_interpreter_is_taken_or_refused_but_never_replaced(machine: Machine) -> None:
    machine.has("broken", "exit 127")
    machine.has("old", f"exec {PYTHON} -I -c 'import sys; sys.version_info = (3, 8, 0); exec(sys.argv[-1])' \"$@\"")

    broken, old = machine.sets_up(PYTHON="broken"), machine.sets_up(PYTHON="old")

    assert (broken.code, old.code) == (2, 2)
    assert broken.err == "setup: PYTHON=broken is no Python that runs; name one of version 3.11 or newer\n"
    assert old.err == "setup: PYTHON=old is Python 3.8.0; name one of version 3.11 or newer\n"


def test_a_python_that_can_make_no_environment_is_said_to(machine: Machine) -> None:
    # As Debian's without python3-venv and python3-pip, but for its place, which is no package's.
    partial = f'import sys; sys.modules["ensurepip"] = None; sys._base_executable = "{machine.commands}/python3"'
    machine.has(
        "python3",
        f'case "$*" in *"-m "*) exit 1 ;; esac\nexec {PYTHON} -I -c \'{partial}; exec(sys.argv[-1])\' "$@"',
    )

    ended = machine.sets_up()

    assert ended.code == 2
    assert "has neither ensurepip nor pip; name another one: make setup PYTHON=" in ended.err
    assert not (machine.tree / ".venv").exists()


# --- the environment


@makes_environments
def test_when_all_is_there_nothing_is_started_and_nothing_is_written(made: Machine) -> None:
    [pip] = made.tree.glob(".venv/lib/python3*/site-packages/pip")
    before = made.remembers()
    pip.rename(pip.with_name("pip.away"))
    try:
        ended = made.sets_up()
    finally:
        pip.with_name("pip.away").rename(pip)

    assert (ended.code, ended.out) == (0, "")
    assert made.remembers() == before


@makes_environments
def test_a_changed_pin_is_installed_into_the_environment_that_is_there(made: Machine) -> None:
    mark = made.tree / ".venv" / "mark"
    mark.touch()
    made.pins("2.0")

    ended = made.sets_up()

    assert ended.code == 0, ended
    assert made.installed() == "2.0"
    assert mark.exists()


@makes_environments
@pytest.mark.skipif(os.getuid() == 0, reason="everything is root's own")
def test_an_environment_of_somebody_else_is_left_alone_with_what_to_type(made: Machine) -> None:
    state = made.tree / ".venv" / ".setup"
    state.chmod(0o555)
    try:
        made.pins("3.0")
        ended = made.sets_up()
    finally:
        state.chmod(0o755)

    assert ended.code == 2
    assert re.fullmatch(r"setup: \S+/\.venv belongs to somebody else; type: sudo chown -R \S+ '\S+'\n", ended.err)
    assert made.sets_up().code == 0


@makes_environments
def test_a_tree_that_was_moved_gets_a_new_environment(made: Machine, tmp_path: Path) -> None:
    moved = Machine(tree=tmp_path / "moved here", commands=made.commands)
    shutil.copytree(made.tree, moved.tree, symlinks=True)

    ended = moved.sets_up()

    assert ended.code == 0, ended
    assert "making .venv\n" in ended.out
    assert f"{moved.tree}\n" in moved.remembers()["python"][1]
    assert moved.sets_up().out == ""


@makes_environments
def test_what_pip_said_is_shown_when_it_fails_and_a_shim_that_refuses_is_passed_over(machine: Machine) -> None:
    machine.has("python3.13", 'echo "no such version is selected" >&2; exit 127')
    machine.pins("1.0", digest="0" * 64)

    ended = machine.sets_up()

    assert ended.code == 2
    assert re.search(r"setup: found Python 3\.\d+\.\d+, /", ended.out)
    assert "DO NOT MATCH THE HASHES" in ended.err
    assert ended.err.splitlines()[-1].startswith("setup: pip could not install requirements/core.txt")


@makes_environments
def test_a_killed_set_up_is_repaired_by_the_next_one(machine: Machine) -> None:
    (machine.tree / "hang").touch()
    with running(machine.start("/bin/sh", "tools/setup.sh")) as process:
        while not (machine.tree / "hangs").exists():
            assert process.poll() is None, process.communicate()
            time.sleep(0.01)
    (machine.tree / "hang").unlink()

    ended = machine.sets_up(PYTHONPATH="/nowhere", PYTHONHOME="/nowhere", PIP_USER="1", PIP_REQUIRE_VIRTUALENV="1")

    assert ended.code == 0, ended
    assert "making .venv\n" in ended.out
    assert machine.installed() == "1.0"
    assert sorted(machine.remembers()) == ["core", "not_had", "python"]


@makes_environments
@pytest.mark.skipif(shutil.which("flock") is None, reason="this machine has no flock, so nobody waits")
def test_of_two_at_once_one_works_and_the_other_waits(machine: Machine) -> None:
    with contextlib.ExitStack() as stack:
        both = [stack.enter_context(running(machine.start("/bin/sh", "tools/setup.sh"))) for _ in range(2)]
        said = [process.communicate() for process in both]

    assert [process.returncode for process in both] == [0, 0], said
    assert (machine.tree / "built").read_text() == "built\n"
    assert sum("another set-up is running here" in out for out, _ in said) == 1
    assert machine.installed() == "1.0"


# --- system packages


@makes_environments
def test_what_apt_cannot_install_is_a_warning_and_is_not_tried_again(made: Machine, tmp_path: Path) -> None:
    poor = Machine(tree=made.tree, commands=tmp_path / "commands")
    shutil.copytree(made.commands, poor.commands, symlinks=True)
    poor.lacks("strace", "bwrap")
    poor.has("id", "echo 0")
    poor.has("apt-get", f'echo "$DEBIAN_FRONTEND $*" >>{tmp_path}/asked; echo "E: no network"; exit 100')

    first, second = poor.sets_up(), poor.sets_up()

    asked = (tmp_path / "asked").read_text().splitlines()
    assert [re.sub(r"-q( -o \S+)+ ", "", line) for line in asked] == [
        "noninteractive install -y --no-install-recommends strace bubblewrap",
        "noninteractive update",
        "noninteractive install -y --no-install-recommends strace bubblewrap",
    ]
    warning = "setup: not installed: strace bubblewrap (what needs it is reported as unmeasured or unprotected); "
    warning += "type: apt-get update && apt-get install -y strace bubblewrap\n"
    assert (first.code, second.code) == (0, 0)
    assert first.err == f"setup: apt-get could not install strace bubblewrap: E: no network\n{warning}"
    assert second.err == warning
    assert made.sets_up().err == ""


@makes_environments
@pytest.mark.parametrize("trusted", [True, False], ids=["sudo asks for nothing", "sudo wants a password"])
def test_without_root_apt_is_used_through_sudo_or_not_at_all(made: Machine, tmp_path: Path, trusted: bool) -> None:
    poor = Machine(tree=made.tree, commands=tmp_path / "commands")
    shutil.copytree(made.commands, poor.commands, symlinks=True)
    poor.lacks("strace")
    poor.has("id", "echo 1000")
    poor.has("sudo", '[ "$1" = -n ] && shift && exec "$@"' if trusted else "exit 1")
    poor.has("apt-get", f"echo '#!/bin/sh' >{poor.commands}/strace; /bin/chmod +x {poor.commands}/strace")

    ended = poor.sets_up()

    assert ended.code == 0
    assert (poor.commands / "strace").exists() is trusted
    assert ended.err.endswith("" if trusted else "type: sudo apt-get install -y strace\n")
    assert bool(ended.err) is not trusted


# --- the Makefile


@pytest.mark.parametrize(
    ("right", "wrong", "succeeds"), [(0, 1, True), (1, 1, False), (0, 0, False), (0, 2, False), (0, 3, False)]
)
def test_a_demo_succeeds_only_when_right_passes_and_wrong_fails(
    machine: Machine, right: int, wrong: int, succeeds: bool
) -> None:
    (machine.tree / "tools" / "setup.sh").write_text("exit 0\n")
    grade = machine.tree / ".venv" / "bin" / "grade"
    grade.parent.mkdir(parents=True)
    grade.write_text(f'#!/bin/sh\necho "grade $*"\n[ "$2" = --solution ] && exit {right}\nexit {wrong}\n')
    grade.chmod(0o755)

    ended = machine.runs("make", "demo")

    assert (ended.code == 0) is succeeds
    assert ended.out.count("grade ex03") == (2 if right == 0 else 1)


def test_make_alone_lists_every_target_that_a_person_types(machine: Machine) -> None:
    targets = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert targets

    ended = machine.runs("make")

    listed = set(re.findall(r"^make (\w+) ", ended.out, re.MULTILINE))
    assert ended.code == 0
    assert listed == set(targets[1].split()) - {"help", "core", "dev"}


def test_the_submissions_that_the_makefile_grades_are_there() -> None:
    submissions = re.findall(r"--submission (\S+);", (ROOT / "Makefile").read_text())

    assert submissions
    assert all((ROOT / submission).is_dir() for submission in submissions)


# --- the pins


@functools.cache
def pinned(name: str) -> dict[str, str]:
    """Each pinned package of one file, with its marker if it has one, and its version.

    Raises:
        AssertionError: a line is neither a comment nor a pin with hashes.
    """
    text = (ROOT / "requirements" / f"{name}.txt").read_text().replace("\\\n", " ")
    pins = {}
    for line in (line for line in text.splitlines() if line and not line.startswith("#")):
        pin = re.fullmatch(r"([a-z0-9-]+)==(\S+)( ; .+?)?(?: +--hash=sha256:[0-9a-f]{64})+", line)
        assert pin, f"requirements/{name}.txt: not a pin with hashes: {line[:80]}"
        pins[f"{pin[1]}{pin[3] or ''}"] = pin[2]
    return pins


@pytest.mark.parametrize("name", ["core", "instructor", "dev"])
def test_each_file_of_pins_is_whole_hashed_and_names_no_index(name: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"]
    wanted = [*project["project"]["dependencies"], *extras.get(name, [])]
    if "tracegrade[instructor]" in wanted:  # one extra may hold another
        wanted.remove("tracegrade[instructor]")
        wanted += extras["instructor"]
    [backend] = project["build-system"]["requires"]

    pins = pinned(name)

    assert {re.split(r"[<>=\[]", need)[0].lower() for need in wanted} <= pins.keys()
    assert backend == f"setuptools=={pins['setuptools']}"
    assert "://" not in (ROOT / "requirements" / f"{name}.txt").read_text()


@pytest.mark.parametrize("name", ["instructor", "dev"])
def test_the_files_of_pins_agree_so_that_one_environment_can_hold_them_all(name: str) -> None:
    shared = pinned("core").keys() | (pinned("instructor").keys() & pinned("dev").keys())

    assert {package: pinned(name)[package] for package in pinned("core")} == pinned("core")
    assert all(pinned("instructor")[package] == pinned("dev")[package] for package in shared)


def test_every_package_of_the_kit_is_installed() -> None:
    """A development install finds what is not listed, and no other does."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = sorted(file.parent.relative_to(ROOT).as_posix() for file in (ROOT / "grader").rglob("__init__.py"))

    assert project["tool"]["setuptools"]["packages"] == [package.replace("/", ".") for package in packages]
