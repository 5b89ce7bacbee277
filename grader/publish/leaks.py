"""Whether something of the instructor's stands in what is about to be published: the last look, at the very bytes.

That it does not is a matter of how a publication is made: file by file from what is public. This finds what an author
put into a public file by mistake: a piece of the reference in a handout, a hidden number in a check. Looks into zips,
tars and notebooks too, through white space, and through the marks of what was commented out, quoted or pasted as a
patch; but not through any encoding that somebody chose in order to deceive.
"""

import ast
import io
import re
import tarfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from grader.course.model import Exercise
from grader.course.stubs import read_text, solution_lines
from grader.errors import CourseError
from grader.publish.tree import Tree

_RUN = 4  # lines of a reference in a row: a handout may show a call, or how a loop begins, but not a solution
_TELLING = 12  # characters: shorter lines (`else:`, `return True`) say nothing and are passed over
_SMALLEST = 1000  # of a hidden number: smaller ones stand everywhere by chance
_MARKS = re.compile(r"(?m)^[\s#>+|*-]+")  # before a line: of a comment, a quotation, a patch, a table
_REGION = re.compile("BEGIN SOLUTION.*?END SOLUTION", re.DOTALL)
_INSTRUCTORS = {"solutions", "wrong", "right", "hidden"}


def refuse_leaks(tree: Tree, exercises: Sequence[Exercise], *, with_sizes: bool = False) -> None:
    """Nothing, when all is well.

    Args:
        with_sizes: the publication is an instructor's own, and is to hold the hidden sizes.

    Raises:
        CourseError: the first leak: the published file, what stands in it, and whose it is.
    """
    for name in tree:
        if with_sizes and Path(name).parts[-2:] == ("hidden", "sizes.yaml"):
            continue
        if found := _INSTRUCTORS.intersection(Path(name).parts):
            raise CourseError(f"{name}: the folder {found.pop()} is the instructor's and is not published.")
    runs = {run: whose for one in exercises for run, whose in _runs(one)}
    words = [pair for one in exercises for pair in (*_checks(one), *(() if with_sizes else _sizes(one)))]
    for name, text in _texts({name: file.data for name, file in tree.items()}):
        code, plain = _bare(text), _single_blanks(text)
        leaked = next((whose for run, whose in runs.items() if run in code), None)
        leaked = leaked or next((whose for word, whose in words if word.search(plain)), None)
        if leaked:
            raise CourseError(f"{name}: {leaked} stands in it. Take it out, then publish again.")


def _runs(exercise: Exercise) -> Iterator[tuple[str, str]]:
    """Pieces of the references, each of _RUN telling lines and what stands between them, and where each begins."""
    for file in exercise.submit:
        name = f"solutions/{exercise.slug}/{file}"
        for region in solution_lines(read_text(exercise.solution_dir / file), name=name):
            lines = [(number, bare) for number, line in region if (bare := _bare(line))]
            telling = [place for place, (_, line) in enumerate(lines) if len(line) >= _TELLING]
            for first, last in zip(telling, telling[_RUN - 1 :], strict=False):
                run = " ".join(line for _, line in lines[first : last + 1])
                yield run, f"a piece of {name} from line {lines[first][0]}"


def _sizes(exercise: Exercise) -> Iterator[tuple[re.Pattern[str], str]]:
    """Hidden numbers, and what each is."""
    for name, number in (exercise.hidden_sizes or {}).items():
        if number != exercise.sizes[name] and number >= _SMALLEST:
            digits = re.sub("(?<=.)(?=(?:...)+$)", "[,_]?", str(number))  # 12345, 12,345 and 12_345
            yield re.compile(rf"(?<![\w.,-]){digits}(?![\w-]|[.,]\d)"), f"the hidden size {name} of {exercise.slug}"


def _checks(exercise: Exercise) -> Iterator[tuple[re.Pattern[str], str]]:
    """Names of hidden checks, and what each is."""
    for path in sorted((exercise.checks_dir / "hidden").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                yield re.compile(rf"\b{node.name}\b"), f"{node.name} of tests/{exercise.slug}/hidden/{path.name}"


def _bare(text: str) -> str:
    return _single_blanks(_MARKS.sub("", text))


def _single_blanks(text: str) -> str:
    return " ".join(text.split())


def _texts(files: Mapping[str, bytes]) -> Iterator[tuple[str, str]]:
    """Every file's text: a zip's files, and a notebook as its reader sees it."""
    for name, data in files.items():
        if name.endswith((".zip", ".whl")):
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                yield from _texts({f"{name}/{inner}": archive.read(inner) for inner in archive.namelist()})
            continue
        if name.endswith(".tar"):
            with tarfile.open(fileobj=io.BytesIO(data)) as tar:
                inside = ((one.name, tar.extractfile(one)) for one in tar.getmembers())
                yield from _texts({f"{name}/{inner}": file.read() for inner, file in inside if file})
            continue
        text = data.decode("utf-8", "replace")
        if name.endswith(".ipynb"):
            text = _REGION.sub("", text)  # nbgrader takes it out when it makes what a student receives
            # Lines are JSON strings, one a line.
            text = re.sub(r'\\n",?\s*"', "\n", text).replace('\\"', '"').replace("\\\\", "\\")
        yield name, text
