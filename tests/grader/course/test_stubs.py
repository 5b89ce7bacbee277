"""Stubs: what nbgrader 0.9 makes of a region, what we refuse beyond it, and a committed stub that went stale."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grader.course.stubs import solution_lines, stale_stub, stub_of
from grader.errors import CourseError

# Source and stub. In functions, the stubs were derived from nbgrader 0.9.5's rules and compared with what its
# ClearSolutions makes of the same cell; elsewhere nothing may be raised, or the stub could not be imported.
CLEARED = {
    "a function's body": (
        'def answer():\n    """Six by seven."""\n    ### BEGIN SOLUTION\n    return 6 * 7\n    ### END SOLUTION\n',
        'def answer():\n    """Six by seven."""\n    # YOUR CODE HERE\n    raise NotImplementedError()\n',
    ),
    "the whole file": (
        "### BEGIN SOLUTION\nx = 1\n### END SOLUTION",
        "# YOUR CODE HERE",
    ),
    "two regions, and what stands around them": (
        "import os\n\n\nclass A:\n    def f(self):\n        ### BEGIN SOLUTION\n        return os\n"
        "        ### END SOLUTION\n"
        "\n    b = 1\n    ### BEGIN SOLUTION\n    c = 2\n    ### END SOLUTION\n    d = 3\n",
        "import os\n\n\nclass A:\n    def f(self):\n        # YOUR CODE HERE\n        raise NotImplementedError()\n"
        "\n    b = 1\n    # YOUR CODE HERE\n    pass\n    d = 3\n",
    ),
    "tabs, and an END at another depth": (
        "def f():\n\t### BEGIN SOLUTION\n\treturn 1\n### END SOLUTION\n\n",
        "def f():\n\t# YOUR CODE HERE\n\traise NotImplementedError()\n\n",
    ),
    "an empty region": (
        "if 1:\n  ### BEGIN SOLUTION   \n  ### END SOLUTION\nx = 2",
        "if 1:\n  # YOUR CODE HERE\n  raise NotImplementedError()\nx = 2",
    ),
    "marks of another length, and words after them": (
        "# BEGIN SOLUTION (10 lines)\nx = 1\n#### END SOLUTION of x\ny = 2",
        "# YOUR CODE HERE\ny = 2",
    ),
    "marks that share their lines with code": (
        "  x = 1  ### BEGIN SOLUTION\n  y = 2\n  z = 3  ### END SOLUTION\n  w = 4",
        "  # YOUR CODE HERE\n  raise NotImplementedError()\n  w = 4",
    ),
    "both marks on one line, which opens": (
        "### BEGIN SOLUTION ### END SOLUTION\nx = 1\n### END SOLUTION\n",
        "# YOUR CODE HERE\n",
    ),
    "a class of nothing else, and a function within a function": (
        "class A:\n    ### BEGIN SOLUTION\n    b = 1\n    ### END SOLUTION\n\n\nasync def f():\n    def g():\n"
        "        ### BEGIN SOLUTION\n        return 1\n        ### END SOLUTION\n",
        "class A:\n    # YOUR CODE HERE\n    pass\n\n\nasync def f():\n    def g():\n"
        "        # YOUR CODE HERE\n        raise NotImplementedError()\n",
    ),
    "lines that end in CR LF": (
        "a = 1\r\n### BEGIN SOLUTION\r\nx = 1\r\n### END SOLUTION\r\nb = 2\r\n",
        "a = 1\r\n# YOUR CODE HERE\nb = 2\r\n",
    ),
}

REFERENCE = '''import socket as net


def serve(lsock, *, limit):
    """Answer; see `modify` in the handout."""
    ### BEGIN SOLUTION
    from select import epoll as interest
    for key, mask in interest().poll():
        try:
            print(f"{backlog.popleft(fresh=key)!r}", lsock, limit, len(mask))
        except net.timeout as late:
            modify(late)
    ### END SOLUTION
    return None
'''


@pytest.mark.parametrize(("source", "stub"), CLEARED.values(), ids=CLEARED.keys())
def test_a_region_becomes_its_stub(source: str, stub: str) -> None:
    assert stub_of(source, name="a.py") == stub


@pytest.mark.parametrize(
    ("source", "line", "said"),
    [
        ("x\n### BEGIN SOLUTION\ny\n### BEGIN SOLUTION\n### END SOLUTION\n", 4, "solution region of line 2"),
        ("x\n### END SOLUTION\n", 2, "without a BEGIN before it"),
        ("### BEGIN SOLUTION\n### END SOLUTION\n### END SOLUTION\n", 3, "without a BEGIN before it"),
        ("x\ny\n  ### BEGIN SOLUTION\nz\n", 3, "does not end"),
        ("### BEGIN SOLUTION\n### END SOLUTION\n### BEGIN SOLUTION\n", 3, "does not end"),
        ("x\n### begin solution\nz\n### end solution\n", 2, "nearly a mark"),
        ("### BEGIN SOLUTION\nz\n### END_SOLUTION\nx\n### END SOLUTION", 3, "nearly a mark"),
        ("###BEGIN  SOLUTION\nz\n", 1, "nearly a mark"),
    ],
)
def test_a_region_that_is_not_sound_is_refused_with_its_line_and_a_cure(source: str, line: int, said: str) -> None:
    with pytest.raises(CourseError) as refusal:
        stub_of(source, name="solutions/a.py")

    assert str(refusal.value).startswith(f"solutions/a.py:{line}: ")
    assert said in str(refusal.value)
    assert "### END SOLUTION" in str(refusal.value)


def test_a_source_without_a_region_is_refused_since_its_stub_would_be_the_solution() -> None:
    with pytest.raises(CourseError, match=r"^a\.py: no solution region.*Put `### BEGIN SOLUTION`"):
        stub_of("x = 1\n", name="a.py")


LINES = st.lists(st.sampled_from(["a", "  b", "", "\tc\r", "d #"]), max_size=4)


@given(before=LINES, solution=LINES, after=LINES, indent=st.sampled_from(["", "    ", "\t"]))
def test_what_stands_outside_a_region_is_kept_to_the_byte(
    before: list[str], solution: list[str], after: list[str], indent: str
) -> None:
    region = [f"{indent}### BEGIN SOLUTION", *solution, f"{indent}### END SOLUTION"]

    # No part of a file that is Python by itself: as within a function.
    stub = stub_of("\n".join(["(", *before, *region, *after]), name="a.py").removeprefix("(\n")

    replacement = [f"{indent}# YOUR CODE HERE", f"{indent}raise NotImplementedError()"]
    assert stub == "\n".join([*before, *replacement, *after])


def test_the_lines_of_a_solution_are_those_between_its_marks_with_their_numbers() -> None:
    source = "a = 1\n### BEGIN SOLUTION\nb = 2\n\n    ### END SOLUTION\nc = 3\n# BEGIN SOLUTION\n# END SOLUTION\n"

    assert list(solution_lines(source, name="a.py")) == [[(3, "b = 2"), (4, "")], []]


def test_lines_of_a_source_without_a_region_are_refused() -> None:
    with pytest.raises(CourseError, match=r"a\.py: no solution region"):
        list(solution_lines("x = 1\n", name="a.py"))


@pytest.fixture
def solution(tmp_path: Path) -> Path:
    file = tmp_path / "solution.py"
    file.write_bytes(REFERENCE.encode())
    return file


@pytest.fixture
def stub(tmp_path: Path) -> Path:
    """A stub that is up to date."""
    file = tmp_path / "stub.py"
    file.write_bytes(stub_of(REFERENCE, name="solution.py").encode())
    return file


def test_a_generated_stub_is_not_stale(solution: Path, stub: Path) -> None:
    assert stale_stub(solution, stub) is None


@pytest.mark.parametrize(
    ("old", "new", "line", "seen", "due"),
    [
        (b"limit", b"most", 4, "'def serve(lsock, *, most):'", "'def serve(lsock, *, limit):'"),
        (b"None\n", b"None", 9, "the end of the file", "''"),
        (b"None\n", b"None\n\n", 10, "''", "the end of the file"),
        (b"None\n", b"None\r\n", 8, r"'    return None\r'", "'    return None'"),
        (b"Answer", b"\xffAnswer", 5, r"\udcffAnswer", '\'    """Answer; see `modify` in the handout."""\''),
    ],
)
def test_a_stale_stub_is_told_by_its_first_differing_line(
    solution: Path, stub: Path, old: bytes, new: bytes, line: int, seen: str, due: str
) -> None:
    stub.write_bytes(stub.read_bytes().replace(old, new))

    message = stale_stub(solution, stub)

    assert message is not None
    assert message.startswith(f"{stub}:{line}: ")
    there, _, given_by_solution = message.partition(f" where {solution} gives ")
    assert seen in there
    assert given_by_solution == f"{due}. Run `grade stubs`."


def test_a_byte_that_is_not_utf8_never_equals_its_escape(tmp_path: Path, stub: Path) -> None:
    solution = tmp_path / "escape.py"
    solution.write_bytes(REFERENCE.replace("Answer", r"\udcff\xff").encode())
    stub.write_bytes(stub.read_bytes().replace(b"Answer", rb"\udcff" + b"\xff"))

    assert stale_stub(solution, stub) is not None


def test_a_missing_stub_is_stale(solution: Path, tmp_path: Path) -> None:
    absent = tmp_path / "absent.py"

    assert stale_stub(solution, absent) == f"{absent}: the stub of {solution} is missing. Run `grade stubs`."


def test_a_solution_that_is_not_utf8_is_the_authors_error(solution: Path, stub: Path) -> None:
    solution.write_bytes(b"x = '\xe9'\n")

    with pytest.raises(CourseError, match=r"solution\.py: byte 5 is not UTF-8\. Save the file as UTF-8"):
        stale_stub(solution, stub)


def test_a_solution_that_is_not_there_is_the_authors_error(tmp_path: Path, stub: Path) -> None:
    with pytest.raises(CourseError, match=r"absent\.py: cannot be read: No such file.*Check the path"):
        stale_stub(tmp_path / "absent.py", stub)


def test_a_folder_where_the_stub_should_be_is_the_authors_error(solution: Path, tmp_path: Path) -> None:
    with pytest.raises(CourseError, match=r"cannot be read: Is a directory"):
        stale_stub(solution, tmp_path)
