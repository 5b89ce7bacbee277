"""The folder that `--keep` names: the traces and logs of one run, and of no other. Knows what a run is called that has
left its files there, and what these are called; knows nothing of what stands in them.
"""

import json
import os
import re
from contextlib import suppress
from pathlib import Path

from grader.errors import UsageError
from grader.grading.names import shown_name
from grader.safe_text import is_utf8

RUN = "run.json"  # which run the files beside it are of
_OF_A_RUN = re.compile(r"[a-z0-9_]+-[0-9]+\.(strace|output|channel)|judge\.log")


def make_ready(keep: Path, *, exercise: str, source: Path) -> Path:
    """The folder for the files of a run on that exercise and submission, absolute and without other runs' files.

    What an earlier run on the same submission has left is taken away: that is what who types the line again expects.
    Whatever else is there may be somebody's evidence.

    Raises:
        UsageError: it holds something else, or cannot be written to.
    """
    keep = keep.absolute()
    if not is_utf8(keep):
        raise UsageError(f"--keep {keep}: the path is not UTF-8. Name another folder.")
    about = json.dumps({"exercise": exercise, "submission": str(source)}) + "\n"
    try:
        keep.mkdir(parents=True, exist_ok=True)
        names = sorted(os.listdir(keep))
        if names and _text(keep / RUN) != about:
            what = shown_name(next((name for name in names if name != RUN), RUN))
            whose = "the files of another run" if RUN in names else f"something already, such as {what}"
            raise UsageError(f"--keep {keep}: it holds {whose}. Name a new folder, or empty this one.")
        for name in filter(_OF_A_RUN.fullmatch, names):
            (keep / name).unlink()
        (keep / RUN).write_text(about, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--keep {keep}: {error.strerror}. Name a folder that can be written to.") from error
    return keep


def _text(file: Path) -> str:
    with suppress(FileNotFoundError, UnicodeDecodeError):
        return file.read_text(encoding="utf-8")
    return ""
