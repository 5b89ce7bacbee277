"""What `grade doctor` finds out: on this machine, on machines that really refuse things (a system call filter, missing
capabilities, a masked /proc), and on machines that are put before a probe as a folder with their /proc files.

CI machines differ, so what is found here is checked for consistency; what a refusing machine says is checked in full.
"""

import dataclasses
import errno
import json
import os
import platform
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from grader.box import seccomp as call_filter
from grader.box.levels import LEVELS
from grader.doctor import isolating, measuring
from grader.doctor.examine import examine, in_a_child
from grader.doctor.finding import NOT_LINUX, Finding, isolation_possible, to_json
from grader.doctor.machine import machine
from grader.doctor.programs import find_program
from grader.doctor.screen import show
from places import TESTS

ROOT = Path(isolating.__file__).parents[2]
REFUSING = TESTS / "support" / "refusing.py"
AS_ROOT = os.geteuid() == 0
NOBODY = 65_534
DOCKER = isolating.probe_landlock(-errno.EPERM, -errno.EPERM).cure
CONTAINER_FOR_OTHERS = isolating.probe_system("darwin").cure
EXAMINE = (
    "from grader.doctor.examine import examine; from grader.doctor.finding import to_json; print(to_json(examine()))"
)

needs_libseccomp = pytest.mark.skipif(
    call_filter.libseccomp() is None, reason="the refusing machine is built with libseccomp"
)


@pytest.fixture(scope="module")
def here() -> tuple[Finding, ...]:
    """This machine."""
    return examine()


@pytest.fixture
def free_root(here: tuple[Finding, ...]) -> None:
    """Only where root may take away what other machines lack."""
    if not AS_ROOT or not by_name(here)["private network"].ok:
        pytest.skip("only an unhindered root can take capabilities and mounts away")


@pytest.fixture
def other(tmp_path: Path) -> "Other":
    return Other(tmp_path / "machine")


@dataclasses.dataclass(frozen=True, slots=True)
class Other:
    """Another machine's files."""

    root: Path

    def __call__(self, files: Mapping[str, str]) -> Path:
        for name, text in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text + "\n")
        return self.root


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can reach; pytest's own are closed to others."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def program(folder: Path, script: str) -> str:
    """A program that does and says what another version of it would."""
    path = folder / "program"
    path.write_text("#!/bin/sh\n" + script + "\n")
    path.chmod(0o755)
    return str(path)


