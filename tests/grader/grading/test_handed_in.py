"""What may be handed in, and what is refused: folders, single files, zip archives, and the bytes of the source."""

import ast
import io
import os
import re
import shutil
import socket
import stat
import struct
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from grader.errors import GraderError, SubmissionError
from grader.grading.handed_in import Submission, collect

GOOD = b"def serve():\n    return 1\n"
NOBODY = 65534


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder as handed in, with the one wanted file."""
    source = tmp_path / "alice"
    source.mkdir()
    (source / "server.py").write_bytes(GOOD)
    return source


@pytest.fixture
def into(tmp_path: Path) -> Path:
    return tmp_path / "clean"


def refusal(source: Path, into: Path, *wanted: str, file_kb: int = 4) -> str:
    """What `collect` says when it refuses `source`; nothing of it may have been copied then."""
    with pytest.raises(SubmissionError) as raised:
        collect(source, wanted or ("server.py",), into, file_kb=file_kb)
    assert not into.exists()
    message = str(raised.value)
    assert message.startswith(str(source))
    assert message.isprintable()
    assert message.endswith(".")
    return message


def zipped(file: Path, members: Mapping[str, bytes], *, compression: int = zipfile.ZIP_DEFLATED) -> Path:
    """A zip with `members`. Names are written as they are, NULs and all, which `zipfile` does only if tricked."""
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, data in members.items():
            info = zipfile.ZipInfo("x")
            info.filename, info.compress_type = name, compression
            archive.writestr(info, data)
    return file


def names_in(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


# What is accepted.


def test_a_folder_gives_the_wanted_files_and_nothing_else(folder: Path, into: Path) -> None:
    (folder / "loop.py").write_bytes(b"")
    (folder / "notes.txt").write_bytes(b"")

    submission = collect(folder, ["server.py", "loop.py"], into, file_kb=1)

    assert submission.folder == into
    assert {file.name: file.read_bytes() for file in into.iterdir()} == {"server.py": GOOD, "loop.py": b""}
    assert submission.ignored == ("notes.txt",)


def test_everyone_may_read_the_copy_nobody_may_write_it_and_its_owner_can_remove_it(folder: Path, into: Path) -> None:
    (folder / "server.py").chmod(0o600)
    before = os.umask(0o077)
    try:
        collect(folder, ["server.py"], into, file_kb=1)
    finally:
        os.umask(before)

    assert stat.S_IMODE((into / "server.py").stat().st_mode) == 0o444
    assert stat.S_IMODE(into.stat().st_mode) == 0o755
    shutil.rmtree(into)
    assert not into.exists()


def test_an_empty_folder_that_is_there_is_filled(folder: Path, into: Path) -> None:
    into.mkdir(mode=0o700)

    collect(folder, ["server.py"], into, file_kb=1)

    assert (into / "server.py").read_bytes() == GOOD
    assert stat.S_IMODE(into.stat().st_mode) == 0o755


def test_a_single_file_is_taken_whatever_its_name(tmp_path: Path, into: Path) -> None:
    source = tmp_path / "my final version (2).py"
    source.write_bytes(GOOD)

    submission = collect(source, ["server.py"], into, file_kb=1)

    assert (into / "server.py").read_bytes() == GOOD
    assert submission.ignored == ()


def test_a_single_file_that_has_the_wanted_name_need_not_end_in_py(tmp_path: Path, into: Path) -> None:
    (tmp_path / "Procfile").write_bytes(GOOD)

    collect(tmp_path / "Procfile", ["Procfile"], into, file_kb=1)

    assert (into / "Procfile").read_bytes() == GOOD


@pytest.mark.parametrize("top", ["", "alice/", "./", "alice\\"], ids=["root", "folder", "dot", "backslash"])
@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_zip_holds_its_files_at_the_root_or_in_one_folder(
    tmp_path: Path, into: Path, top: str, compression: int
) -> None:
    members = {f"{top}server.py": GOOD, f"{top}loop.py": b"x = 1\n", "__MACOSX/server.py": b"\0\5", "notes.txt": b""}
    source = zipped(tmp_path / "alice.ZIP", members, compression=compression)

    submission = collect(source, ["server.py", "loop.py"], into, file_kb=1)

    assert {file.name: file.read_bytes() for file in into.iterdir()} == {"server.py": GOOD, "loop.py": b"x = 1\n"}
    assert submission.ignored == ("__MACOSX/", "notes.txt")


def test_a_zip_of_a_folder_as_zip_r_makes_it_is_taken(tmp_path: Path, folder: Path, into: Path) -> None:
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "server.cpython-311.pyc").write_bytes(b"\0")
    source = Path(shutil.make_archive(str(tmp_path / "handed in"), "zip", tmp_path, "alice"))

    submission = collect(source, ["server.py"], into, file_kb=1)

    assert (into / "server.py").read_bytes() == GOOD
    assert submission.ignored == ("alice/__pycache__/",)


def test_the_root_of_a_zip_goes_before_a_folder_in_it(tmp_path: Path, into: Path) -> None:
    source = zipped(tmp_path / "a.zip", {"old/server.py": b"old", "server.py": GOOD})

    submission = collect(source, ["server.py"], into, file_kb=1)

    assert (into / "server.py").read_bytes() == GOOD
    assert submission.ignored == ("old/",)


def test_the_digest_tells_names_and_bytes_and_not_how_they_came(tmp_path: Path, folder: Path) -> None:
    def digest(source: Path, name: str = "server.py") -> str:
        with tempfile.TemporaryDirectory(dir=tmp_path) as clean:
            return collect(source, [name], Path(clean), file_kb=1).digest

    from_folder = digest(folder)

    assert re.fullmatch("[0-9a-f]{64}", from_folder)
    assert digest(folder / "server.py") == from_folder
    assert digest(zipped(tmp_path / "a.zip", {"server.py": GOOD, "b": b""})) == from_folder
    assert digest(folder / "server.py", "loop.py") != from_folder
    (folder / "server.py").write_bytes(GOOD + b"\n")
    assert digest(folder) != from_folder


def test_the_digest_knows_where_one_file_ends_and_the_next_begins(tmp_path: Path) -> None:
    digests = set()
    for number, (one, two) in enumerate([(b"ab", b"c"), (b"a", b"bc"), (b"abc", b"")]):
        source = zipped(tmp_path / f"{number}.zip", {"a.py": one, "b.py": two})
        digests.add(collect(source, ["a.py", "b.py"], tmp_path / str(number), file_kb=1).digest)

    assert len(digests) == 3


def test_a_syntax_error_is_not_refused_here(folder: Path, into: Path) -> None:
    (folder / "server.py").write_bytes(b"def serve(:\n")

    collect(folder, ["server.py"], into, file_kb=1)

    assert (into / "server.py").read_bytes() == b"def serve(:\n"


# What is ignored.

AUTORUN = ["conftest.py", "pytest.ini", "evil.pth", "_socket.so", ".env", "sitecustomize.py", "setup.py", "server.pyc"]


def test_what_python_or_pytest_would_run_unasked_is_ignored_and_listed(
    tmp_path: Path, folder: Path, into: Path
) -> None:
    for name in AUTORUN:
        (folder / name).write_bytes(b"\0")
    (folder / "__pycache__").mkdir()
    (folder / "link").symlink_to("/etc/passwd")
    os.mkfifo(folder / "pipe")
    members = {f"alice/{name}": b"\0" for name in AUTORUN} | {"alice/server.py": GOOD, "alice/__pycache__/x": b""}
    source = zipped(tmp_path / "a.zip", members)

    from_folder = collect(folder, ["server.py"], into, file_kb=1)
    from_zip = collect(source, ["server.py"], tmp_path / "from zip", file_kb=1)

    assert from_folder.ignored == tuple(sorted([*AUTORUN, "__pycache__/", "link", "pipe"]))
    assert from_zip.ignored == tuple(sorted(f"alice/{name}" for name in [*AUTORUN, "__pycache__/"]))
    assert names_in(into) == names_in(tmp_path / "from zip") == ["server.py"]


def test_ignored_names_are_safe_to_print_and_cut_to_a_length(folder: Path, into: Path) -> None:
    for name in (b"\x1b[2Ja\nb", b"\xff.py", b"\xe2\x80\xaetxt", rb"a\nb", b"x" * 255):
        (Path(os.fsdecode(os.fsencode(folder) + b"/" + name))).write_bytes(b"")

    ignored = collect(folder, ["server.py"], into, file_kb=1).ignored

    assert set(ignored) == {r"\x1b[2Ja\nb", r"\udcff.py", r"\u202etxt", r"a\\nb", "x" * 119 + "…"}


def test_at_most_twenty_ignored_names_are_listed(folder: Path, into: Path) -> None:
    for number in range(25):
        (folder / f"{number:02}").write_bytes(b"")

    ignored = collect(folder, ["server.py"], into, file_kb=1).ignored

    assert ignored == (*(f"{number:02}" for number in range(20)), "and 5 more")


# What is not there.


def test_a_source_that_is_not_there_is_refused(tmp_path: Path, into: Path) -> None:
    assert "is not there. Check the path" in refusal(tmp_path / "bob", into)
    assert "too long" in refusal(tmp_path / ("b" * 300), into)


def test_a_source_below_a_file_is_refused(folder: Path, into: Path) -> None:
    assert "is not there" in refusal(folder / "server.py" / "more", into)


@pytest.mark.parametrize(
    ("handed_in", "hint"),
    [
        ("Server.py", "Did you mean Server.py? Its name must be exactly server.py"),
        ("servr.py", "Did you mean servr.py? Its name must be exactly server.py"),
        ("server.py.txt", "Did you mean server.py.txt? Its name must be exactly server.py"),
        ("server.py\n", r"Did you mean server.py\n? Its name must be exactly server.py"),
        ("homework", "The name must be exactly server.py"),
    ],
)
@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_a_missing_file_is_told_with_what_was_found_and_what_may_be_meant(
    tmp_path: Path, folder: Path, into: Path, handed_in: str, hint: str, kind: str
) -> None:
    (folder / "server.py").rename(folder / handed_in)
    source = folder if kind == "folder" else zipped(tmp_path / "a.zip", {handed_in: GOOD})

    message = refusal(source, into)

    assert f"server.py is missing; found instead: {handed_in.replace(chr(10), chr(92) + 'n')}. {hint}." in message


def test_an_empty_folder_and_an_empty_zip_are_refused(tmp_path: Path, into: Path) -> None:
    (tmp_path / "empty").mkdir()

    assert "found instead: nothing" in refusal(tmp_path / "empty", into)
    assert "found instead: nothing" in refusal(zipped(tmp_path / "a.zip", {}), into)


def test_all_missing_files_are_told_at_once(folder: Path, into: Path) -> None:
    message = refusal(folder, into, "loop.py", "server.py", "task.py")

    assert "loop.py and task.py are missing; found instead: server.py." not in message  # server.py is not ignored
    assert "loop.py and task.py are missing; found instead: nothing." in message


@pytest.mark.parametrize("members", [["a/b/server.py"], ["loop.py", "a/server.py"]])
def test_a_file_at_another_depth_of_a_zip_is_missing_and_its_place_is_told(
    tmp_path: Path, into: Path, members: list[str]
) -> None:
    source = zipped(tmp_path / "a.zip", dict.fromkeys(members, GOOD))

    message = refusal(source, into, "server.py", "loop.py")

    assert f"{members[-1]} is at another depth: hand in the one folder that holds all" in message


def test_wanted_files_in_two_folders_of_a_zip_are_refused(tmp_path: Path, into: Path) -> None:
    source = zipped(tmp_path / "a.zip", {"b/server.py": GOOD, "a/server.py": GOOD})

    assert "wanted files are in a and b. Hand in a zip of one" in refusal(source, into)


# What is not a file to read.


def plant_symlink(file: Path) -> None:
    file.symlink_to("/etc/passwd")


def plant_hard_link(file: Path) -> None:
    other = file.with_name("of somebody else")
    other.write_bytes(GOOD)
    file.hardlink_to(other)


def plant_socket(file: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        # A path to a socket may have 108 bytes, and this folder's may be longer.
        at = os.open(file.parent, os.O_RDONLY)
        try:
            listener.bind(f"/proc/self/fd/{at}/{file.name}")
        finally:
            os.close(at)


PLANTS = [
    pytest.param(plant_symlink, "is a symbolic link. Hand in what it points to", id="symlink"),
    pytest.param(os.mkfifo, "is a named pipe. Hand in an ordinary file", id="named pipe"),
    pytest.param(plant_hard_link, "is a hard link.*Copy it.*a git checkout never makes hard links", id="hard link"),
    pytest.param(plant_socket, "is a socket or a device. Hand in an ordinary file", id="socket"),
]


@pytest.mark.parametrize(("plant", "said"), PLANTS)
def test_what_only_looks_like_a_file_is_refused_in_a_folder(
    folder: Path, into: Path, plant: Callable[[Path], None], said: str
) -> None:
    (folder / "server.py").unlink()
    plant(folder / "server.py")

    assert re.search(f"server.py {said}", refusal(folder, into))


@pytest.mark.parametrize("name", ["alice.py", "alice.zip"])
@pytest.mark.parametrize(("plant", "said"), PLANTS)
def test_what_only_looks_like_a_file_is_refused_alone(
    tmp_path: Path, into: Path, plant: Callable[[Path], None], said: str, name: str
) -> None:
    plant(tmp_path / name)

    assert re.search(f"{name} {said}", refusal(tmp_path / name, into))


def test_a_folder_that_is_a_symbolic_link_is_refused(tmp_path: Path, folder: Path, into: Path) -> None:
    (tmp_path / "bob").symlink_to(folder)

    assert "bob is a symbolic link" in refusal(tmp_path / "bob", into)


def test_a_device_is_refused(into: Path) -> None:
    assert "/dev/null is a device" in refusal(Path("/dev"), into, "null")


def test_a_folder_with_a_wanted_name_is_refused(tmp_path: Path, folder: Path, into: Path) -> None:
    (folder / "server.py").rename(folder / "inner.py")
    (folder / "server.py").mkdir()

    assert "server.py/ is a folder: hand in a file of that name" in refusal(folder, into)
    assert "server.py/ is a folder" in refusal(zipped(tmp_path / "a.zip", {"server.py/": b""}), into)
    assert "server.py/ is a folder" in refusal(zipped(tmp_path / "c.zip", {"server.py/x": b""}), into)


def test_a_file_of_another_kind_is_refused(tmp_path: Path, into: Path) -> None:
    (tmp_path / "server.ipynb").write_bytes(b"{}")

    assert "neither a folder, a .py file nor a .zip" in refusal(tmp_path / "server.ipynb", into)


def test_a_single_file_is_refused_where_two_are_wanted(folder: Path, into: Path) -> None:
    message = refusal(folder / "server.py", into, "server.py", "loop.py")

    assert "one file, where server.py and loop.py are wanted. Hand in the folder" in message


@contextmanager
def unprivileged() -> Iterator[None]:
    """As somebody whom permissions hold: root is stopped by none."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(before)


