"""A term with nbgrader, typed as an instructor would type it: publish, release, hand in, autograde, feedback, export.

Knows nbgrader's commands, folders and gradebook; knows nothing of how a notebook is graded.
"""

import copy
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grader.course.load import load_course
from grader.publish import nbgrader
from grader.publish.tree import write
from gradings import Tiny

Notebook = dict[str, Any]
Change = Callable[[Notebook], None]

NUMBER = "ex90"
SYSTEM_PATH = "/usr/bin:/bin"
PROGRAMS = Path(sys.executable).parent  # of an environment that nobody has activated
_GRADES = """
import json, sys
from nbgrader.api import Gradebook
with Gradebook("sqlite:///gradebook.db") as book:
    print(json.dumps({one.student.id: {
        "score": one.score, "max_score": one.max_score, "waits": one.needs_manual_grade,
        "cells": {grade.name: [grade.auto_score, grade.needs_manual_grade] for grade in one.notebooks[0].grades},
        "comment": [comment.auto_comment for comment in one.notebooks[0].comments][0],
    } for one in book.find_assignment(sys.argv[1]).submissions}))
"""

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["nbgrader.apps.nbgraderapp"])


def _type(words: Sequence[str], cwd: Path, environment: Mapping[str, str], output: Path) -> None:
    """What the program `nbgrader` does with these words, in this process."""
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    with output.open("wb") as file, Path(os.devnull).open("rb") as nothing:
        for source, fd in ((nothing, 0), (file, 1), (file, 2)):
            os.dup2(source.fileno(), fd)
    sys.argv = [str(PROGRAMS / "nbgrader"), *words]
    from nbgrader.apps.nbgraderapp import main

    main()


@dataclass(frozen=True, slots=True)
class Classroom:
    """A course directory of nbgrader's, made from a tiny course."""

    root: Path
    tiny: Tiny

    def type(
        self, *words: str, code: int = 0, cwd: Path | None = None, prefix: tuple[str, ...] = (), path: str = SYSTEM_PATH
    ) -> str:
        """`nbgrader WORDS` in the course's folder; both outputs."""
        if prefix:
            done = self.run([*prefix, str(PROGRAMS / "nbgrader"), *words], cwd=cwd, path=path)
            ended, said = done.returncode, done.stdout + done.stderr
        else:
            ended, said = self._fork(words, cwd or self.root, path)
        assert ended == code, f"nbgrader {' '.join(words)}: {ended}\n{said}"
        return said

    def _fork(self, words: Sequence[str], cwd: Path, path: str) -> tuple[int, str]:
        """The same in a fork of a process that has imported nbgrader: else that is most of what a command costs."""
        output = self.root.parent / "output"
        command = _FORKS.Process(target=_type, args=(words, cwd, self._environment(path), output))
        command.start()
        command.join(240)
        assert command.exitcode is not None, f"nbgrader {' '.join(words)} does not end"
        return command.exitcode, output.read_text()

    def _environment(self, path: str) -> dict[str, str]:
        home = self.root.parent / "home"
        home.mkdir(exist_ok=True)
        return {"HOME": str(home), "PATH": path, "LANG": "C.UTF-8"}

    def run(
        self, command: list[str], *, cwd: Path | None = None, path: str = SYSTEM_PATH
    ) -> "subprocess.CompletedProcess[str]":
        environment = self._environment(path)
        return subprocess.run(
            command, cwd=cwd or self.root, env=environment, capture_output=True, text=True, check=False, timeout=240
        )

    def publish(self) -> None:
        course = load_course(self.tiny.root)
        write(nbgrader.tree(course, course.exercises), self.root)

    def released(self) -> Notebook:
        return read(self.root / "release" / NUMBER / f"{NUMBER}.ipynb")

    def hand_in(self, student: str, *changes: Change) -> Notebook:
        """The released notebook, changed by a student, as if nbgrader had collected it."""
        notebook = copy.deepcopy(self.released())
        for change in changes:
            change(notebook)
        folder = self.root / "submitted" / student / NUMBER
        shutil.copytree(self.root / "release" / NUMBER, folder)
        (folder / f"{NUMBER}.ipynb").write_text(json.dumps(notebook))
        return notebook

    def grades(self) -> Mapping[str, Any]:
        """Of each student: score, whether it waits for a person, auto score and waiting of each cell, the comment."""
        done = self.run([sys.executable, "-c", _GRADES, NUMBER])
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout))

    def outputs(self, student: str) -> Mapping[str, list[dict[str, Any]]]:
        """What stands below each graded cell of the autograded notebook."""
        notebook = read(self.root / "autograded" / student / NUMBER / f"{NUMBER}.ipynb")
        return {cell_id(cell): cell["outputs"] for cell in notebook["cells"] if cell_id(cell).startswith("check-")}

    def source(self, name: str) -> str:
        return (self.tiny.root / name).read_text()


def read(file: Path) -> Notebook:
    return dict(json.loads(file.read_text()))


def cell_id(cell: dict[str, Any]) -> str:
    return str(cell["metadata"].get("nbgrader", {}).get("grade_id", ""))


def cell_of(notebook: Notebook, grade_id: str) -> dict[str, Any]:
    cells: list[dict[str, Any]] = [cell for cell in notebook["cells"] if cell_id(cell) == grade_id]
    (cell,) = cells
    return cell


def text_of(cell: dict[str, Any]) -> str:
    """A notebook's file has lines where a notebook has text."""
    return cell["source"] if isinstance(cell["source"], str) else "".join(cell["source"])


def solved(text: str, *, first_line: str = "%%solution tiny.py") -> Change:
    """The student writes this into the solution's cell."""

    def change(notebook: Notebook) -> None:
        cell_of(notebook, "solution")["source"] = f"{first_line}\n{text}".rstrip("\n")

    return change


def added(source: str, *, at: int | None = None, **nbgrader: Any) -> Change:
    """The student adds a cell; with those marks of nbgrader's, if any."""

    def change(notebook: Notebook) -> None:
        cell = {
            "cell_type": "code",
            "id": f"added-{len(notebook['cells'])}",
            "metadata": {"nbgrader": nbgrader} if nbgrader else {},
            "source": source,
            "execution_count": 1,
            "outputs": [
                {"output_type": "execute_result", "data": {"text/plain": "100.0"}, "metadata": {}, "execution_count": 1}
            ],
        }
        notebook["cells"].insert(len(notebook["cells"]) if at is None else at, cell)

    return change
