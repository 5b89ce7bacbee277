"""The folder that programs are run from: what lies in it, and who can reach it. Knows files and their
modes; knows nothing of how a program is kept in.

    submission/  given/     what was handed in, and the modules that come with the exercise
    inside.py               the kit's own code next to the program
    traces/                 what tracers write, who are the same user as the program
    canary                  a file that no boxed program may read
"""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from grader.box import inside
from grader.box.scratch import held_folder
from grader.errors import GraderError

SUBMISSION: Final = "submission"
TRACES: Final = "traces"
CANARY: Final = "canary"


@contextlib.contextmanager
def staging_folder() -> Iterator[Path]:
    """A folder with an empty submission/ and given/, which other users can enter whatever this user's umask keeps from
    them; gone behind the block.

    Raises:
        OSError: none can be made.
    """
    with held_folder() as staging:
        for folder in (staging, staging / SUBMISSION, staging / "given"):
            folder.mkdir(exist_ok=True)
            folder.chmod(0o755)
        yield staging


def lay_out(staging: Path, *, uid: int | None) -> None:
    """Put what the kit brings beside what was handed in. It may be there already.

    Args:
        uid: the user that programs run as, where that is not this one.

    Raises:
        GraderError: that user cannot reach the folder; the message has the cure.
        OSError: EINVAL or EPERM where there is no such user for this process, as in a user namespace.
    """
    shutil.copyfile(Path(inside.__file__), staging / "inside.py")
    (staging / CANARY).write_text("a file of the host\n")
    for name in ("inside.py", CANARY):
        (staging / name).chmod(0o644)
    traces = staging / TRACES
    traces.mkdir(exist_ok=True)  # a judge that was refused a better level has been here
    if uid is None:
        return
    os.chown(traces, uid, uid)
    for parent in staging.resolve().parents:
        if not parent.stat().st_mode & 0o001:
            raise GraderError(
                f"The temporary folder {staging.parent} cannot be reached by the user that submissions run as: "
                f"{parent} is closed to others. Set TMPDIR to a folder that everyone can reach, such as /tmp."
            )
