"""The target `folder`: a student's repository, which is the course without what is its instructor's. Knows which files
of a course are public, and which of the kit a student needs; knows nothing of zips, notebooks or platforms.

Files are named one by one: what nobody thought of is not published.
"""

import re
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path

import yaml

import grader
from grader.course.model import COURSE_FILE, Course, Exercise
from grader.course.stubs import read_text, stub_of
from grader.errors import CourseError, GraderError
from grader.publish.tree import File, Tree, text_file
from grader.versions import modules

_PICTURES = (".png", ".svg", ".jpg", ".gif")  # what a handout may show
_HANDOUT = re.compile(r"README(\.[a-z]{2,3})?\.md")
_KIT = Path(grader.__file__).parent
_TEMPLATES = Path(__file__).with_name("templates")
_PUBLIC_SECTIONS = ("build-system", "project", "project.scripts", "tool.setuptools")  # of pyproject.toml


def tree(course: Course, exercises: Sequence[Exercise]) -> Tree:
    """A repository in which `make setup` and then `grade` are all that a student types.

    Raises:
        CourseError: a file of the course cannot be read, or a reference has no solution region.
        GraderError: the kit was installed without the files that a student needs.
    """
    rows = "\n".join(
        f"| [{one.number}](exercises/{one.slug}/README.md) | {one.title.in_('en')} | "
        f"{', '.join(f'`exercises/{one.slug}/{name}`' for name in one.submit)} |"
        for one in exercises
    )
    words = {"TITLE": course.title.in_("en"), "ROWS": rows, "FIRST": exercises[0].number}
    return {
        **public_files(course, exercises),
        **kit_files(),
        "README.md": template("student_README.md", **words),
        "Makefile": template("student_Makefile"),
        ".gitignore": template("student_gitignore"),
        ".gitlab-ci.yml": template("student_gitlab-ci.yml", NUMBERS=", ".join(one.number for one in exercises)),
        ".devcontainer/devcontainer.json": template("devcontainer.json", TITLE=course.title.in_("en")),
        ".devcontainer/Dockerfile": template("devcontainer_Dockerfile"),
    }


def public_files(course: Course, exercises: Sequence[Exercise]) -> Tree:
    """What a course shows to everybody, where `load_course` finds it: course.yaml with these exercises only, and of
    each the handout, exercise.yaml, the stub made anew from its reference, given modules, and checks. Hidden sizes and
    submissions that are right or wrong on purpose are not among it; digests are the same as the course's own.

    Raises:
        CourseError: a file cannot be read, or a reference has no solution region.
    """
    listing = {
        "format": 1,
        "title": course.title.root,
        "languages": list(course.languages),
        "exercises": [one.slug for one in exercises],
        "defaults": course.defaults.model_dump(),
    }
    files = {COURSE_FILE: text_file(yaml.safe_dump(listing, sort_keys=False, allow_unicode=True))}
    for one in exercises:
        for path in sorted(one.handout_dir.iterdir()):
            if path.name in ("exercise.yaml", *one.given) or _is_handout(path):
                files[f"exercises/{one.slug}/{path.name}"] = _read(path)
        for name in one.submit:
            stub = stub_of(read_text(one.solution_dir / name), name=f"solutions/{one.slug}/{name}")
            files[f"exercises/{one.slug}/{name}"] = text_file(stub)
        for path in sorted(filter(Path.is_file, one.checks_dir.glob("*.py"))):  # not: a dangling link, an editor's lock
            files[f"tests/{one.slug}/{path.name}"] = _read(path)
    return files


def kit_files() -> Tree:
    """The kit as `make setup` installs it, without what only its own development needs.

    Raises:
        GraderError: this installation has not these files.
    """
    root = _KIT.parent
    kept = modules(_KIT)  # all that `kit_version` counts, so that a student's is the same
    try:
        project = (root / "pyproject.toml").read_text(encoding="utf-8")
        files = {
            "pyproject.toml": text_file(_sections(project, _PUBLIC_SECTIONS)),
            "LICENSE": _read(root / "LICENSE"),
            "requirements/core.txt": kit_requirements("core"),
            "tools/setup.sh": _read(root / "tools/setup.sh"),
        }
    except (OSError, CourseError) as error:
        raise GraderError(
            f"The kit was installed without its own project's files, {root}: publish from there."
        ) from error
    for package, names in tomllib.loads(project)["tool"]["setuptools"]["package-data"].items():
        kept += [root / package.replace(".", "/") / name for name in names]
    return files | {str(path.relative_to(root)): _read(path) for path in sorted(kept)}


def kit_requirements(level: str) -> File:
    """What the kit needs at that level, pinned with hashes.

    Raises:
        CourseError: this installation has not that file.
    """
    return _read(_KIT.parent / "requirements" / f"{level}.txt")


def template(name: str, **words: str) -> File:
    """A file of `templates/`, with each @WORD@ in it replaced: `$word` means something to shells and to workflows."""
    text = (_TEMPLATES / name).read_text(encoding="utf-8")
    return text_file(re.sub("@([A-Z_]+)@", lambda match: words[match[1]], text))


def _is_handout(path: Path) -> bool:
    return path.suffix in _PICTURES or _HANDOUT.fullmatch(path.name) is not None


def _read(path: Path) -> File:
    try:
        return File(path.read_bytes(), executable=bool(path.stat().st_mode & 0o100))
    except OSError as error:
        raise CourseError(f"{path}: cannot be read: {error.strerror}. Make it readable.") from error


def _sections(toml: str, wanted: Iterable[str]) -> str:
    """The sections of these names, and those below them (`tool.setuptools` also means `tool.setuptools.dynamic`)."""
    kept = []
    for section in re.split(r"(?m)^(?=\[)", toml):
        name = section.partition("]")[0].lstrip("[")
        if any(name == one or (one.startswith("tool.") and name.startswith(f"{one}.")) for one in wanted):
            kept.append(section)
    return "".join(kept)