@pytest.mark.parametrize("locked", ["", "server.py"], ids=["folder", "file"])
def test_what_may_not_be_read_is_refused_with_the_command_that_allows_it(locked: str) -> None:
    with tempfile.TemporaryDirectory() as reachable:  # pytest's own folders let nobody but their owner through
        Path(reachable).chmod(0o755)
        folder = Path(reachable) / "alice"
        folder.mkdir(mode=0o755)
        (folder / "server.py").write_bytes(GOOD)
        (folder / locked).chmod(0)
        with unprivileged():
            message = refusal(folder, folder.parent / "clean")
        (folder / locked).chmod(0o700)

    assert message == f"{folder / locked} cannot be read by this user. Allow it with `chmod -R a+rX`."


def test_a_read_that_breaks_is_not_the_submissions_fault(into: Path) -> None:
    # Reading address 0 of a process's memory is an input/output error.
    with pytest.raises(GraderError, match=r"mem: reading it broke: Input/output error\. Try again"):
        collect(Path(f"/proc/{os.getpid()}"), ["mem"], into, file_kb=1)


# What is too much.


@pytest.mark.parametrize("kind", ["folder", "file", "zip"])
def test_a_file_of_exactly_the_largest_size_is_taken_and_one_byte_more_is_refused(
    tmp_path: Path, folder: Path, into: Path, kind: str
) -> None:
    def handed_in(data: bytes) -> Path:
        (folder / "server.py").write_bytes(data)
        sources = {"folder": folder, "file": folder / "server.py"}
        return sources.get(kind) or zipped(tmp_path / "a.zip", {"server.py": data})

    assert "server.py is larger than 2 KiB" in refusal(handed_in(b"#" * 2049), into, file_kb=2)
    collect(handed_in(b"#" * 2048), ["server.py"], into, file_kb=2)
    assert (into / "server.py").stat().st_size == 2048


