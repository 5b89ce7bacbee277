"""Takes the pictures of docs/instructors.md: what nbgrader's formgrader, a student's feedback and the summary of a
workflow look like after a real grading. When their words have changed, run it again, with chromium and the extra
`instructor` installed: `python docs/pictures.py`.

Knows which pages are worth a picture, and how each is made; knows nothing of how a grading goes.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).resolve().parents[1]
PROGRAMS = Path(sys.executable).parent
PICTURES = ROOT / "docs" / "pictures"
EXERCISE, SOLUTION = "ex01", "solutions/ex01_callbacks/dispatcher.py"
HANDED_IN = {"ada": SOLUTION, "bob": "tests/ex01_callbacks/wrong/late_binding/dispatcher.py"}
_STYLE = """
body { font: 14px/1.5 sans-serif; margin: 24px; color: #1f2328 }
table { border-collapse: collapse } td, th { border: 1px solid #d1d9e0; padding: 4px 12px }
pre { background: #f6f8fa; padding: 12px; overflow: auto }
"""


def main() -> None:
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        course = graded_course(folder)
        take(f"file://{course}/feedback/bob/{EXERCISE}/{EXERCISE}.html", PICTURES / "feedback.png", height=900)
        take(f"file://{summary(folder)}", PICTURES / "summary.png", height=760)
        with formgrader(course) as address:
            take(f"{address}/formgrader/gradebook/{EXERCISE}/{EXERCISE}", PICTURES / "formgrader.png", height=420)


def graded_course(folder: Path) -> Path:
    """A course directory of nbgrader's in which two students were autograded."""
    course = folder / "nb"
    typed([str(PROGRAMS / "grade"), "publish", "nbgrader", EXERCISE, "--no-audit", "--to", str(course)], ROOT)
    nbgrader = str(PROGRAMS / "nbgrader")
    typed([nbgrader, "generate_assignment", EXERCISE], course)
    for student, solution in HANDED_IN.items():
        there = shutil.copytree(course / "release" / EXERCISE, course / "submitted" / student / EXERCISE)
        notebook = json.loads((there / f"{EXERCISE}.ipynb").read_text())
        (cell,) = (one for one in notebook["cells"] if one["metadata"]["nbgrader"]["grade_id"] == "solution")
        cell["source"] = f"%%solution dispatcher.py\n{(ROOT / solution).read_text()}".rstrip("\n")
        (there / f"{EXERCISE}.ipynb").write_text(json.dumps(notebook))
    for command in ("autograde", "generate_feedback"):
        typed([nbgrader, command, EXERCISE], course)
    return course


def summary(folder: Path) -> Path:
    """The page of a workflow's job, as Markdown makes it."""
    page, text = folder / "summary.html", folder / "summary.md"
    submission = ["--submission", HANDED_IN["bob"]]
    form = ["--format", "github-summary", "--output", str(text)]
    typed([str(PROGRAMS / "grade"), EXERCISE, *submission, *form], ROOT, code=1)
    html = MarkdownIt("commonmark", {"html": True}).enable("table").render(text.read_text())
    page.write_text(f'<meta charset="utf-8"><style>{_STYLE}</style>{html}')
    return page


@contextmanager
def formgrader(course: Path) -> Iterator[str]:
    """A Jupyter server in the course's folder, on this machine alone, and its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    extensions = {"nbgrader.server_extensions.formgrader": True}
    options = [f"--port={port}", "--no-browser", "--IdentityProvider.token=", "--allow-root"]
    command = [str(PROGRAMS / "jupyter"), "server", f"--ServerApp.jpserver_extensions={extensions}", *options]
    with subprocess.Popen(command, cwd=course, env=environment(), stderr=subprocess.DEVNULL) as server:
        try:
            answered(f"http://127.0.0.1:{port}/formgrader/gradebook")
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


def answered(address: str) -> None:
    """Wait until the page is there."""
    for _ in range(120):
        try:
            with urllib.request.urlopen(address):
                return
        except OSError:
            time.sleep(0.5)
    raise SystemExit(f"{address} does not answer")


def take(address: str, picture: Path, *, height: int, width: int = 1000) -> None:
    options = ["--headless", "--no-sandbox", "--hide-scrollbars", "--virtual-time-budget=8000"]
    with tempfile.TemporaryDirectory() as profile:
        size, where = f"--window-size={width},{height}", f"--screenshot={picture}"
        typed(["chromium", *options, f"--user-data-dir={profile}", size, where, address], ROOT)
    print(picture.relative_to(ROOT))


def typed(command: Sequence[str], folder: Path, *, code: int = 0) -> None:
    done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, check=False)
    if done.returncode != code:
        raise SystemExit(f"{' '.join(command)}: {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


def environment() -> dict[str, str]:
    return {**os.environ, "PATH": f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}"}


if __name__ == "__main__":
    main()
