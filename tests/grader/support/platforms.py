"""What tests of publications to platforms share: a course with secrets in every place that is the instructor's, all
bytes of a publication, and a machine of a platform: this one, with the platform's folders where its programs expect
them.

Knows where each platform puts what; knows nothing of what an entry point answers.
"""

import io
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from collections.abc import Iterator, Mapping, Set
from pathlib import Path

from grader.course.load import load_course
from grader.course.model import Course
from grader.publish.tree import Tree, write
from gradings import SLUG, TINY

_HIDDEN = f"tests/{SLUG}/hidden"
HIDDEN_NUMBER = 48_271
SECRETS = ("pearwood", "quincetree", "medlarfruit", "damsonplum", "sloethorn", "bullacebush", str(HIDDEN_NUMBER))


def course_with_secrets(folder: Path) -> Course:
    """The tiny course, with a word or a number of `SECRETS` in each place that nobody but the instructor may see."""
    root = shutil.copytree(TINY, folder / "course", ignore=shutil.ignore_patterns("__pycache__", ".grade"))
    solution = root / f"solutions/{SLUG}/tiny.py"
    body = "    return number * factor.FACTOR\n"
    text = solution.read_text()
    assert text.count(body) == 1
    solution.write_text(text.replace(body, f"    pearwood = number  # pearwood\n{body}"))
    for name, words in {
        f"{_HIDDEN}/sizes.yaml": f"format: 1\nsizes:\n  requests: {HIDDEN_NUMBER} # quincetree\n",
        f"{_HIDDEN}/test_more.py": "def test_quincetree(): ...\n",
        f"tests/{SLUG}/right/other/tiny.py": "medlarfruit = 1\n",
        f"tests/{SLUG}/wrong/other/tiny.py": "damsonplum = 1\n",
        f"exercises/{SLUG}/old_solution.py": "sloethorn = 1\n",
        f"tests/{SLUG}/notes.txt": "bullacebush\n",
        "grades.csv": "bullacebush,100\n",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(words)
    return load_course(root)


def texts(files: Mapping[str, bytes]) -> Iterator[tuple[str, bytes]]:
    """Each file's name and bytes, those inside of archives too, and each name as bytes of its own."""
    for name, data in files.items():
        yield name, name.encode()
        yield name, data
        if name.endswith(".zip"):
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                yield from texts({f"{name}/{inner}": archive.read(inner) for inner in archive.namelist()})
        if name.endswith(".tar"):
            with tarfile.open(fileobj=io.BytesIO(data)) as archive:
                inside = ((one.name, archive.extractfile(one)) for one in archive.getmembers())
                yield from texts({f"{name}/{inner}": file.read() for inner, file in inside if file})


def leaked(tree: Tree) -> dict[str, str]:
    """Which secrets stand where."""
    found = texts({name: file.data for name, file in tree.items()})
    return {name: secret for name, data in found for secret in SECRETS if secret.encode() in data}


# --- a platform's machine -----------------------------------------------------------------------------------------


def installed(kit: Path, place: str) -> None:
    """Stands in for `sh tools/setup.sh core` in this folder, which takes half a minute and a network: the same virtual
    environment around the folder's own kit, with the packages that these tests run with.

    Args:
        place: where the platform has the folder.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(kit / ".venv")], check=True)
    packages = next((kit / ".venv/lib").glob("python3*")) / "site-packages"
    # Not this environment's own kit, which a path file there names: path files are not read a second time.
    (packages / "kit.pth").write_text(f"{place}\n{sysconfig.get_path('purelib')}\n")


def unpacked(tree: Tree, name: str, folder: Path) -> Path:
    """One archive of a publication, unpacked as a platform does it: executable bits and all."""
    write({Path(name).name: tree[name]}, folder.with_name(f"{folder.name}.archive"))
    archive = folder.with_name(f"{folder.name}.archive") / Path(name).name
    if name.endswith(".tar"):
        folder.mkdir()
        subprocess.run(["tar", "-xf", str(archive), "-C", str(folder)], check=True)
        return folder
    with zipfile.ZipFile(archive) as file:
        for info in file.infolist():
            Path(file.extract(info, folder)).chmod(info.external_attr >> 16)
    return folder


def on_platform(
    bwrap: str, mounts: Mapping[str, Path], *command: str, at: str = "/", boxes: bool = True
) -> "subprocess.CompletedProcess[str]":
    """Run a command on this machine with folders mounted where a platform has them.

    Args:
        boxes: False is a machine without bubblewrap: another one's is not to be had for a test.
    """
    words = [bwrap, "--tmpfs", "/", *_shown(Path("/"), {Path(place) for place in mounts})]
    for place, folder in mounts.items():
        words += ["--bind", str(folder), place]
    if not boxes:
        words += ["--ro-bind", os.devnull, bwrap]
    # Nothing of this process's environment: a `make` above us would have the platform's own say where it is.
    env = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
    return subprocess.run(
        [*words, "--chdir", at, "--", *command], capture_output=True, text=True, check=False, timeout=120, env=env
    )


def _shown(folder: Path, places: Set[Path]) -> Iterator[str]:
    """bwrap's words that show a folder as it is. A folder that one of the places lies in is made anew, lest bwrap
    should make the place in this machine's own."""
    for path in sorted(folder.iterdir()):
        if path.is_symlink():
            yield from ("--symlink", str(path.readlink()), str(path))
        elif any(place.is_relative_to(path) for place in places):
            yield from ("--tmpfs", str(path), *_shown(path, places))
        else:
            yield from ("--dev-bind" if path.is_dir() else "--bind", str(path), str(path))
