"""A submission that cannot be graded: its report, by each way in which it may be refused, and in each form."""

import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from grader.course.load import load_course
from grader.doctor.machine import machine
from grader.doctor.programs import search_path
from grader.errors import Place, SubmissionError
from grader.grading.handed_in import collect
from grader.grading.one import grade_quietly, refused
from grader.grading.order import Order
from grader.grading.slot import Tools
from grader.report.formats import FORMATS, render
from grader.report.model import Refused, from_json, to_json
from places import TESTS

TINY = TESTS / "tiny_course"
GOOD = b"x = 1\n"


def write(data: bytes) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / "tiny.py").write_bytes(data)
        return folder

    return make


def plant(how: Callable[[Path], object]) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        how(folder / "tiny.py")
        return folder

    return make


def hard_link(file: Path) -> None:
    file.with_name("other").write_bytes(GOOD)
    file.hardlink_to(file.with_name("other"))


def archive(name: str, data: bytes = GOOD) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        with zipfile.ZipFile(folder / "zoe.zip", "w") as file:
            file.writestr(name, data)
        return folder / "zoe.zip"

    return make


def broken_archive(folder: Path) -> Path:
    (folder / "zoe.zip").write_bytes(b"PK no zip")
    return folder / "zoe.zip"


def loop(folder: Path) -> Path:
    (folder / "a").symlink_to("b")
    (folder / "b").symlink_to("a")
    return folder / "a"


KINDS = [  # how it is made; the file, the line, what is said, what cures it
    pytest.param(write(b"a = 1\n# \xfc\n"), "tiny.py", 2, "tiny.py:2: the byte 0xfc", "Save as UTF-8", id="latin-1"),
    pytest.param(write("x = 1\n".encode("utf-16")), "tiny.py", None, "tiny.py is UTF-16", "Save as UTF-8", id="utf-16"),
    pytest.param(write(b"x = 1\n\0"), "tiny.py", 2, "tiny.py:2: a NUL byte", "Delete it", id="nul"),
    pytest.param(write(b"# coding: latin-1\n"), "tiny.py", 1, "declares its encoding", "Delete that", id="cookie"),
    pytest.param(write("x = '\u202e'\n".encode()), "tiny.py", 1, "tiny.py:1:6: U+202E", "Delete it", id="bidi"),
    pytest.param(write(b"#" * 70_000), "tiny.py", None, "tiny.py is larger than 64 KiB", "cut data", id="too large"),
    pytest.param(plant(lambda file: file.symlink_to("/etc/hosts")), "tiny.py", None, "link", "Hand in what", id="link"),
    pytest.param(plant(hard_link), "tiny.py", None, "is a hard link", "Copy it", id="hard link"),
    pytest.param(plant(os.mkfifo), "tiny.py", None, "is a named pipe", "ordinary file", id="pipe"),
    pytest.param(plant(Path.mkdir), None, None, "tiny.py is missing", "tiny.py/ is a folder", id="a folder"),
    pytest.param(lambda folder: folder, None, None, "found instead: nothing", "exactly tiny.py", id="nothing"),
    pytest.param(lambda folder: folder / "zoe", None, None, "zoe is not there", "Check the path", id="no folder"),
    pytest.param(lambda folder: folder / ("z" * 300), None, None, "too long", "Check the path", id="a long name"),
    pytest.param(loop, None, None, "a is a symbolic link", "Hand in what it points to", id="a loop"),
    pytest.param(broken_archive, None, None, "this zip is broken", "Make it again", id="broken zip"),
    pytest.param(archive("no.py"), None, None, "tiny.py is missing", "exactly tiny.py", id="zip without it"),
    pytest.param(archive("../tiny.py"), "../tiny.py", None, "leads out of the zip", "without `..`", id="zip slip"),
    pytest.param(archive("z/tiny.py", b"\xff"), "z/tiny.py", 1, "z/tiny.py:1: the byte", "Save as", id="in a zip"),
]


def ordered(source: Path) -> Order:
    course = load_course(TINY)
    return Order.of(course, course.exercises[0], source, machine(path=search_path()))


@pytest.mark.parametrize(("make", "file", "line", "said", "cure"), KINDS)
def test_each_kind_has_a_report_with_its_place_and_its_cure(
    tmp_path: Path, make: Callable[[Path], Path], file: str | None, line: int | None, said: str, cure: str
) -> None:
    source = make(tmp_path)

    report = grade_quietly(ordered(source), Tools.found(search_path()))

    assert isinstance(report, Refused)
    refusal = report.refusal
    assert (refusal.file, refusal.line) == (file, line)
    assert said in refusal.why and cure in refusal.cure
    assert refusal.why.startswith(file or refusal.what)
    assert str(tmp_path) not in to_json(report)
    assert from_json(to_json(report)) == report
    assert not report.official and report.isolation is None and report.graded_at is not None
    assert not hasattr(report, "score")


@pytest.mark.parametrize("form", [name for name, form in FORMATS.items() if not form.of_class])
@pytest.mark.parametrize(("make", "file", "line", "said", "cure"), KINDS[::6])
def test_each_form_says_why_and_the_cure(
    tmp_path: Path, make: Callable[[Path], Path], file: str | None, line: int | None, said: str, cure: str, form: str
) -> None:
    report = grade_quietly(ordered(make(tmp_path)), Tools.found(search_path()))

    text = render(form, report)

    if form == "classroom":
        return  # in base64; its own test reads it
    plain = json.dumps(text).replace("&#46;", ".").replace("&#58;", ":").replace("&#47;", "/").replace("&#95;", "_")
    assert said in plain and cure in plain


def test_a_file_that_was_read_has_a_digest_even_if_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tiny.py").write_bytes(b"\xff")
    first = refusal_of(tmp_path)
    (tmp_path / "tiny.py").write_bytes(b"\xfe\xfe\xff")
    second = refusal_of(tmp_path)
    (tmp_path / "tiny.py").unlink()

    assert first is not None and second is not None and first != second
    assert refusal_of(tmp_path) is None


def refusal_of(folder: Path) -> str | None:
    with pytest.raises(SubmissionError) as error:
        collect(folder, ["tiny.py"], folder.parent / "clean", file_kb=1)
    return refused(ordered(folder), error.value).submission_digest


def test_names_of_a_strangers_are_safe_to_print_in_a_report(tmp_path: Path) -> None:
    (tmp_path / "\x1b[31mtiny.py").write_bytes(GOOD)

    report = grade_quietly(ordered(tmp_path), Tools.found(search_path()))

    assert isinstance(report, Refused)
    assert report.reason.isprintable() and r"\x1b[31mtiny.py" in report.reason


def test_a_refusal_of_the_whole_is_called_as_it_was_ordered(tmp_path: Path) -> None:
    error = SubmissionError(Place("/x/zoe"), ": is odd", "Mend it.")

    assert refused(ordered(tmp_path / "zoe"), error).reason == "zoe: is odd. Mend it."
