"""The levels at which a program is kept in: what each says of itself, and whether it can be had here.

That a wall holds is tested where boxes are (test_sandbox.py); what a grading makes of a refusal, where gradings are.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from stat import S_IMODE

import pytest

from grader.box.canary import Canary
from grader.box.levels import LEVELS, Bare, Boxed, Filters, Level, LevelRefused, Site, level_named
from grader.box.limits import Limits
from grader.box.proof import prove
from grader.box.staging import staging_folder
from grader.grading import slot
from grader.report.model import Isolation

LIMITS = Limits(memory_mb=512, processes=32, tmp_mb=4, open_files=64)
CANARY = Canary(port=1, abstract="a socket", environ="a secret")


def site(staging: Path, bwrap: str | None = "/usr/bin/bwrap") -> Site:
    return Site(staging=staging, bwrap=bwrap, canary=CANARY)


def test_a_level_is_known_by_the_name_that_reports_have() -> None:
    assert [level_named(level.name) for level in LEVELS] == list(LEVELS)
    assert all(Isolation(level.name).value == level.name for level in LEVELS)


def test_the_levels_stand_in_order_and_strangers_are_kept_to_the_first_ones() -> None:
    assert LEVELS[0] is Boxed and LEVELS[-1] is Bare
    assert [level.for_strangers for level in LEVELS] == sorted((level.for_strangers for level in LEVELS), reverse=True)
    assert not Bare.for_strangers


def test_a_program_sees_its_folders_where_its_level_shows_them(tmp_path: Path) -> None:
    boxed = Boxed(staging=tmp_path, uid=None, bwrap="/usr/bin/bwrap", canary=CANARY)
    bare = Bare(staging=tmp_path, uid=None)

    assert (boxed.folder, boxed.given) == ("/box/submission", "/box/given")
    assert (bare.folder, bare.given) == (str(tmp_path / "submission"), str(tmp_path / "given"))
    assert boxed.traces == bare.traces == tmp_path / "traces"


def test_nothing_stands_before_a_bare_program_and_nothing_is_claimed_of_it(tmp_path: Path) -> None:
    bare = Bare(staging=tmp_path, uid=None)
    with ExitStack() as files:
        assert bare.command(LIMITS, Filters(), files) == ([], [])

    order = bare.start_order(LIMITS, thorough=True)

    assert "probes" not in order
    assert "NPROC" not in order["limits"]  # it would count the processes of whoever grades
    assert bare.missing({"files": "open"}, 0) == {}


def test_a_boxed_program_proves_more_when_it_is_asked_to_be_thorough(tmp_path: Path) -> None:
    boxed = Boxed(staging=tmp_path, uid=None, bwrap="/usr/bin/bwrap", canary=CANARY)

    quick, thorough = (boxed.start_order(LIMITS, thorough=each)["probes"] for each in (False, True))

    assert set(thorough) - set(quick) == {"limits"}


def test_the_kernels_word_on_who_a_boxed_program_is_counts_beside_its_own(tmp_path: Path) -> None:
    boxed = Boxed(staging=tmp_path, uid=None, bwrap="/usr/bin/bwrap", canary=CANARY)

    assert boxed.missing({"files": "", "network": ""}, 1000) == {}
    assert boxed.missing({"files": "open"}, 0) == {
        "files": "open",
        "user": "the program's user is root outside of its namespace",
    }


def test_without_bubblewrap_no_box_is_begun(tmp_path: Path) -> None:
    with pytest.raises(LevelRefused, match=r"^bubblewrap is not installed$"), Boxed.set_up(site(tmp_path, bwrap=None)):
        pytest.fail("a box without bubblewrap")

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077])
def test_others_can_enter_what_programs_are_run_from_whatever_the_umask(umask: int) -> None:
    before = os.umask(umask)
    try:
        with staging_folder() as staging:
            modes = {path.name: S_IMODE(path.stat().st_mode) for path in staging.iterdir()}
            own = S_IMODE(staging.stat().st_mode)
    finally:
        os.umask(before)

    assert (own, modes) == (0o755, {"submission": 0o755, "given": 0o755})
    assert not staging.exists()


def test_a_level_is_the_same_around_another_folder(tmp_path: Path) -> None:
    libraries = Path("/usr/lib/python3")
    for level in (
        Boxed(staging=tmp_path / "one", uid=None, bwrap="/usr/bin/bwrap", canary=CANARY),
        Bare(staging=tmp_path / "one", uid=None),
    ):
        other = tmp_path / level.name
        other.mkdir()

        moved = level.at(other, [libraries, tmp_path])

        assert (type(moved), moved.staging, moved.uid) == (type(level), other, None)
        assert (other / "inside.py").exists() and moved.traces.is_dir()
        if isinstance(moved, Boxed):
            assert moved.hidden == (libraries,)  # no box shows the other one anyway


def test_a_slot_is_begun_by_the_names_of_levels() -> None:
    assert LEVELS[0].name == slot.BEST_LEVEL
    assert Bare.name == slot.TRUSTED_LEVEL


# --- tried as a grading does --------------------------------------------------------------------------------------

ASK = """
import sys
from grader.box.levels import level_named
from grader.box.proof import why_not
print(why_not(level_named(sys.argv[1]), bwrap=sys.argv[2] or None))
"""


def refusal(level: type[Level], bwrap: str = "", *, umask: int = 0o022) -> str:
    """Why this machine refuses a level, in a process of its own."""
    words = [sys.executable, "-c", ASK, level.name, bwrap]
    return subprocess.run(words, capture_output=True, text=True, check=True, umask=umask).stdout.strip()


@pytest.mark.parametrize("umask", [0o022, 0o077])
@pytest.mark.parametrize("level", LEVELS)
def test_a_level_can_be_had_here_whatever_the_umask(
    private_network: None, bwrap: str, level: type[Level], umask: int
) -> None:
    assert refusal(level, bwrap, umask=umask) == ""


def test_why_a_level_cannot_be_had_is_what_a_grading_would_be_told(private_network: None) -> None:
    assert refusal(Boxed) == "bubblewrap is not installed"
    assert refusal(Boxed, "/nowhere/bwrap").startswith("A box could not be started: [Errno 2]")


def with_two_holes(level: Boxed) -> str:
    copy = level.staging / "inside.py"
    source = copy.read_text()
    for name in ("privileges", "files"):
        head = f"def probe_{name}("
        start = source.index(":\n", source.index(head)) + 2
        source = source[:start] + "    return 'a hole'\n" + source[start:]
    copy.write_text(source)
    try:
        prove(level)
    except LevelRefused as refused:
        return str(refused)
    return ""


def test_a_proof_names_every_protection_that_is_missing(judged: Callable[..., str]) -> None:
    assert judged(with_two_holes) == "files: a hole; privileges: a hole"
