"""Where in what was handed in the wanted files are, however a student packed them and whatever a platform called them.
Knows folders and names; opens no file, and follows no link.
"""

import os
import re
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from grader.errors import Place, SubmissionError
from grader.grading.names import listed, printable

_DEEPEST = 4  # folders below the top: a repository in a folder has exercises/ex03_epoll/ in the third
_MOST_ENTRIES = 5_000  # a virtual environment, handed in by mistake, has more, and nothing that is wanted
_CURE = "Hand in one of them."


def find(handed_in: Path, wanted: Sequence[str], slug: str) -> Path:
    """What is to be collected of what was handed in, where that has one meaning; else what was handed in itself.

    A file, or an archive; or the folder that holds the wanted files: the top, `exercises/<slug>/` of a repository, else
    the one that is least deep. Where one file is wanted and none has its name, the one that a learning management
    system has renamed: Canvas makes `ada_123_456_epoll_server-2.py` of `epoll_server.py`, and Moodle puts
    `Ada_123_assignsubmission_file_` before it.

    Raises:
        SubmissionError: several folders or files may be meant.
    """
    # What `Path` has for it raises where one may not look, or a name is too long.
    if os.path.islink(handed_in) or not os.path.isdir(handed_in):  # noqa: PTH112, PTH114
        return handed_in
    folders = list(_folders(handed_in))
    holders = [folder for folder, files in folders if files.intersection(wanted)]
    if holders:
        return _nearest(handed_in, holders, slug)
    renamed = [folder / name for folder, files in folders for name in sorted(files) if _is_renamed(name, wanted)]
    if renamed:
        return _only(handed_in, renamed, "files that may be meant")
    zips = [handed_in / name for folder, files in folders[:1] for name in files if name.lower().endswith(".zip")]
    return zips[0] if len(zips) == 1 else handed_in


def _nearest(top: Path, holders: Sequence[Path], slug: str) -> Path:
    if top in holders:
        return top
    holders = [folder for folder in holders if folder.parts[-2:] == ("exercises", slug)] or holders
    nearest = [folder for folder in holders if len(folder.parts) == len(holders[0].parts)]
    return _only(top, nearest, "wanted files are in several folders")


def _only(top: Path, found: Sequence[Path], said: str) -> Path:
    if len(found) > 1:
        places = ", ".join(listed(str(path.relative_to(top)) for path in found))
        raise SubmissionError(Place(printable(str(top))), f": {said}: {places}", _CURE)
    return found[0]


def _is_renamed(name: str, wanted: Sequence[str]) -> bool:
    """Whether it is the one wanted name with what a system, or a browser, has put before it and behind it."""
    if len(wanted) != 1 or not wanted[0].endswith(".py"):
        return False
    stem = re.escape(wanted[0].removesuffix(".py"))
    return re.fullmatch(rf"(.*([0-9]|_file)_)?{stem}([-_ ]?\(?[0-9]+\)?)?\.py", name) is not None


def _folders(top: Path) -> Iterator[tuple[Path, frozenset[str]]]:
    """The folders below `top` and the names of what is no folder in each, the least deep first."""
    waiting, left = deque([top]), _MOST_ENTRIES
    while waiting and left > 0:
        folder = waiting.popleft()
        try:
            with os.scandir(folder) as found:
                entries = sorted(islice(found, left), key=lambda entry: entry.name)
        except OSError:  # what is wanted may be elsewhere; of the top, collecting tells it
            continue
        left -= len(entries)
        yield folder, frozenset(one.name for one in entries if not one.is_dir(follow_symlinks=False))
        if len(folder.parts) - len(top.parts) < _DEEPEST:
            inner = (one for one in entries if one.is_dir(follow_symlinks=False))
            waiting.extend(folder / one.name for one in inner if not one.name.startswith((".", "__MACOSX")))
