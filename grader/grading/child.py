"""A grading in a process of its own, for hosts that are not ours: a notebook's kernel, nbgrader, Jupyter's server.

At its end a grading kills whatever runs below its process, and it adopts orphans: a host would lose its own children.
Here `grade` is typed as a person would type it. It dies with its host, in order, so that it takes its folders along.
Knows processes and `grade`'s words; knows no host.
"""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence

from grader.box import kernel
from grader.box.scratch import PREFIX, held_folder
from grader.errors import MISUSED, GraderError, KitError
from grader.report.model import Graded, Ungraded, from_json


def grade_aside(words: Sequence[str], files: Mapping[str, str] | None = None) -> Graded | Ungraded:
    """`grade WORDS --json -`.

    Args:
        files: what somebody handed in, by name: `--submission`. They lie on a disk while they are graded.

    Raises:
        KitError: there is no report; in the words that a terminal would have shown.
    """
    order = json.dumps({"words": [*words, "--json", "-"], "files": files})
    command = [sys.executable, "-I", "-m", "grader.grading.child", str(os.getpid())]
    pipe = subprocess.PIPE
    # A session of its own: who interrupts a notebook would end it twice, the second time while it cleans up.
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True) as process:
        try:
            report, said = process.communicate(order.encode())
        except BaseException:
            process.terminate()
            raise
    try:
        return from_json(report)
    except ValueError:
        # What was handed in is named without the folder, which tells a student nothing and is gone by now.
        message = re.sub(rf"[^\s:]*/{PREFIX}[^\s/:]*[/:]?\s*", "", _last_words(said))
        kind = KitError if process.returncode == MISUSED else GraderError
        raise kind(message or f"The grading ended without a word (status {process.returncode}). Try again.") from None


def _last_words(said: bytes) -> str:
    return said.decode("utf-8", "backslashreplace").rpartition("grade: ")[2].strip()


def main() -> None:
    """The other side: what is to be done comes by standard input, the report goes to standard output."""
    from grader.commands import main as cli

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.default_int_handler)
    kernel.die_with_parent(int(sys.argv[1]), by=signal.SIGTERM)
    order = json.loads(sys.stdin.buffer.read())
    sys.argv[1:] = order["words"]
    if order["files"] is None:
        cli.main()
    with held_folder() as folder:
        for name, text in order["files"].items():
            (folder / name).write_bytes(text.encode())
        sys.argv += ["--submission", str(folder)]
        cli.main()


if __name__ == "__main__":
    main()