def examined(*before: str, code: str = EXAMINE) -> dict[str, Finding]:
    """The findings of a fresh interpreter, started by other words or not."""
    done = subprocess.run(
        [*before, sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return {row["name"]: Finding(**row) for row in json.loads(done.stdout)["findings"]}


def by_name(findings: Sequence[Finding]) -> dict[str, Finding]:
    return {finding.name: finding for finding in findings}


# --- this machine -------------------------------------------------------------------------------------------------


def test_every_facility_is_reported_once(here: tuple[Finding, ...]) -> None:
    names = [finding.name for finding in here]

    assert len(names) == len(set(names))
    assert {"kernel", "python", "private network", "bubblewrap", "libseccomp", "landlock", "strace"} < set(names)
    assert {"psutil", "io_uring", "open files", "backlog", "ports", "free space", "processors", "cgroup"} < set(names)


def test_what_is_lacking_has_a_cure_of_one_line_and_what_is_there_has_none(here: tuple[Finding, ...]) -> None:
    for finding in here:
        assert finding.ok == (finding.cure == ""), finding
        assert "\n" not in finding.cure
        assert finding.seen
        assert finding.costs.endswith(".")


def test_costs_are_told_in_words_not_in_points(here: tuple[Finding, ...]) -> None:
    assert not [finding for finding in here if "point" in finding.costs]


def test_only_processors_cgroups_and_the_filters_age_do_not_matter_for_grading(here: tuple[Finding, ...]) -> None:
    assert {f.name for f in here if f.is_note} == {"processors", "cgroup", "filter"}


def test_the_findings_agree_with_what_the_system_says_itself(here: tuple[Finding, ...]) -> None:
    found = by_name(here)

    assert found["system"].seen == "Linux"
    assert found["kernel"].seen == os.uname().release
    assert found["python"].seen.startswith("{}.{}, /".format(*sys.version_info[:2]))
    assert f"{resource.getrlimit(resource.RLIMIT_NOFILE)[1]:,}" in found["open files"].seen
    assert found["processors"].seen == str(len(os.sched_getaffinity(0)))
    assert found["strace"].ok or shutil.which("strace") is None or found["strace"].cure


def test_isolation_is_possible_when_all_that_a_box_is_made_of_is_there(here: tuple[Finding, ...]) -> None:
    parts = {"system", "kernel", "python", "private network", "bubblewrap", "libseccomp", "landlock"}
    parts |= {"temporary folder", "boxed"}
    whole = tuple(dataclasses.replace(finding, ok=True, cure="") for finding in here)

    assert isolation_possible(whole)
    for finding in whole:
        without = [dataclasses.replace(f, ok=False, cure="mend it") if f is finding else f for f in whole]
        assert isolation_possible(without) == (finding.name not in parts)


def test_each_level_is_tried_whole(here: tuple[Finding, ...]) -> None:
    assert {level.name for level in LEVELS} <= set(by_name(here))
    assert by_name(here)["bare"].ok


def test_what_a_grading_is_refused_is_seen_though_each_part_is_there(
    here: tuple[Finding, ...], open_folder: Path
) -> None:
    if not isolation_possible(here):
        pytest.skip("no boxes here")
    # Its options are read from a descriptor in a grading, and so by who tries the whole.
    script = 'case "$*" in *--args*) echo "bwrap: no descriptors today" >&2; exit 1;; esac\nexec bwrap "$@"'
    Path(program(open_folder, f"PATH=/usr/bin:/bin\n{script}")).rename(open_folder / "bwrap")

    found = by_name(examine(path=str(open_folder)))

    assert found["bubblewrap"].ok
    assert (found["boxed"].ok, found["boxed"].seen) == (False, "a box cannot be started (bwrap: no descriptors today)")
    assert not isolation_possible(tuple(found.values()))
    assert "Programs can be boxed: no, for want of: boxed\n" in shown(tuple(found.values()))


@pytest.mark.parametrize("umask", ["027", "077"])
def test_the_umask_changes_nothing(here: tuple[Finding, ...], umask: str) -> None:
    found = examined("sh", "-c", f'umask {umask} && exec "$@"', "sh")

    assert {name: finding.ok for name, finding in found.items()} == {finding.name: finding.ok for finding in here}


def test_a_probe_that_was_not_made_proves_nothing() -> None:
    assert not isolation_possible(())


def test_examining_leaves_this_process_as_it_was() -> None:
    def state() -> list[object]:
        links = [Path("/proc/self/ns", name).readlink() for name in ("net", "user", "mnt")]
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text()  # zombies, too
        fds = sorted(path.name for path in Path("/proc/self/fd").iterdir())
        return [os.getuid(), os.getgroups(), fds, children, *links]

    before = state()
    examine()

    assert state() == before


def test_the_machine_of_a_report_is_this_one() -> None:
    here = machine()

    assert here.kernel == os.uname().release
    assert here.python == platform.python_version()
    assert here.nofile == resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    for name, version in (("strace", here.strace), ("bwrap", here.bwrap)):
        path = find_program(name)
        assert (version is None) == (path is None)
        if path is not None and version is not None:
            assert version in subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout


def test_a_machine_without_the_programs_has_no_versions_of_them(tmp_path: Path) -> None:
    other = machine(path=str(tmp_path))

    assert (other.strace, other.bwrap) == (None, None)


def test_a_program_that_cannot_tell_its_version_has_none(tmp_path: Path) -> None:
    Path(program(tmp_path, "echo version 1.2; exit 1")).rename(tmp_path / "strace")
    (tmp_path / "bwrap").write_text("not a program")
    (tmp_path / "bwrap").chmod(0o755)

    other = machine(path=str(tmp_path))

    assert (other.strace, other.bwrap) == (None, None)


def test_json_holds_every_finding_and_whether_a_box_is_possible(here: tuple[Finding, ...]) -> None:
    value = json.loads(to_json(here))

    assert [Finding(**row) for row in value["findings"]] == list(here)
    assert value["isolation_possible"] == isolation_possible(here)
    assert value["schema"] == "tracegrade/doctor/1"


# --- machines that really refuse ----------------------------------------------------------------------------------


@needs_libseccomp
def test_under_a_containers_filter_the_findings_say_so_and_name_the_cure(here: tuple[Finding, ...]) -> None:
    found = examined(sys.executable, str(REFUSING), "--")

    assert "unshare: Operation not permitted" in found["private network"].seen
    for name in ("private network", "bubblewrap", "strace", "io_uring"):
        finding = found[name]
        assert not finding.ok
        if "not installed" not in finding.seen:
            assert "filter" in finding.seen, finding
            assert finding.cure.startswith("docker run "), finding
            assert "--security-opt=seccomp=unconfined" in finding.cure
            assert "--cap-add=SYS_ADMIN" in finding.cure
    assert not isolation_possible(tuple(found.values()))
    for name in ("landlock", "libseccomp", "psutil", "python", "kernel"):
        assert found[name].ok == by_name(here)[name].ok


@needs_libseccomp
def test_a_container_that_allows_ptrace_can_still_count(here: tuple[Finding, ...]) -> None:
    found = examined(sys.executable, str(REFUSING), "--allow-ptrace", "--")

    assert found["strace"] == by_name(here)["strace"]
    assert not found["private network"].ok


@needs_libseccomp
def test_the_refusing_machine_refuses_and_lets_threads_be() -> None:
    code = (
        "import ctypes, os, threading\n"
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        "def tried(result): return ctypes.get_errno() if result < 0 else 0\n"
        "thread = threading.Thread(target=print, args=('thread',))\n"
        "thread.start(); thread.join()\n"
        "print(*[tried(libc.unshare(0x10000000)), tried(libc.unshare(0x40000000)), tried(libc.setns(0, 0)),\n"
        "  tried(libc.mount(b'x', b'/', b'tmpfs', 0, None)), tried(libc.umount2(b'/nowhere', 0)),\n"
        "  tried(libc.syscall(425, 1, None)), tried(libc.ptrace(0, 0, None, None)), tried(libc.syscall(435, None, 0))])"
    )
    done = subprocess.run(
        [sys.executable, str(REFUSING), "--", sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert done.stdout.split() == ["thread", *[str(errno.EPERM)] * 7, str(errno.ENOSYS)]


@needs_libseccomp
def test_the_refusing_machine_starts_commands_without_namespaces_only() -> None:
    command = [sys.executable, str(REFUSING), "--", "unshare", "-U", "true"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert "Operation not permitted" in done.stderr


@pytest.mark.parametrize("words", [[], ["true"], ["--"], ["--no-such", "--", "true"]])
def test_the_refusing_machine_wants_its_words_in_order(words: list[str]) -> None:
    done = subprocess.run([sys.executable, str(REFUSING), *words], capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert done.stderr.startswith("usage: ")


@pytest.mark.usefixtures("free_root")
@pytest.mark.parametrize("lost", ["net_admin", "sys_admin"])
def test_a_root_without_a_capability_is_told_which(lost: str) -> None:
    found = examined("setpriv", f"--bounding-set=-{lost}", "--")

    assert f"root lacks {lost.upper()}" in found["private network"].seen
    assert f"--cap-add={lost.upper()}" in found["private network"].cure


@pytest.mark.usefixtures("free_root")
def test_the_capabilities_of_the_cure_suffice_for_a_root_in_a_container(here: tuple[Finding, ...]) -> None:
    # The fourteen that Docker leaves a container (moby/moby: oci/caps/defaults.go), and the two that are added.
    kept = (
        "chown dac_override fsetid fowner mknod net_raw setgid setuid setfcap setpcap net_bind_service sys_chroot kill"
    )
    kept += " audit_write sys_admin net_admin"
    options = ",".join(["-all", *(f"+{name}" for name in kept.split())])

    found = examined("setpriv", f"--bounding-set={options}", "--")

    assert {name for name, f in found.items() if f.ok} == {f.name for f in here if f.ok} - {"io_uring"} | (
        {"io_uring"} if found["io_uring"].ok else set()
    )


@pytest.mark.usefixtures("free_root")
@pytest.mark.parametrize(
    "mask",
    ["mount --bind /dev/null /proc/keys", "mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys"],
)
def test_a_masked_proc_is_named_and_cured(here: tuple[Finding, ...], mask: str) -> None:
    if not by_name(here)["bubblewrap"].ok or not Path("/proc/keys").exists():
        pytest.skip("bubblewrap does not work here, masked or not")

    found = examined("unshare", "-m", "sh", "-c", f'{mask} && exec "$@"', "sh")

    assert "Can't mount proc" in found["bubblewrap"].seen
    assert "/proc/" in found["bubblewrap"].seen
    assert "masked" in found["bubblewrap"].seen
    assert "systempaths=unconfined" in found["bubblewrap"].cure
    assert found["private network"].ok


def test_a_root_with_one_user_id_is_told_to_be_somebody_else(here: tuple[Finding, ...]) -> None:
    if subprocess.run(["unshare", "-Ur", "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("user namespaces are refused here")

    found = examined("unshare", "-Ur")

    for name in ("bubblewrap", "strace"):
        if by_name(here)[name].ok:
            assert not found[name].ok
            assert "ordinary user" in found[name].cure


def test_few_descriptors_are_seen_with_what_they_cost() -> None:
    found = examined("sh", "-c", 'ulimit -n 2000 && exec "$@"', "sh")

    assert found["open files"].seen.startswith("2,000 of 10,300")
    assert "2,300 the checks that hold thousands are unmeasured" in found["open files"].costs
    assert "nofile=20000:20000" in found["open files"].cure


def test_a_doctor_that_is_traced_itself_cannot_trace(here: tuple[Finding, ...]) -> None:
    strace = find_program("strace")
    if strace is None or not by_name(here)["strace"].ok:
        pytest.skip("nothing can be traced here")

    found = examined(strace, "-f", "--seccomp-bpf", "-o", os.devnull, "-e", "trace=reboot", "--")

    assert not found["strace"].ok
    assert "traced itself" in found["strace"].seen
    assert found["strace"].cure == "grade outside of strace or the debugger"


def test_one_processor_is_only_worth_a_note() -> None:
    one = {min(os.sched_getaffinity(0))}

    def probe() -> Finding:
        os.sched_setaffinity(0, one)
        return measuring.probe_processors(len(os.sched_getaffinity(0)))

    finding = in_a_child("processors", probe)

    assert (finding.ok, finding.seen) == (False, "1")
    assert finding.is_note


@pytest.mark.usefixtures("free_root")
def test_without_proc_no_childs_descriptors_are_seen() -> None:
    code = "from grader.doctor import finding, measuring; print(finding.to_json([measuring.probe_psutil()]))"

    finding = examined("unshare", "-m", "sh", "-c", 'mount -t tmpfs none /proc && exec "$@"', "sh", code=code)["psutil"]

    assert not finding.ok
    assert "descriptors" in finding.costs
    assert finding.cure.startswith("sudo mount ")


def test_a_system_that_is_not_linux_is_told_the_container_to_use() -> None:
    # Loaded on Linux, the libraries would not load a second time as another system's.
    code = (
        "import sys, psutil, tempfile, rich.console, rich.text\n"
        "import grader.report.model, grader.measure.vitals, grader.measure.strace\n"
        "sys.platform = 'darwin'\n"
        "sys.modules['grader.box.kernel'] = sys.modules['grader.box.levels'] = None\n" + EXAMINE
    )
    found = examined(code=code)

    assert list(found) == ["system"]
    assert (found["system"].ok, found["system"].seen) == (False, "darwin")
    assert found["system"].costs == "Nothing can be graded."
    assert found["system"].cure in NOT_LINUX
    assert "python:3.12-bookworm" in NOT_LINUX


# --- a probe in a process of its own ------------------------------------------------------------------------------


def test_a_probe_that_is_killed_is_a_finding() -> None:
    def probe() -> Finding:
        os.kill(os.getpid(), signal.SIGSYS)  # as a filter that kills does
        raise AssertionError("still alive")

    finding = in_a_child("io_uring", probe)

    assert (finding.ok, finding.seen) == (False, "the probe was ended by SIGSYS")
    assert finding.costs == "Checks that need the kernel's io_uring are unmeasured."


def test_a_probe_that_ends_without_an_answer_is_a_finding() -> None:
    def probe() -> Finding:
        os._exit(7)

    finding = in_a_child("kernel", probe)

    assert (finding.ok, finding.seen) == (False, "the probe was ended with exit status 7")


def test_a_probe_that_hangs_is_a_finding_and_nothing_of_it_is_left(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)

    def probe() -> Finding:
        with fifo.open("wb"):  # held open by the probe and by its child
            subprocess.run(["sh", "-c", "while :; do sleep 1000; done"], check=False)
        raise AssertionError("it ended")

    reading = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        finding = in_a_child("strace", probe, deadline_s=0.5)
        end = os.read(reading, 1)
    finally:
        os.close(reading)

    assert (finding.ok, finding.seen) == (False, "the probe did not end in 0.5 s")
    assert end == b""


def test_a_probe_that_raises_says_what() -> None:
    def probe() -> Finding:
        raise FileNotFoundError("no usable temporary folder")

    finding = in_a_child("free space", probe)

    assert (finding.ok, finding.seen) == (
        False,
        "the probe failed: FileNotFoundError: no usable temporary folder",
    )
    assert finding.cure


def test_where_no_process_can_be_started_that_is_the_finding() -> None:
    def probe() -> Finding:
        if AS_ROOT:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
        return in_a_child("system", lambda: isolating.probe_system("linux"))

    finding = in_a_child("system", probe)

    assert not finding.ok
    assert finding.seen == f"no process can be started: {os.strerror(errno.EAGAIN)}"
    assert "--nproc" in finding.cure


# --- other machines, probe by probe -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("release", "ok"),
    [("6.18.44", True), ("5.13.0-generic", True), ("5.10.0-30-amd64", False), ("4.4.0-Microsoft", False)],
)
def test_a_kernel_is_old_when_it_has_no_landlock(release: str, ok: bool) -> None:
    finding = isolating.probe_kernel(release)

    assert (finding.ok, finding.seen) == (ok, release)
    assert ok or "5.13" in finding.cure


def test_an_old_python_is_refused() -> None:
    finding = isolating.probe_python((3, 10), Path(sys.executable))

    assert not finding.ok
    assert "python3.11" in finding.cure


def test_an_interpreter_that_is_gone_cannot_start_a_submission(tmp_path: Path) -> None:
    finding = isolating.probe_python((3, 11), tmp_path / "python")

    assert not finding.ok
    assert "does not start" in finding.seen
    assert str(tmp_path) in finding.seen
    assert finding.cure == "make clean && make PYTHON=/usr/bin/python3"


def test_an_interpreter_that_needs_its_environment_cannot_start_a_submission(tmp_path: Path) -> None:
    missing = "libpython3.11.so.1.0: cannot open shared object file"
    shim = program(tmp_path, f'test -n "$LD_LIBRARY_PATH" || {{ echo "{missing}"; exit 127; }}')

    finding = isolating.probe_python((3, 11), Path(shim))

    assert not finding.ok
    assert missing in finding.seen


CONTAINER = {".dockerenv": ""}
FILTERED = {"proc/self/status": "Seccomp:\t2\nTracerPid:\t0\nCapEff:\t000001ffffffffff"}
UNFILTERED = {"proc/self/status": "Seccomp:\t0\nTracerPid:\t0\nCapEff:\t000001ffffffffff"}
APPARMOR = "kernel.apparmor_restrict_unprivileged_userns"


@pytest.mark.parametrize(
    ("files", "reason", "cure"),
    [
        ({f"proc/sys/{APPARMOR.replace('.', '/', 1)}": "1"}, f"{APPARMOR} is 1", f"sudo sysctl -w {APPARMOR}=0"),
        (
            {"proc/sys/user/max_user_namespaces": "0"},
            "user.max_user_namespaces is 0",
            "sudo sysctl -w user.max_user_namespaces=10000",
        ),
        (
            {"proc/sys/kernel/unprivileged_userns_clone": "0"},
            "kernel.unprivileged_userns_clone is 0",
            "sudo sysctl -w kernel.unprivileged_userns_clone=1",
        ),
        (
            {"proc/sys/user/max_net_namespaces": "0"},
            "user.max_net_namespaces is 0",
            "sudo sysctl -w user.max_net_namespaces=10000",
        ),
        (FILTERED, "a system call filter", "docker run --cap-add=SYS_ADMIN"),
        (CONTAINER | UNFILTERED, "looks like a container", "docker run --cap-add=SYS_ADMIN"),
        (UNFILTERED, "Operation not permitted", "allow user namespaces on this machine"),
    ],
)
def test_a_refused_network_names_the_setting_that_refuses_it(
    other: Other, files: dict[str, str], reason: str, cure: str
) -> None:
    finding = isolating.probe_network("unshare: Operation not permitted", other(files), as_root=False)

    assert not finding.ok
    assert finding.seen.startswith("unshare: Operation not permitted")
    assert reason in finding.seen
    assert finding.cure.startswith(cure)


def test_a_container_is_told_that_its_host_holds_the_setting(other: Other) -> None:
    root = other(CONTAINER | {"proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1"})

    finding = isolating.probe_network("loopback in a network namespace: Permission denied", root, as_root=False)

    assert "set on the container's host" in finding.seen
    assert finding.cure == f"sudo sysctl -w {APPARMOR}=0"


def test_settings_for_users_without_rights_do_not_hinder_roots_network(other: Other) -> None:
    root = other(
        {"proc/sys/user/max_user_namespaces": "0", "proc/self/status": "Seccomp:\t0\nCapEff:\t00000000a80425fb"}
    )

    finding = isolating.probe_network("unshare: Operation not permitted", root, as_root=True)

    assert "root lacks NET_ADMIN and SYS_ADMIN" in finding.seen
    assert finding.cure.startswith("docker run ")


def test_bubblewrap_meets_the_users_settings_even_when_root_grades(open_folder: Path, other: Other) -> None:
    refused = program(open_folder, "echo 'bwrap: setting up uid map: Permission denied' >&2; exit 1")
    root = other({"proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1"})

    finding = in_a_child("bubblewrap", lambda: isolating.probe_bwrap(refused, root))

    assert finding.seen == f"bwrap: setting up uid map: Permission denied ({APPARMOR} is 1)"
    assert finding.cure == f"sudo sysctl -w {APPARMOR}=0"


def test_missing_programs_are_to_be_installed(tmp_path: Path) -> None:
    found = by_name(examine(path=str(tmp_path)))

    for name, package in (("bubblewrap", "bubblewrap"), ("strace", "strace")):
        assert (found[name].ok, found[name].seen) == (False, "not installed")
        assert found[name].cure == f"sudo apt-get install -y {package}"
    assert "unmeasured" in found["strace"].costs
    assert "boxed" in found["bubblewrap"].costs
    assert not isolation_possible(tuple(found.values()))


def test_a_bubblewrap_that_is_too_old_is_told_the_version_it_needs(open_folder: Path) -> None:
    old = program(open_folder, "echo 'bwrap: Unknown option --disable-userns' >&2; exit 1")

    finding = in_a_child("bubblewrap", lambda: isolating.probe_bwrap(old, Path("/")))

    assert finding.seen == "bwrap: Unknown option --disable-userns"
    assert "0.8" in finding.cure


def test_a_missing_libseccomp_is_to_be_installed() -> None:
    finding = isolating.probe_libseccomp(None)

    assert (finding.ok, finding.cure) == (False, "sudo apt-get install -y libseccomp2")


@pytest.mark.parametrize(
    ("answer", "seen", "cure"),
    [
        (-errno.ENOSYS, "ENOSYS", "CONFIG_SECURITY_LANDLOCK"),
        (-errno.EOPNOTSUPP, "(EOPNOTSUPP)", "lsm="),
        (-errno.EPERM, "EPERM", "docker run "),
        (-errno.EINVAL, "EINVAL", "CONFIG_SECURITY_LANDLOCK"),
    ],
)
def test_a_kernel_without_landlock_says_what_to_change(answer: int, seen: str, cure: str) -> None:
    finding = isolating.probe_landlock(answer, answer)

    assert not finding.ok
    assert cure in finding.cure
    assert seen in finding.seen or errno.errorcode[-answer] in finding.seen


@pytest.mark.parametrize(
    ("errata", "seen"),
    [
        pytest.param(0b101, "1, 3", id="some"),
        pytest.param(0, "none", id="none"),
        pytest.param(-errno.EINVAL, "unknown, as the kernel does not tell them", id="a kernel before they were told"),
    ],
)
def test_landlocks_version_and_errata_are_told(errata: int, seen: str) -> None:
    finding = isolating.probe_landlock(4, errata)

    assert (finding.ok, finding.seen) == (True, f"version 4 of the interface; mended errata: {seen}")


@pytest.mark.parametrize(
    ("release", "ok"),
    [
        pytest.param("6.1.0-42-amd64", True, id="older"),
        pytest.param("7.0.3", True, id="of that age"),
        pytest.param("7.1.0-rc1", False, id="newer"),
        pytest.param("10.0", False, id="of another decade"),
        pytest.param("unheard of", True, id="that does not say"),
    ],
)
def test_the_filters_age_is_told_and_a_newer_kernel_is_noted(release: str, ok: bool) -> None:
    finding = isolating.probe_filter_age(release)

    assert finding.ok is ok
    assert finding.seen.startswith("knows the calls of Linux up to 7.0 (rseq_slice_yield, 471)")
    assert finding.is_note  # a box is as tight as on an older one
    assert ok or finding.seen.endswith(f"; this kernel is {release}")


PTRACE_REFUSED = "echo 'strace: ptrace(PTRACE_TRACEME, ...): Operation not permitted' >&2; exit 1"


@pytest.mark.parametrize(
    ("files", "reason", "cure"),
    [
        ({"proc/sys/kernel/yama/ptrace_scope": "2"}, "ptrace_scope is 2", "sudo sysctl -w kernel.yama.ptrace_scope=1"),
        (
            {"proc/sys/kernel/yama/ptrace_scope": "3"},
            "ptrace_scope is 3",
            "set kernel.yama.ptrace_scope=1 in /etc/sysctl",
        ),
        ({"proc/self/status": "TracerPid:\t12"}, "traced itself", "grade outside of strace"),
        (FILTERED | {"proc/sys/kernel/yama/ptrace_scope": "1"}, "system call filter", "docker run "),
        (UNFILTERED, "PTRACE_TRACEME", "allow ptrace on this machine"),
    ],
)
def test_a_refused_ptrace_names_who_refuses_it(
    open_folder: Path, other: Other, files: dict[str, str], reason: str, cure: str
) -> None:
    finding = measuring.probe_strace(program(open_folder, PTRACE_REFUSED), open_folder, other(files))

    assert not finding.ok
    assert reason in finding.seen
    assert finding.cure.startswith(cure)


def test_a_strace_that_is_too_old_is_told_the_version_it_needs(open_folder: Path) -> None:
    old = program(open_folder, "echo \"strace: unrecognized option '--seccomp-bpf'\" >&2; exit 1")

    finding = measuring.probe_strace(old, open_folder, Path("/"))

    assert "unrecognized option" in finding.seen
    assert "5.3" in finding.cure


def test_an_empty_trace_is_not_taken_for_tracing(open_folder: Path, other: Other) -> None:
    finding = measuring.probe_strace(program(open_folder, "exit 0"), open_folder, other(UNFILTERED))

    assert not finding.ok
    assert "empty" in finding.seen


@pytest.mark.skipif(not AS_ROOT, reason="a folder of one's own is not closed to oneself")
def test_a_trace_that_cannot_be_written_is_the_folders_fault(here: tuple[Finding, ...], tmp_path: Path) -> None:
    strace = find_program("strace")
    if strace is None or not by_name(here)["strace"].ok:
        pytest.skip("nothing can be traced here")

    finding = measuring.probe_strace(strace, tmp_path, Path("/"))  # pytest's folders are closed to other users

    assert "fopen" in finding.seen
    assert finding.cure == "export TMPDIR=/tmp"


@pytest.mark.parametrize(
    ("answer", "files", "reason", "cure"),
    [
        (
            -errno.EPERM,
            {"proc/sys/kernel/io_uring_disabled": "2"},
            "io_uring_disabled is 2",
            "sudo sysctl -w kernel.io_",
        ),
        (
            -errno.EPERM,
            {"proc/sys/kernel/io_uring_disabled": "1"},
            "io_uring_disabled is 1",
            "sudo sysctl -w kernel.io_",
        ),
        (-errno.EPERM, FILTERED, "a system call filter", "docker run "),
        (-errno.ENOSYS, FILTERED, "a system call filter", "docker run "),
        (-errno.ENOSYS, UNFILTERED, "ENOSYS", "boot a kernel built with CONFIG_IO_URING=y"),
        (-errno.ENOMEM, UNFILTERED, "ENOMEM", "sudo prlimit --pid $$ --memlock=unlimited"),
    ],
)
def test_a_refused_ring_names_who_refuses_it(
    other: Other, answer: int, files: dict[str, str], reason: str, cure: str
) -> None:
    finding = measuring.probe_io_uring(answer, other(files))

    assert not finding.ok
    assert reason in finding.seen
    assert finding.cure.startswith(cure)


@pytest.mark.parametrize(("limit", "ok"), [(10_300, True), (10_299, False), (1_024, False)])
def test_the_largest_crowd_decides_how_many_descriptors_are_enough(other: Other, limit: int, ok: bool) -> None:
    assert measuring.probe_open_files(limit, other({})).ok is ok
    assert measuring.probe_open_files(limit, other(CONTAINER)).cure.startswith("" if ok else "docker run --ulimit ")


@pytest.mark.parametrize(
    ("somaxconn", "private", "cure"),
    [
        ("4096", False, ""),
        ("128", False, "sudo sysctl -w net.core.somaxconn=4096"),
        ("128", True, "boot Linux 5.4 or newer"),
    ],
)
def test_a_short_backlog_is_mended_where_it_is_set(other: Other, somaxconn: str, private: bool, cure: str) -> None:
    finding = measuring.probe_backlog(other({"proc/sys/net/core/somaxconn": somaxconn}), private=private)

    assert (finding.ok, finding.cure) == (cure == "", cure)


def test_a_backlog_that_nobody_tells_is_not_taken_for_long(other: Other) -> None:
    assert measuring.probe_backlog(other({}), private=False).seen == "net.core.somaxconn is unknown"


@pytest.mark.parametrize(
    ("words", "ports", "ok"),
    [
        ("32768\t60999", "28,232", True),
        ("50000\t60999", "11,000", True),
        ("50001\t60999", "10,999", False),
        ("", "0", False),
    ],
)
def test_there_must_be_a_port_for_every_connection(other: Other, words: str, ports: str, ok: bool) -> None:
    finding = measuring.probe_ports(other({"proc/sys/net/ipv4/ip_local_port_range": words}), private=False)

    assert finding.ok is ok
    assert finding.seen.startswith(ports)
    assert finding.seen.endswith("in the host's network")


def test_a_closed_temporary_folder_is_no_place_for_roots_boxes(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    (closed / "inner").mkdir(parents=True)
    closed.chmod(0o700)

    finding = isolating.probe_temporary_folder(closed / "inner", as_root=True)

    assert not finding.ok
    assert finding.seen.endswith("is closed to the user that boxes run as")
    assert finding.cure == "export TMPDIR=/tmp"
    assert isolating.probe_temporary_folder(closed / "inner", as_root=False).ok


def test_a_temporary_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    finding = isolating.probe_temporary_folder(tmp_path / "absent", as_root=False)

    assert (finding.ok, finding.seen) == (False, f"{tmp_path / 'absent'} cannot be written to")


@pytest.mark.parametrize(("free_mb", "ok"), [(256, True), (255, False)])
def test_a_full_disk_is_seen_before_it_cuts_a_trace(tmp_path: Path, free_mb: int, ok: bool) -> None:
    finding = measuring.probe_free_space(tmp_path, free_mb)

    assert finding.ok is ok
    assert str(tmp_path) in finding.seen
    assert finding.cure == ("" if ok else "export TMPDIR=/var/tmp")


@pytest.mark.parametrize(
    ("files", "seen"),
    [
        (
            {"proc/self/cgroup": "0::/mine", "sys/fs/cgroup/cgroup.controllers": "memory", "sys/fs/cgroup/mine/x": ""},
            "2",
        ),
        ({"proc/self/cgroup": "4:memory:/mine\n0::/", "sys/fs/cgroup/memory/mine/x": ""}, "1"),
        ({"proc/self/cgroup": "5:cpu,memory:/\n", "sys/fs/cgroup/memory/x": ""}, "1"),
    ],
)
def test_both_versions_of_cgroups_are_recognised(other: Other, files: dict[str, str], seen: str) -> None:
    finding = measuring.probe_cgroup(other(files))

    assert (finding.ok, finding.seen) == (True, f"version {seen}, writable")


def test_a_cgroup_of_somebody_else_is_not_writable(other: Other) -> None:
    root = other({"proc/self/cgroup": "0::/its", "sys/fs/cgroup/cgroup.controllers": "", "sys/fs/cgroup/its/x": ""})
    (root / "sys/fs/cgroup/its").chmod(0o555)

    def probe() -> Finding:
        if AS_ROOT:  # root may write where others may not
            for place in root.resolve().parents:
                if place.stat().st_mode & 0o005 != 0o005:
                    place.chmod(0o755)
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        return measuring.probe_cgroup(root)

    assert in_a_child("cgroup", probe).seen == "version 2, not writable"


def test_no_cgroup_at_all_is_only_worth_a_note(other: Other) -> None:
    finding = measuring.probe_cgroup(other({}))

    assert (finding.ok, finding.seen) == (False, "none in sight")
    assert finding.is_note


# --- on a terminal ------------------------------------------------------------------------------------------------


def shown(findings: Sequence[Finding], width: int = 80) -> str:
    stream = StringIO()
    show(Console(file=stream, width=width, color_system=None, markup=False, highlight=False), findings)
    return stream.getvalue()


def lacking(**changes: Any) -> tuple[Finding, ...]:
    """A machine where all is well but for one thing."""
    names = ("private network", "strace", "cgroup")
    costs = {"cgroup": "it is only a note."}
    whole = [Finding(name=n, ok=True, seen="there", costs=costs.get(n, "Much."), cure="") for n in names]
    return tuple(dataclasses.replace(f, ok=False, **changes) if f.name == changes["name"] else f for f in whole)


@pytest.mark.parametrize("width", [40, 80, 100])
def test_what_is_shown_fits_the_console_and_needs_no_colour(here: tuple[Finding, ...], width: int) -> None:
    refused = [dataclasses.replace(f, ok=False, seen=f.seen + " but refused" * 20, cure=DOCKER) for f in here]

    for findings in (here, refused):
        text = shown(findings, width)

        lines = [line for line in text.splitlines() if "--" not in line]  # no word of a command is ever cut in two
        assert max(map(cell_len, lines if width < 80 else text.splitlines())) <= width
        assert "\x1b" not in text
        assert all(finding.name in text for finding in findings)


def test_a_lack_is_shown_with_what_it_costs_and_its_cure() -> None:
    lines = shown(lacking(name="strace", seen="not installed", cure="sudo apt-get install -y strace")).splitlines()

    assert lines[1:4] == [
        "LACKS  strace           not installed",
        "       costs: Much.",
        "       cure:  sudo apt-get install -y strace",
    ]
    assert lines[0].startswith("ok     private network")
    assert lines[-1] == "Everything can be measured: no: strace"


def test_a_note_is_not_shown_as_a_lack() -> None:
    text = shown(lacking(name="cgroup", seen="none in sight", cure="make one"))

    assert "note   cgroup" in text
    assert "costs: it is only a note." in text
    assert "LACKS" not in text
    assert text.endswith("Everything can be measured: yes\n")


def test_whether_programs_can_be_boxed_is_said_at_the_end(here: tuple[Finding, ...]) -> None:
    whole = [dataclasses.replace(finding, ok=True, cure="") for finding in here]
    broken = [dataclasses.replace(f, ok=False, cure="x") if f.name == "landlock" else f for f in whole]

    assert "Programs can be boxed: yes\nEverything can be measured: yes\n" in shown(whole)
    assert "Programs can be boxed: no, for want of: landlock\nEverything can be measured: yes\n" in shown(broken)


def test_a_machine_that_is_not_linux_measures_nothing() -> None:
    text = shown([isolating.probe_system("darwin")])

    assert "LACKS  system  darwin" in text
    assert "Programs can be boxed: no, for want of: system\nEverything can be measured: no: system\n" in text


@pytest.mark.parametrize("cure", [DOCKER, CONTAINER_FOR_OTHERS, 'sudo sysctl -w a="1 2"'])
def test_a_long_cure_can_be_copied_into_a_shell(cure: str) -> None:
    lines = shown(lacking(name="strace", seen="refused", cure=cure)).splitlines()
    first = next(number for number, line in enumerate(lines) if "cure:" in line)
    last = next(number for number in range(first, len(lines)) if not lines[number].endswith("\\"))
    copied = "\n".join(lines[first : last + 1]).split("cure:", 1)[1]

    words = subprocess.run(
        ["sh", "-c", f'docker() {{ sudo "$@"; }}; sudo() {{ for word; do echo "$word"; done; }}\n{copied}'],
        env={"PWD": "/course"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()

    expected = [word.replace("$PWD", str(Path.cwd())) for word in shlex.split(cure)[1:]]
    assert [" ".join(word.split()) for word in words] == expected


def test_text_of_the_system_cannot_drive_the_terminal() -> None:
    text = shown(lacking(name="strace", seen="\x1b]0;title\x07 [bold]x[/bold]", cure="mend it"))

    assert "\x1b" not in text
    assert "[bold]x[/bold]" in text
