"""What students and platforms receive: one module a target, and the way that every publication goes.

It is built in memory, searched for what is the instructor's, and then written whole or not at all; or put in the place
of an earlier one, of which only what that one wrote is touched. The same files of a course give the same bytes.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from grader.course.model import Course, Exercise
from grader.errors import UsageError
from grader.publish.changes import changes
from grader.publish.earlier import (
    ABOUT,
    SCHEMA,
    Difference,
    Earlier,
    difference,
    digests_of,
    listed,
    put_in_place,
    read_earlier,
)
from grader.publish.leaks import refuse_leaks
from grader.publish.origin import Origin, origin_of
from grader.publish.tree import Tree, is_vacant, text_file, write
from grader.versions import kit_version

Build = Callable[[Course, Sequence[Exercise]], Tree]

_LINE_ENDINGS = """\
# Git for Windows may end lines with CR LF: no shell runs a script then, and the checks' digests are others.
* text=auto eol=lf
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What was done.

    Attributes:
        origin: the commit that the course's files are those of, or why there is none.
        told: what differs from what had been published there before, in lines; empty when nothing was there.
    """

    origin: Origin
    told: Sequence[str] = ()


def publish(
    target: str,
    build: Build,
    course: Course,
    exercises: Sequence[Exercise],
    to: Path,
    *,
    audited: bool,
    with_sizes: bool = False,
    update: bool = False,
    yours: Sequence[str] = (),
) -> Published:
    """Publish to a new or empty folder, or over an earlier publication.

    Args:
        target: the target's name, as it is recorded.
        build: makes the files.
        audited: whether an audit found these exercises as promised, as they are now.
        with_sizes: it is to hold the hidden sizes.
        update: replace what an earlier publication wrote into `to`, and remove what is no longer published.
        yours: patterns of the published files that an instructor may edit.

    Raises:
        CourseError: a file of the course cannot be published, or something of the instructor's stands in one.
        GraderError: the kit was installed without the files that a publication needs.
        UsageError: the folder cannot be written, holds something that was not published, or a publication that is to
            change without `update`; or a person edited what would be replaced.
    """
    origin = origin_of(course.root)
    tree = {".gitattributes": text_file(_LINE_ENDINGS), **build(course, exercises)}
    tree[ABOUT] = text_file(_about(target, exercises, tree, commit=origin.commit, audited=audited))
    refuse_leaks(tree, exercises, with_sizes=with_sizes)
    to = to.absolute()
    if to.is_symlink() or (is_vacant(to) and not to.joinpath(".git").exists()):
        write(tree, to)
        return Published(origin=origin)
    earlier = read_earlier(to, target)
    change = difference(to, earlier, tree, yours=yours)
    told = _told(to, earlier, tree, change) if earlier.digests else ()
    if change.changes and earlier.digests and not update:
        raise UsageError(
            f"{to}: it was published before, and would change:\n" + "\n".join(told) + "\nSay --update to write that."
        )
    if change.changes:
        put_in_place(to, tree, change)
    return Published(origin=origin, told=told)


def _told(to: Path, earlier: Earlier, tree: Tree, change: Difference) -> list[str]:
    """What a person reads before others do: limits and words first, then the files."""
    before = {name: (to / name).read_bytes().replace(b"\r\n", b"\n") for name in change.replaced}
    lines = list(changes(before, {name: tree[name].data for name in change.replaced}))
    if earlier.kit_version != kit_version():
        lines.append(f"kit: {earlier.kit_version} -> {kit_version()}")
    for names, words in ((change.added, "new"), (change.removed, "no longer published, removed")):
        if names:
            lines += [f"{words}:", listed(names)]
    if replaced := [name for name in change.replaced if name != ABOUT]:
        lines += ["replaced:", listed(replaced)]
    if change.kept:
        lines += ["edited by a person, and left as they are:", listed(change.kept)]
    return lines or ["nothing but the record of the commit" if change.changes else "nothing"]


def _about(target: str, exercises: Sequence[Exercise], tree: Tree, *, commit: str, audited: bool) -> str:
    about: Mapping[str, object] = {
        "schema": SCHEMA,
        "target": target,
        "kit_version": kit_version(),
        "commit": commit or None,
        "audited": audited,
        "checks_digests": {one.slug: one.digest for one in exercises},
        "files": digests_of(tree),
    }
    return json.dumps(about, indent=2) + "\n"
