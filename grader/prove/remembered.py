"""Which exercises an audit found as promised, and whether they are still the same: `.grade/audited.json` in the course.
Knows what an audit depends on; knows nothing of how one is made.
"""

import json
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from grader.course.model import Course, Exercise
from grader.report.output import replace_file
from grader.versions import digest_of, kit_version

_FILE = Path(".grade", "audited.json")


def fingerprint(exercise: Exercise) -> str:
    """A digest of all that an audit of the exercise depends on: the kit, its limits, and every file of it, the
    instructor's own too.
    """
    folders = (exercise.handout_dir, exercise.solution_dir, exercise.checks_dir)
    files = {
        str(path.relative_to(exercise.root)): path.read_bytes() for path in chain.from_iterable(map(_files, folders))
    }
    return digest_of({"kit": kit_version().encode(), "limits": exercise.limits.model_dump_json().encode(), **files})


def remember(course: Course, exercises: Iterable[Exercise]) -> str:
    """Write down that these were found as promised. Returns a warning when that could not be; nothing is lost then but
    the time of the next audit.
    """
    known = {**_known(course.root), **{one.slug: fingerprint(one) for one in exercises}}
    path = course.root / _FILE
    try:
        path.parent.mkdir(exist_ok=True)
        replace_file(path, json.dumps(known, indent=2, sort_keys=True) + "\n")
    except OSError as error:
        return f"{path} cannot be written ({error.strerror}): publishing will audit again."
    return ""


def unproven(course: Course, exercises: Iterable[Exercise]) -> tuple[Exercise, ...]:
    """Those that no audit has found as promised, as they are now."""
    known = _known(course.root)
    return tuple(one for one in exercises if known.get(one.slug) != fingerprint(one))


def _known(root: Path) -> dict[str, str]:
    try:
        known = json.loads((root / _FILE).read_bytes())
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _files(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path
