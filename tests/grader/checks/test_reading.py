"""What the text of a file tells before it is run, and what is said of one that cannot be compiled."""

import sys
from pathlib import Path

import pytest

from grader.checks import advice, parsing, reading
from grader.checks.reading import Reading, read

STUB = '''\
"""A stub."""


class It:
    """A class."""

    def __init__(self) -> None:
        self.given = 1
        # YOUR CODE HERE
        raise NotImplementedError()

    async def waits(self) -> None:
        raise NotImplementedError


def serve(lsock: object) -> None:
    """A function."""
    # YOUR CODE HERE
    raise NotImplementedError()
'''


def read_text(folder: Path, text: str | bytes) -> Reading:
    file = folder / "it.py"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return read(file, uid=None)


def test_an_untouched_stub_is_not_begun_and_its_functions_are_named(tmp_path: Path) -> None:
    found = read_text(tmp_path, STUB)

    assert found == Reading(left=(("It.__init__", 10), ("It.waits", 13), ("serve", 19)), begun=False)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param("raise NotImplementedError()\n\n    async", "self.it = 2\n\n    async", id="a method"),
        pytest.param('"""A function."""', '"""A function."""\n    return None', id="not the last statement"),
        pytest.param('"""A stub."""', "def helps():\n    return 1\n", id="a function beside them"),
        pytest.param('"""A stub."""', "helps = lambda: 1\n", id="a lambda"),
        pytest.param(STUB, "", id="all is gone"),
    ],
)
def test_one_that_somebody_has_written_in_is_begun(tmp_path: Path, old: str, new: str) -> None:
    source = STUB.replace(old, new)
    if old == '"""A function."""':
        source = STUB.replace("    raise NotImplementedError()\n", "    raise NotImplementedError()\n    print()\n")

    assert read_text(tmp_path, source).begun


def test_an_error_with_a_text_of_its_own_leaves_nothing_to_write(tmp_path: Path) -> None:
    found = read_text(tmp_path, "def serve():\n    raise NotImplementedError('no epoll here')\n")

    assert found == Reading()


def problem_of(folder: Path, text: str) -> tuple[str, int, str]:
    """Its class, its line, and what to try."""
    problem = read_text(folder, text).problem
    assert problem is not None
    return problem.exception, problem.line, advice.for_syntax(problem)


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("a = 1\nb = \u201chello\u201d\n", 2, "comes from a word processor, a chat or a page"),
        ("b = \u2018hello\u2019\n", 1, "type those of that line anew"),
        ("a = 3 \u2013 2\n", 1, "is a dash"),
        ("a = 3\u00a0+ 2\n", 1, "There is a blank in that line that is none of Python's"),
        ("a\u200b = 3\n", 1, "There is a blank in that line"),
        ("a = 1\uff1b\n", 1, "is a wide character"),
        ("a = 1 \u2264 2\n", 1, "in strings and comments only"),
        ("a = 1\n<<<<<<< HEAD\nb = 2\n=======\nb = 3\n>>>>>>> mine\n", 2, "Git has left two versions"),
        ("if a:\n<<<<<<< HEAD\n    b = 2\n=======\n>>>>>>> mine\n", 2, "Git has left two versions"),
        ("%matplotlib inline\n", 1, "a command for a notebook"),
        ("a = 1\n!pip install x\n", 2, "a command for a notebook"),
        ("```python\na = 1\n```\n", 1, "stands around code in a chat"),
        (">>> a = 1\n", 1, "what Python itself prints"),
        ('a = t"{b}"\n', 1, "syntax of Python 3.14"),
        ("def f(:\n", 1, "Look at that line, and at the one above it"),
        ('print "a"\n', 1, "This is Python 2"),
        ("def f():\na = 1\n", 2, "The lines of a block begin in the same column"),
        ("def f():\n\ta = 1\n        b = 2\n", 3, "let your editor replace the tabs"),
        ("a = 1\nreturn a\n", 2, "belongs into a function"),
        ("a = (1,\nb = 2\n", 1, "closed nowhere"),
        ("a = 'b\n", 1, "closed nowhere"),
    ],
)
def test_each_mistake_of_a_text_has_a_hint_of_its_own(tmp_path: Path, text: str, line: int, says: str) -> None:
    _, found, hint = problem_of(tmp_path, text)

    assert (found, says in hint) == (line, True), hint


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="Python can read these from 3.12 on")
@pytest.mark.parametrize(
    "text", ["type Row = int\n", "def f[T](a: T) -> T: ...\n", "class C[T]: ...\n", 'a = f"{b["c"]}"\n', 'f"{x\\n}"\n']
)
def test_syntax_of_a_newer_python_is_told_with_the_version_that_grades(tmp_path: Path, text: str) -> None:
    assert advice.VERSION in problem_of(tmp_path, text)[2]


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="Python can read this from 3.14 on")
def test_exceptions_without_parentheses_are_told(tmp_path: Path) -> None:
    assert "parentheses" in problem_of(tmp_path, "try:\n    a()\nexcept A, B:\n    pass\n")[2]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("a = " + "(" * 100_000, id="deeper than the parser goes"),
        pytest.param("-" * 200_000 + "1", id="deeper than its stack"),
        pytest.param(b"\xff\xfe", id="no UTF-8"),
        pytest.param("", id="nothing"),
    ],
)
def test_a_text_that_the_compiler_dies_of_is_left_to_the_import(tmp_path: Path, text: str | bytes) -> None:
    found = read_text(tmp_path, text)

    assert found.begun and not found.left


def test_what_is_not_there_tells_nothing(tmp_path: Path) -> None:
    assert read(tmp_path / "no.py", uid=None) == Reading()


def test_an_answer_that_is_none_tells_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for answer in ("print('[]')", "print('no JSON')", 'print(\'{"error": 1, "left": [], "begun": true}\')', "1 / 0"):
        monkeypatch.setattr(reading, "_SCRIPT", answer)

        assert read_text(tmp_path, STUB) == Reading()


def test_lines_end_where_python_ends_them() -> None:
    assert parsing.line_of(b"a\n  b \n", 2) == "b"
    assert parsing.line_of(b"a", 2) == parsing.line_of(b"a", 0) == ""