def test_a_file_that_is_larger_than_its_size_says_is_read_to_the_limit_only(into: Path) -> None:
    source = Path(f"/proc/{os.getpid()}")
    assert (source / "smaps").stat().st_size == 0

    assert "smaps is larger than 1 KiB" in refusal(source, into, "smaps", file_kb=1)


def test_a_file_larger_than_any_chunk_is_copied_whole(tmp_path: Path, folder: Path, into: Path) -> None:
    data = b"".join(b"x%d = 1\n" % number for number in range(200_000))
    (folder / "server.py").write_bytes(data)

    collect(folder, ["server.py"], into, file_kb=4096)
    collect(zipped(tmp_path / "a.zip", {"server.py": data}), ["server.py"], tmp_path / "z", file_kb=4096)

    assert (into / "server.py").read_bytes() == (tmp_path / "z" / "server.py").read_bytes() == data


def test_more_than_a_thousand_entries_are_refused(tmp_path: Path, folder: Path, into: Path) -> None:
    for number in range(1000):
        (folder / f"{number:04}").touch()
    source = zipped(tmp_path / "a.zip", {entry.name: b"" for entry in folder.iterdir()})

    assert "more than 1,000 entries. Hand in a folder with the wanted files only" in refusal(folder, into)
    assert "more than 1,000 entries" in refusal(source, into)
    (folder / "0000").unlink()
    assert collect(folder, ["server.py"], into, file_kb=1).ignored[-1] == "and 979 more"


