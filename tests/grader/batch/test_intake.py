"""Exports as platforms write them become a folder for each student, and no file is lost."""

import json
import stat
import unicodedata
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner

from grader.batch import intake as room
from grader.batch.intake import Intake, collect_class
from grader.batch.layouts import Layout
from grader.batch.roster import read_roster
from grader.commands.main import commands
from grader.errors import GraderError, UsageError

ROSTER = "id,name,email\nada,Ada Lovelace,a@x.org\nkim,김 민준,k@x.org\nbob,Bob Ray,b@x.org\n"


class Class:
    def __init__(self, folder: Path) -> None:
        self.folder, self.to = folder, folder / "submissions"

    def zip(self, files: Mapping[str, str]) -> Path:
        with zipfile.ZipFile(self.folder / "export.zip", "w") as archive:
            for name, text in files.items():
                archive.writestr(name, text)
        return self.folder / "export.zip"

    def collect(self, source: Path, platform: str = "folders", roster: str = ROSTER) -> Intake:
        (self.folder / "roster.csv").write_text(roster)
        layout = Layout(platform) if "(" in platform else Layout.of(platform)
        return collect_class(source, layout, read_roster(self.folder / "roster.csv"), self.to)

    def files(self) -> dict[str, str]:
        found = {str(one.relative_to(self.to)): one.read_text() for one in self.to.rglob("*") if one.is_file()}
        found.pop("collected.json", None)
        return found


@pytest.fixture
def course(tmp_path: Path) -> Class:
    return Class(tmp_path)


def test_moodle_with_and_without_folders_and_behind_a_group(course: Class) -> None:
    kim = unicodedata.normalize("NFD", "김 민준")
    files = {
        "Ada Lovelace_12_assignsubmission_file_/a.py": "1",
        f"{kim}_13_assignsubmission_file_a.py": "2",
        "Group A-Bob Ray_14_assignsubmission_file/a.py": "3",
    }

    done = course.collect(course.zip(files), "moodle")

    assert course.files() == {"ada/a.py": "1", "kim/a.py": "2", "bob/a.py": "3"}
    assert not (done.missing or done.unknown or done.left_out)


def test_moodles_worksheet_knows_participants_by_number(course: Class) -> None:
    roster = "Identifier,Full name,Email address\nParticipant 12,,a@x.org\n"
    course.collect(course.zip({"Participant_12_assignsubmission_file_/a.py": "1"}), "moodle", roster)
    assert course.files() == {"a@x.org/a.py": "1"}


def test_a_number_and_a_name_that_disagree_are_not_guessed(course: Class) -> None:
    roster = "Identifier,Full name,Email address\nParticipant 12,Bob Ray,b@x.org\nParticipant 13,Ada Ray,a@x.org\n"
    done = course.collect(course.zip({"Ada Ray_12_assignsubmission_file_/a.py": "1"}), "moodle", roster)
    assert done.taken == [] and "a@x.org and b@x.org" in done.unknown[0]


@pytest.mark.parametrize("name", ["anon_7_6_a.py", "LATE_anon_7_6_a.py"])
def test_an_anonymous_number_of_canvas_is_nobodys(course: Class, name: str) -> None:
    done = course.collect(course.zip({name: "1"}), "canvas", 'Student,ID,SIS User ID\n"Ray, Bob",7,bob\n')
    assert done.taken == [] and course.files() == {f"_unknown/{name}": "1"}


def test_canvas_keeps_the_newest_and_notes_lateness(course: Class) -> None:
    roster = 'Student,ID,SIS User ID,SIS Login ID,Section\n    Points Possible,,,,\n"Lovelace, Ada",7,ada,al,1\n'
    files = {"lovelaceada_LATE_9_101_a-2.py": "new", "lovelaceada_LATE_9_100_a.py": "old", "anon_x_5_6_a.py": "?"}

    done = course.collect(course.zip(files), "canvas", roster)

    assert course.files() == {"ada/a.py": "new", "_unknown/anon_x_5_6_a.py": "?"}
    assert done.older == ["lovelaceada_LATE_9_100_a.py"] and len(done.unknown) == 1
    assert json.loads((course.to / "collected.json").read_text())["ada"]["a.py"]["late"] is True


def test_nbgrader_folders_and_a_pattern(course: Class) -> None:
    source = course.zip({"submitted/ada/ex01/a.py": "1"})
    done = course.collect(source, "nbgrader")
    assert course.files() == {"ada/ex01/a.py": "1"} and done.missing == ["kim", "bob"]

    course.to = course.folder / "other"
    course.collect(source, r"submitted/(?P<name>\w+)/ex01/(?P<file>.+)")
    assert course.files() == {"ada/a.py": "1"}


def test_clones_of_a_classroom_go_by_login_and_no_login_is_taken_for_the_end_of_another(course: Class) -> None:
    roster = "identifier,github_username,github_id,name\nada,Ada-L,1,Ada\nbob,l,2,Bob\n"
    for clone in ("ex01-ada-l", "ex01-x-l"):
        (course.folder / "ex01-submissions" / clone / ".git").mkdir(parents=True)
        (course.folder / "ex01-submissions" / clone / "a.py").write_text(clone)

    done = course.collect(course.folder / "ex01-submissions", "classroom", roster)

    assert course.files() == {"ada/a.py": "ex01-ada-l", "_unknown/ex01-submissions/ex01-x-l/a.py": "ex01-x-l"}
    assert done.missing == ["bob"]


