"""Where a command's texts go: a file, whole or not at all; behind what a file holds already; or standard output. Knows
paths and how a file is replaced; knows nothing of what is written.
"""

import contextlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from grader.errors import GraderError, UsageError

STDOUT = "-"


@dataclass(frozen=True, slots=True)
class Target:
    """One place to write to: a path, or `-`."""

    name: str
    appends: bool = False  # what stands in the file stays: other steps of a job write to it too

    @property
    def is_stdout(self) -> bool:
        return self.name == STDOUT

    def write(self, text: str) -> None:
        """Write it there; a file is replaced in one step, so that nobody reads half of it.

        Raises:
            GraderError: the machine refused.
        """
        if self.is_stdout:
            sys.stdout.write(text)
            sys.stdout.flush()
            return
        path = Path(self.name)
        try:
            if self.appends:
                _append(path, text)
            elif _is_ours_to_replace(path):
                replace_file(path, text)
            else:
                path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise GraderError(
                f"What was found could not be written to {self.name}: {error.strerror}. Choose another FILE."
            ) from error


def require_writable(targets: Sequence[Target]) -> None:
    """What can be known of a place before there is anything to write.

    Raises:
        UsageError: a folder is missing, a file may not be written, or two texts would go to one place.
    """
    for number, target in enumerate(targets):
        if any(target.name == other.name for other in targets[:number]):
            raise UsageError(f"Two outputs go to {target.name}: one would overwrite the other. Choose another FILE.")
        if reason := _no_stdout() if target.is_stdout else _unwritable(Path(target.name)):
            raise UsageError(f"Nothing can be written to {target.name}: {reason}. Choose another FILE.")


def _no_stdout() -> str | None:
    return "standard output is closed" if sys.__stdout__ is None else None


def _unwritable(path: Path) -> str | None:
    try:
        if path.is_dir():
            return "it is a folder"
        if not path.parent.is_dir():
            return f"there is no folder {path.parent}"
        if path.exists() and not os.access(path, os.W_OK):
            return "you may not write to it"
        if not path.exists() and not os.access(path.parent, os.W_OK | os.X_OK):
            return f"you may not write into {path.parent}"
    except OSError as error:  # a name that is too long, a folder that is closed to us
        return error.strerror
    return None


def _is_ours_to_replace(path: Path) -> bool:
    """Not /dev/stdout, a pipe, or what a link leads to."""
    return not path.is_symlink() and (path.is_file() or not path.exists())


def replace_file(path: Path, text: str) -> None:
    """Write it in one step: who reads at that moment finds the old text or the new one. A power cut is not cared for.

    Raises:
        OSError: it could not be written; what stood there stands there still.
    """
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        scratch.write_text(text, encoding="utf-8")
        scratch.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            scratch.unlink(missing_ok=True)
        raise


def _append(path: Path, text: str) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(text)