def test_a_zip_whose_list_of_members_is_huge_is_refused_before_it_is_read(tmp_path: Path, into: Path) -> None:
    members = {f"{number:05}{'x' * 40}": b"" for number in range(12_000)}
    source = zipped(tmp_path / "a.zip", members, compression=zipfile.ZIP_STORED)

    assert "its list of files takes" in refusal(source, into)


# What a zip can be made to claim.


def with_mode(file: Path, name: str, mode: int) -> Path:
    """A zip whose one member has a Unix mode, as `zip -y` stores links."""
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, mode << 16
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(info, b"/etc/passwd")
    return file


@pytest.mark.parametrize("name", ["server.py", "sub/notes.txt"])
@pytest.mark.parametrize(
    ("mode", "kind"),
    [(stat.S_IFLNK, "a symbolic link"), (stat.S_IFIFO, "a named pipe"), (stat.S_IFCHR, "a device")],
)
def test_a_zip_with_a_member_that_is_no_file_is_refused(
    tmp_path: Path, into: Path, name: str, mode: int, kind: str
) -> None:
    source = with_mode(tmp_path / "a.zip", name, mode | 0o777)

    assert f"a.zip:{name} is {kind}. Put ordinary files" in refusal(source, into)


def test_a_member_whose_mode_says_folder_is_no_file_although_its_name_has_no_slash(tmp_path: Path, into: Path) -> None:
    source = with_mode(tmp_path / "a.zip", "server.py", stat.S_IFDIR | 0o755)

    assert "server.py/ is a folder" in refusal(source, into)


