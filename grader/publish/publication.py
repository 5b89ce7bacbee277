"""What students and platforms receive: one module a target, and the way that every publication goes.

It is built in memory, searched for what is the instructor's, and then written whole or not at all. The same files of a
course give the same bytes.
"""

import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from grader.course.model import Course, Exercise
from grader.publish.leaks import refuse_leaks
from grader.publish.tree import Tree, text_file, write
from grader.versions import kit_version

Build = Callable[[Course, Sequence[Exercise]], Tree]

ABOUT = "published.json"


def publish(
    target: str,
    build: Build,
    course: Course,
    exercises: Sequence[Exercise],
    to: Path,
    *,
    audited: bool,
    with_sizes: bool = False,
) -> str:
    """Publish to a new or empty folder.

    Args:
        target: the target's name, as it is recorded.
        build: makes the files.
        audited: whether an audit found these exercises as promised, as they are now.
        with_sizes: it is to hold the hidden sizes.

    Returns:
        The commit that the course's files are those of; empty when they are not all committed.

    Raises:
        CourseError: a file of the course cannot be published, or something of the instructor's stands in one.
        GraderError: the kit was installed without the files that a publication needs.
        UsageError: the folder cannot be written, or holds something.
    """
    commit = _commit(course.root)
    tree = dict(build(course, exercises))
    tree[ABOUT] = text_file(_about(target, exercises, commit=commit, audited=audited))
    refuse_leaks(tree, exercises, with_sizes=with_sizes)
    write(tree, to)
    return commit


def _about(target: str, exercises: Sequence[Exercise], *, commit: str, audited: bool) -> str:
    about: Mapping[str, object] = {
        "schema": "tracegrade/published/1",
        "target": target,
        "kit_version": kit_version(),
        "commit": commit or None,
        "audited": audited,
        "checks_digests": {one.slug: one.digest for one in exercises},
    }
    return json.dumps(about, indent=2) + "\n"


def _commit(root: Path) -> str:
    """HEAD of the repository that holds the course; empty where something is not committed, or there is none."""
    try:
        changed = _git(root, "status", "--porcelain", "--", ".")
        return "" if changed else _git(root, "rev-parse", "HEAD")
    except (OSError, subprocess.SubprocessError):
        return ""


def _git(root: Path, *words: str) -> str:
    command = ["git", "-C", str(root), *words]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.strip()
