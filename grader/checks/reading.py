"""A submission's file as text, before any of it is run: can it be compiled, and has it been begun?

Knows how to ask the interpreter that will run it (`parsing`, in a process of its own); knows nothing of boxes. What
cannot be told from the text is left to the import.
"""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from grader.box.wall import base_interpreter
from grader.checks import parsing

_TIMEOUT_S: Final = 20.0  # its processor time has a limit of its own; a way out on a machine that stands still


@dataclass(frozen=True, slots=True, kw_only=True)
class SyntaxProblem:
    """What the compiler says of a file, in its own words.

    Attributes:
        exception: the name of its class.
        line: of the file; 0 where it does not say.
        text: that line.
        merge: whether it is one of the marks that Git leaves around two versions.
    """

    exception: str
    says: str
    line: int
    text: str
    merge: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What the text of a file tells.

    Attributes:
        problem: why it cannot be compiled; None where it can, or where that is not known.
        left: the functions that are left to write, as a stub leaves them, each with the line of its raise.
        begun: whether anything has been written.
    """

    problem: SyntaxProblem | None = None
    left: tuple[tuple[str, int], ...] = ()
    begun: bool = True


def read(file: Path, *, uid: int | None) -> Reading:
    """What is found in the file; nothing, where that cannot be told.

    Args:
        uid: the user that boxes run as; None for this one.
    """
    try:
        source = file.read_bytes()
        command = [str(base_interpreter()), "-I", "-S", "-B", "-W", "ignore", "-c", _SCRIPT, file.name]
        done = subprocess.run(
            command,
            input=source,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_TIMEOUT_S,
            check=True,
            env={},
            cwd="/",
            user=uid,
            group=uid,
            extra_groups=None if uid is None else [],
        )
        return _reading(json.loads(done.stdout))
    except (OSError, subprocess.SubprocessError, ValueError, LookupError, TypeError):
        return Reading()


_SCRIPT: Final = Path(parsing.__file__).read_text(encoding="utf-8")


def _reading(found: Any) -> Reading:
    error = found["error"]
    problem = None
    if error is not None:
        problem = SyntaxProblem(
            exception=str(error["exception"]),
            says=str(error["says"]),
            line=int(error["line"]),
            text=str(error["text"]),
            merge=bool(error["merge"]),
        )
    left = tuple((str(name), int(line)) for name, line in found["left"])
    return Reading(problem=problem, left=left, begun=bool(found["begun"]))