@pytest.mark.parametrize(
    "name", ["../server.py", "a/../../x", "/etc/x", "..\\x", "\\x", "C:\\x", "c:server.py", "a/.."]
)
def test_a_zip_with_a_member_that_leads_out_of_it_is_refused(tmp_path: Path, into: Path, name: str) -> None:
    source = zipped(tmp_path / "a.zip", {"server.py": GOOD, name: GOOD})

    assert "leads out of the zip" in refusal(source, into)


@pytest.mark.parametrize("again", ["server.py", "./server.py", "a.txt"])
def test_a_zip_that_has_a_name_twice_is_refused(tmp_path: Path, into: Path, again: str) -> None:
    source = zipped(tmp_path / "a.zip", {"server.py": GOOD, "a.txt": b""})
    with zipfile.ZipFile(source, "a") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile warns of what is done here on purpose
        archive.writestr(again, b"other")

    assert f"{again} is in the zip twice" in refusal(source, into)


@pytest.mark.parametrize(
    ("other", "shown"),
    [
        ("SERVER.py", "SERVER.py"),
        ("\u017ferver.py", "\u017ferver.py"),  # a long s, whose capital is S
        ("\uff53erver.py", "\uff53erver.py"),  # a full-width s
        ("server.py\0.txt", r"server.py\x00.txt"),
        ("server.py\n", r"server.py\n"),
        ("\x1bserver.py", r"\x1bserver.py"),
    ],
)
def test_a_zip_with_a_second_name_that_some_system_takes_for_the_wanted_one_is_refused(
    tmp_path: Path, into: Path, other: str, shown: str
) -> None:
    source = zipped(tmp_path / "a.zip", {"top/server.py": GOOD, f"top/{other}": b"other"})

    message = refusal(source, into)

    assert shown in message
    assert "are one name to some systems. Keep the one that is called server.py" in message