def test_a_pattern_that_takes_the_slash_leads_nowhere_else(course: Class) -> None:
    course.collect(course.zip({"ada/a.py": "1", "ada/...": "2"}), r"(?P<name>\w+)(?P<file>/.+)")
    assert course.files() == {"ada/a.py": "1", "ada/...": "2"}


def test_a_part_of_a_path_that_leads_out_is_left_out(course: Class) -> None:
    done = course.collect(course.zip({"ada/...": "2"}), r"(?P<name>\w+)/.(?P<file>..)")
    assert course.files() == {} and "leads out of the student's folder" in done.left_out[0]


def test_the_command_says_who_is_missing_and_wants_one_layout(course: Class) -> None:
    (course.folder / "roster.csv").write_text(ROSTER)
    words = ["class", "collect", str(course.zip({"ada/a.py": "1"})), "--roster", str(course.folder / "roster.csv")]
    words += ["--to", str(course.to)]

    done = CliRunner().invoke(commands, [*words, "--from", "folders"])

    assert done.exit_code == 0 and "2 handed in nothing:\n  kim\n  bob" in done.output
    assert "--from and --map" in CliRunner().invoke(commands, words).output


def test_a_folder_without_links_and_git(course: Class) -> None:
    ada = course.folder / "in" / "ada"
    (ada / ".git").mkdir(parents=True)
    (ada / ".git" / "config").write_text("")
    (ada / "a.py").write_text("1")
    (ada / "link").symlink_to("/etc/passwd")
    (ada / "up").symlink_to("/etc")

    done = course.collect(course.folder / "in")

    assert course.files() == {"ada/a.py": "1"}
    assert [line.partition(":")[0] for line in done.left_out] == ["ada/link", "ada/up"]


def test_people_of_one_name_are_not_guessed_apart(course: Class) -> None:
    done = course.collect(course.zip({"Ada Ray/a.py": "1"}), roster="id,name\na1,Ada Ray\na2,ada  RAY\n")
    assert course.files() == {"_unknown/Ada Ray/a.py": "1"} and "a1 and a2" in done.unknown[0]


def test_what_leads_out_is_a_link_or_is_too_large_costs_nobody_else(
    course: Class, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "_MAX_FILE", 3)
    source = course.zip({"ada/a.py": "1", "ada/../../x.py": "1", "/x.py": "1", "bob/a.py": "1234"})
    with zipfile.ZipFile(source, "a") as archive:
        link = zipfile.ZipInfo("kim/a.py")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/x")

    done = course.collect(source)

    assert course.files() == {"ada/a.py": "1"} and len(done.left_out) == 4


def test_a_damaged_member_costs_nobody_else(course: Class) -> None:
    source = course.zip({"ada/a.py": "AAAA", "bob/a.py": "BBBB"})
    source.write_bytes(source.read_bytes().replace(b"BBBB", b"BXBB"))
    done = course.collect(source)
    assert course.files() == {"ada/a.py": "AAAA"} and "bob/a.py: broken" in done.left_out[0]


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"ada/a.py": "1", "Ada Lovelace/a.py": "2"}, "several names"),
        ({"ada/a.py": "1", "ada//a.py": "2"}, "are one file"),
    ],
    ids=["two_names", "one_file_twice"],
)
def test_who_is_there_twice_is_refused(course: Class, files: Mapping[str, str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        course.collect(course.zip(files))
    assert not course.to.exists() and not list(course.folder.glob(".submissions-*"))


def test_limits_are_told(course: Class, monkeypatch: pytest.MonkeyPatch) -> None:
    source = course.zip({"ada/a.py": "12", "bob/a.py": "34"})
    monkeypatch.setattr(room, "_MAX_ALL", 3)
    with pytest.raises(UsageError, match="in parts"):
        course.collect(source)
    monkeypatch.setattr(room, "_MAX_FILES", 1)
    with pytest.raises(UsageError, match="More than 1 files"):
        course.collect(source)


def test_a_folder_that_is_not_empty_is_left_alone(course: Class) -> None:
    source = course.zip({"ada/a.py": "1"})
    course.collect(source)
    with pytest.raises(UsageError, match="not empty"):
        course.collect(source)


def test_a_source_that_is_no_export(course: Class) -> None:
    with pytest.raises(UsageError, match="not there"):
        course.collect(course.folder / "none")
    (course.folder / "text.zip").write_text("text")
    with pytest.raises(UsageError, match="no zip"):
        course.collect(course.folder / "text.zip")


def test_what_the_machine_refuses_is_no_verdict(course: Class) -> None:
    with pytest.raises(GraderError, match="broke"):
        course.collect(course.zip({"ada/a": "1", "ada/a/b": "2"}))
    assert not course.to.exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name\nAda\n", ":1: no column of ids"),
        ("", ":1: no column of ids"),
        ("id,name\n,Ada\n", ":2: no id"),
        ("id\n../x\n", ":2: the id"),
        ("id\nada\nADA\n", ":3: ADA and ada"),
        ("id\nada\nada\n", ":3: ada and ada"),
        ('id\n"ada\n', "as CSV again"),
    ],
    ids=["no_ids", "empty", "no_id", "path", "case", "twice", "quotes"],
)
def test_a_roster_with_a_fault_names_its_line(course: Class, text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        course.collect(course.folder, roster=text)


def test_a_roster_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_bytes(b"\xff")
    with pytest.raises(UsageError, match="in UTF-8"):
        read_roster(tmp_path / "r.csv")


@pytest.mark.parametrize("pattern", ["(", "(?P<name>.)"])
def test_a_pattern_with_a_fault(pattern: str) -> None:
    with pytest.raises(UsageError, match="--map"):
        Layout(pattern)
