"""What a command writes is there whole, behind what was there, or not at all; and a bad place is told at once."""

import os
from pathlib import Path

import pytest

from grader.errors import GraderError, UsageError
from grader.report.output import Target, require_writable


def test_a_file_is_replaced_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "a.xml"
    file.write_text("old")
    before = file.stat().st_ino

    Target(str(file)).write("new")

    assert file.read_text() == "new"
    assert file.stat().st_ino != before
    assert list(tmp_path.iterdir()) == [file]


def test_what_appends_leaves_what_is_there(tmp_path: Path) -> None:
    file = tmp_path / "summary"
    target = Target(str(file), appends=True)

    target.write("one\n")
    target.write("가\n")

    assert file.read_text(encoding="utf-8") == "one\n가\n"


def test_a_link_is_written_through(tmp_path: Path) -> None:
    file, link = tmp_path / "file", tmp_path / "link"
    link.symlink_to(file)

    Target(str(link)).write("text")

    assert link.is_symlink()
    assert file.read_text() == "text"


def test_standard_output_is_a_dash(capsys: pytest.CaptureFixture[str]) -> None:
    Target("-").write("text\n")

    assert capsys.readouterr().out == "text\n"


def test_a_machine_that_refuses_is_no_verdict(tmp_path: Path) -> None:
    with pytest.raises(GraderError, match=r"No space left on device\. Choose another FILE"):
        Target("/dev/full").write("text")
    with pytest.raises(GraderError, match="could not be written"):
        Target(str(tmp_path / "gone" / "file"), appends=True).write("text")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "it is a folder"),
        ("no/such/file", "there is no folder"),
        ("x" * 300, "File name too long"),
    ],
)
def test_a_place_that_cannot_be_written_to_is_told_before_there_is_anything_to_write(
    tmp_path: Path, name: str, said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        require_writable([Target(f"{tmp_path}/{name}")])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_what_one_may_not_write_to_is_told_too(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch(mode=0o444)
    folder = tmp_path / "folder"
    folder.mkdir(mode=0o555)

    with pytest.raises(UsageError, match="you may not write to it"):
        require_writable([Target(str(file))])
    with pytest.raises(UsageError, match="you may not write into"):
        require_writable([Target(str(folder / "file"))])


def test_two_texts_never_go_to_one_place(tmp_path: Path) -> None:
    require_writable([Target("-"), Target(str(tmp_path / "a")), Target(str(tmp_path / "b"))])
    with pytest.raises(UsageError, match="Two outputs go to -"):
        require_writable([Target("-"), Target("-")])