def test_an_encrypted_zip_is_refused(tmp_path: Path, into: Path) -> None:
    source = zipped(tmp_path / "a.zip", {"server.py": GOOD})
    data = bytearray(source.read_bytes())
    data[data.index(b"PK\1\2") + 8] |= 1  # the general purpose flags of the directory's entry
    source.write_bytes(data)

    assert "server.py is encrypted. Make the zip without a password" in refusal(source, into)


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_compression_that_expands_without_a_bound_is_refused(tmp_path: Path, into: Path, compression: int) -> None:
    source = zipped(tmp_path / "a.zip", {"server.py": GOOD}, compression=compression)

    assert "compressed in an unusual way" in refusal(source, into)


def claiming(source: Path, size: int) -> Path:
    """The same zip, its one member's uncompressed size set to another value in both of its headers."""
    data = bytearray(source.read_bytes())
    for header, offset in ((b"PK\3\4", 22), (b"PK\1\2", 24)):
        struct.pack_into("<L", data, data.index(header) + offset, size)
    source.write_bytes(data)
    return source


def test_a_bomb_that_claims_to_be_small_is_unpacked_to_the_limit_only(tmp_path: Path, into: Path) -> None:
    bomb = zipped(tmp_path / "a.zip", {"server.py": b"#" * 50_000_000})
    assert bomb.stat().st_size < 60_000

    assert "server.py is larger than 4 KiB" in refusal(claiming(bomb, 100), into)


@pytest.mark.parametrize("size", [len(GOOD) - 5, len(GOOD) + 5])
@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_member_that_lies_about_its_size_is_refused(tmp_path: Path, into: Path, size: int, compression: int) -> None:
    source = zipped(tmp_path / "a.zip", {"server.py": GOOD}, compression=compression)

    assert f"has {len(GOOD)} bytes and claims to have {size}" in refusal(claiming(source, size), into)


def sound_zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("top/server.py", GOOD * 20)
        archive.writestr("top/é.txt", b"")
    return buffer.getvalue()


SOUND_ZIP = sound_zip()


ENTRY = SOUND_ZIP.index(b"PK\1\2")  # of server.py in the list of members; APPNOTE.TXT 4.3.12 has the offsets


def damaged(at: int, by: bytes) -> bytes:
    return SOUND_ZIP[:at] + by + SOUND_ZIP[at + len(by) :]


DAMAGED = {
    "empty": b"",
    "no zip": b"PK, or is it?",
    "cut off": SOUND_ZIP[:-30],
    "its start cut off": SOUND_ZIP[40:],
    "a wrong checksum": damaged(ENTRY + 16, b"\1\2\3\4"),
    "compressed data that is none": damaged(30 + len("top/server.py"), b"\xff" * 8),
    "stored data that goes on past the file's end": damaged(
        ENTRY + 10, struct.pack("<HLLL", zipfile.ZIP_STORED, 0, 0, 65_535)
    ),
    "a version of the future": damaged(ENTRY + 6, b"\xff"),
    "a name that is not UTF-8": damaged(SOUND_ZIP.rindex("é".encode()), b"\xff"),
    "a directory before its start": damaged(SOUND_ZIP.index(b"PK\5\6") + 12, b"\xff\xff\0\0"),
    "a member past its end": damaged(ENTRY + 42, b"\xff\xff\xff\x7f"),
}


@pytest.mark.parametrize("data", DAMAGED.values(), ids=DAMAGED.keys())
def test_a_broken_zip_is_refused(tmp_path: Path, into: Path, data: bytes) -> None:
    (tmp_path / "a.zip").write_bytes(data)

    assert re.search("this zip is broken: .*Make it again", refusal(tmp_path / "a.zip", into))


def outcome(archive: bytes, wanted: tuple[str, ...] = ("server.py",)) -> Submission | SubmissionError:
    """What `collect` makes of a zip. Whatever that is, it stays within its folder."""
    with tempfile.TemporaryDirectory() as scratch:
        room = Path(scratch) / "a" / "b"
        room.mkdir(parents=True)
        (room / "in.zip").write_bytes(archive)
        try:
            result: Submission | SubmissionError = collect(room / "in.zip", wanted, room / "clean", file_kb=1)
        except SubmissionError as refused:
            assert str(refused).isprintable()
            result = refused
        accepted = isinstance(result, Submission)
        files = {str(file.relative_to(scratch)) for file in Path(scratch).rglob("*") if not file.is_dir()}
        assert files == {"a/b/in.zip"} | ({f"a/b/clean/{name}" for name in wanted} if accepted else set())
        return result


