"""Which exercises an audit found as promised, and whether they are still the same: `.grade/audited.json` in the course.
Knows what an audit depends on; knows nothing of how one is made.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import grader
from grader.course import Course, Exercise

_FILE = Path(".grade", "audited.json")


def fingerprint(exercise: Exercise) -> str:
    """SHA-256, in hex, over names and bytes of all that an audit of the exercise depends on: the kit, its limits, and
    every file of it, the instructor's own too.
    """
    folders = (Path(grader.__file__).parent, exercise.handout_dir, exercise.solution_dir, exercise.checks_dir)
    digest = hashlib.sha256(exercise.limits.model_dump_json().encode())
    for folder in folders:
        for path in _files(folder):
            name, data = path.relative_to(folder.parent).as_posix(), path.read_bytes()
            digest.update(f"{name}\0{len(data)}\0".encode())
            digest.update(data)
    return digest.hexdigest()


def remember(course: Course, exercises: Iterable[Exercise]) -> str:
    """Write down that these were found as promised. Returns a warning when that could not be; nothing is lost then but
    the time of the next audit.
    """
    known = {**_known(course.root), **{one.slug: fingerprint(one) for one in exercises}}
    path = course.root / _FILE
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(exist_ok=True)
        scratch.write_text(json.dumps(known, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        scratch.replace(path)
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
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path