PARTS = st.sampled_from(["server.py", "SERVER.PY", "..", ".", "", "top", "C:", "~", "\0", "\n", "\x1b[2J", "con", " "])
NAMES = st.one_of(
    st.lists(PARTS | st.text(st.characters(exclude_categories=["Cs"]), max_size=4), min_size=1, max_size=4).flatmap(
        lambda parts: st.sampled_from(["/", "\\", "", "//"]).map(lambda between: between.join(parts))
    ),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
)


@given(names=st.lists(NAMES, max_size=5, unique=True), modes=st.lists(st.integers(0, 0xFFFF), min_size=5, max_size=5))
@example(names=["../server.py"], modes=[0] * 5)
@example(names=["server.py", "server.py\0x"], modes=[0] * 5)
@example(names=["", ".", "./"], modes=[0] * 5)
@example(names=["top/server.py", "top", "top/"], modes=[0] * 5)
def test_no_member_name_escapes_the_folder_or_is_more_than_refused(names: list[str], modes: list[int]) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, mode in zip(names, modes, strict=False):
            info = zipfile.ZipInfo("x")
            # Half of them are ordinary files, or a random kind of file would refuse nearly every archive.
            info.filename, info.external_attr = name, (mode if mode % 2 else 0o100644) << 16
            archive.writestr(info, GOOD)

    result = outcome(buffer.getvalue())

    if isinstance(result, Submission):
        assert any(re.split(r"[/\\]", name)[-1] == "server.py" for name in names)
        assert all(name.isprintable() for name in result.ignored)


@given(
    edits=st.lists(st.tuples(st.integers(0, len(SOUND_ZIP) - 1), st.binary(max_size=4)), min_size=1, max_size=4),
    length=st.integers(0, len(SOUND_ZIP)) | st.just(len(SOUND_ZIP)),
)
def test_a_damaged_zip_is_taken_or_refused_and_nothing_else(edits: list[tuple[int, bytes]], length: int) -> None:
    data = SOUND_ZIP
    for at, by in edits:
        data = data[:at] + by + data[at + len(by) :]

    result = outcome(data[:length])

    assert isinstance(result, SubmissionError) or len(result.digest) == 64


# What a person and Python would read differently.


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("x = 1\n".encode("utf-16"), "server.py is UTF-16.*Save as UTF-8"),
        ("x = 1\n".encode("utf-16-be"), "server.py is UTF-16.*Save as UTF-8"),
        ("x = 1\n".encode("utf-16-le"), "server.py is UTF-16.*Save as UTF-8"),
        ("x = 1\n".encode("utf-32"), "server.py is UTF-16, or another wide encoding.*Save as UTF-8"),
        (b"\xef\xbb\xbfx = 1\r\ny = '\0'\n", "server.py:2: a NUL byte.*Delete it"),
        (b"\xef\xbb\xbfx = 1\ry = '\xe9'\n", "server.py:2: the byte 0xe9 is not UTF-8. Save as UTF-8"),
        (b"x = '\xed\xa0\x80'\n", "server.py:1: the byte 0xed is not UTF-8"),
        (b"# coding: unicode_escape\n", "server.py:1: the file declares its encoding: unicode-escape. Delete"),
        (b"# coding: latin-1\n", "server.py:1: the file declares its encoding: iso8859-1"),
        (b"#!/usr/bin/python\n# -*- coding: latin-1 -*-\n", "server.py:2: the file declares its encoding: iso8859-1"),
        (b"\n\t# vim: set fileencoding=utf-7 :\n", "server.py:2: the file declares its encoding: utf-7"),
        (b"\xef\xbb\xbf# coding: latin-1\n", "server.py:1: the file declares its encoding: iso8859-1"),
        (b"# coding: klingon\n", "server.py:1: the file declares its encoding: one that Python does not know"),
        (b"\r# coding: unicode_escape\n#\\nprint()", "server.py:2: the file declares its encoding: unicode-escape"),
        ("x = 1\n  y = '\u202e'\n".encode(), r"server.py:2:8: U\+202E \(RIGHT-TO-LEFT OVERRIDE\).*write \\u202e"),
        ("\ufeff\u2066".encode(), r"server.py:1:1: U\+2066 \(LEFT-TO-RIGHT ISOLATE\)"),
    ],
)
@pytest.mark.parametrize("kind", ["folder", "file", "zip"])
def test_source_that_is_not_plain_utf8_is_refused_with_its_place(
    tmp_path: Path, folder: Path, into: Path, kind: str, data: bytes, said: str
) -> None:
    (folder / "server.py").write_bytes(data)
    sources = {"folder": folder, "file": folder / "server.py"}
    source = sources.get(kind) or zipped(tmp_path / "a.zip", {"server.py": data})

    assert re.search(said, refusal(source, into))


@pytest.mark.parametrize("character", [chr(code) for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))])
def test_each_character_that_turns_the_direction_of_text_is_refused(folder: Path, into: Path, character: str) -> None:
    (folder / "server.py").write_text(f"# {character}\n", encoding="utf-8")

    assert f"server.py:1:3: U+{ord(character):04X}" in refusal(folder, into)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xef\xbb\xbfx = 1\n",
        "# 서버: é, \u200f and 😀\n".encode(),
        b"# coding: utf-8\n",
        b"# -*- coding: UTF8 -*-\r\n",
        b"\xef\xbb\xbf# coding: utf-8-sig\n",
        b"x = 1\n\n# coding: latin-1\n",
        b"x = 1  # coding: latin-1\n",
    ],
)
def test_plain_utf8_is_copied_to_the_byte(folder: Path, into: Path, data: bytes) -> None:
    (folder / "server.py").write_bytes(data)

    collect(folder, ["server.py"], into, file_kb=1)

    assert (into / "server.py").read_bytes() == data


COOKIES = [b"#", b"# coding", b":", b"=", b" ", b"\t", b"\f", b"\r", b"\n", b"\\", b"utf-8", b"latin-1", b"utf_8_x"]
COOKIES += [b"unicode_escape", b"'\xc3\xa9'", b"x=1", b"\\n", b'"""', b"\xef\xbb\xbf"]


@given(pieces=st.lists(st.sampled_from(COOKIES), max_size=12))
@example(pieces=[b"\r", b"# coding", b":", b"latin-1", b"\n", b"'\xc3\xa9'"])
def test_python_reads_in_accepted_source_what_utf8_says(pieces: list[bytes]) -> None:
    data = b"".join(pieces)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("server.py", data)

    if isinstance(outcome(buffer.getvalue()), SubmissionError):
        return

    assert as_parsed(data) == as_parsed(data.decode("utf-8-sig"))


def as_parsed(source: bytes | str) -> str:
    """The syntax tree as text; "" when there is none."""
    try:
        return ast.dump(ast.parse(source))
    except SyntaxError:
        return ""


# What is not the submission's fault.


@pytest.mark.parametrize("name", ["", ".", "..", "a/b.py", "/etc/passwd", "a\nb", "a\0"])
def test_a_name_that_is_not_plain_cannot_be_wanted(folder: Path, into: Path, name: str) -> None:
    with pytest.raises(GraderError, match=r"is not a plain file name\. Correct the exercise's list"):
        collect(folder, [name], into, file_kb=1)


def test_at_least_one_file_has_to_be_wanted(folder: Path, into: Path) -> None:
    with pytest.raises(GraderError, match=r"No file of .*alice was asked for\. Correct the exercise's list"):
        collect(folder, [], into, file_kb=1)


def test_a_folder_that_is_not_empty_is_not_collected_into(folder: Path, into: Path) -> None:
    into.mkdir()
    (into / "old").touch()

    with pytest.raises(GraderError, match=r"is not empty\. Collect into a new folder"):
        collect(folder, ["server.py"], into, file_kb=1)

    assert names_in(into) == ["old"]


def test_a_place_that_cannot_be_written_is_not_the_submissions_fault(folder: Path, into: Path) -> None:
    with pytest.raises(GraderError, match=r"cannot be written: No such file or directory\. Check the path"):
        collect(folder, ["server.py"], into / "deeper" / "still", file_kb=1)


def test_no_descriptor_stays_open_whatever_is_handed_in(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "broken.zip").write_bytes(b"PK")
    (tmp_path / "large.py").write_bytes(b"#" * 2000)
    good = zipped(tmp_path / "a.zip", {"server.py": GOOD})
    before = len(names_in(Path("/proc/self/fd")))

    collect(folder, ["server.py"], tmp_path / "one", file_kb=1)
    collect(good, ["server.py"], tmp_path / "two", file_kb=1)
    for name in ("broken.zip", "large.py", "nobody"):
        with pytest.raises(SubmissionError):
            collect(tmp_path / name, ["server.py"], tmp_path / "three", file_kb=1)

    assert len(names_in(Path("/proc/self/fd"))) == before
