"""What this machine can measure and isolate, found out by trying it, before anything is graded. Knows what each
facility is for, what it costs to lack it and the one line that mends it; knows nothing of exercises or submissions.

A probe that changes its process, hangs or is killed does so in a process of its own (`in_a_child`). What a probe reads
is its argument, so that another machine can be put before it.

Sources: user_namespaces(7), ptrace(2), Documentation/admin-guide/LSM/Yama.rst and sysctl/kernel.rst of Linux,
landlock(7), io_uring_setup(2), bwrap(1), strace(1), the default seccomp profile of moby/moby.
"""

import contextlib
import ctypes
import dataclasses
import errno
import json
import os
import platform
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil
from rich.console import Console
from rich.text import Text

from grader.box import seccomp as call_filter
from grader.box.scratch import held_folder
from grader.errors import GraderError
from grader.measure import strace as tracer
from grader.measure import vitals
from grader.report.model import Machine
from grader.safe_text import safe_text

if sys.platform == "linux":  # elsewhere what these import is missing, and NOT_LINUX must still be said
    from grader.box import kernel
    from grader.box.limits import hard_open_files
    from grader.box.wall import base_interpreter

# /usr/bin first: on Ubuntu the AppArmor profile that lets bwrap work names /usr/bin/bwrap alone.
SYSTEM_PATH: Final = "/usr/bin:/bin:/usr/local/bin"

# Docker's profiles of seccomp and AppArmor refuse namespaces and mounts; Linux mounts no /proc in a user namespace
# while parts of the one in sight are masked; and root, who makes a network without a user namespace, needs one
# capability to unshare and one to bring loopback up.
_DOCKER_OPTIONS: Final = (
    "--cap-add=SYS_ADMIN --cap-add=NET_ADMIN --security-opt=seccomp=unconfined "
    "--security-opt=apparmor=unconfined --security-opt=systempaths=unconfined"
)
_DOCKER: Final = f"docker run {_DOCKER_OPTIONS} ..."
_CONTAINER: Final = (
    f'docker run -it --rm -v "$PWD":/course -w /course {_DOCKER_OPTIONS} python:3.12-bookworm '
    'sh -c "apt-get update && apt-get install -y strace bubblewrap && exec bash"'
)
NOT_LINUX: Final = (
    "grade counts Linux system calls, so it runs on Linux only. On macOS and Windows run it in a container; "
    f"in the course's folder, type:\n{_CONTAINER}"
)

_DEADLINE_S: Final = 60.0  # a way out of what hangs; every probe takes milliseconds
_OLDEST_PYTHON: Final = (3, 11)
_OLDEST_KERNEL: Final = (5, 13)  # the first with Landlock, without which no box is claimed
_OLDEST_BWRAP: Final = "0.8"  # the first with --disable-userns
_CROWD_FILES: Final = 10_300  # 10,000 connections and the interpreter's, pytest's and the judge's own
_FEWEST_FILES: Final = 2_300  # 2,000 connections: fewer say nothing about a crowd
_BACKLOG: Final = 4_096  # a crowd that overflows it connects by retransmission, a second and more each
_PORTS: Final = 11_000  # one for each connection of the largest crowd, and those that linger in TIME_WAIT
_FREE_MB: Final = 256  # the traces, log and files of some gradings at once
_NOBODY: Final = 65_534  # root starts boxes as a user without rights; any such user is refused alike
_TRUE: Final = "/bin/true"
_NETWORK_CAPABILITIES: Final = {"NET_ADMIN": 12, "SYS_ADMIN": 21}  # bits of CapEff: capability.h

_NO_BOX: Final = "No program can be boxed: other people's are not graded; your own run bare, never official."
_INFORMATION: Final = "information: "
_COSTS: Final[Mapping[str, str]] = {
    "system": "Nothing can be graded.",
    "kernel": _NO_BOX,
    "python": "No submission can be started, boxed or bare.",
    "private network": _NO_BOX,
    "bubblewrap": _NO_BOX,
    "libseccomp": _NO_BOX,
    "landlock": _NO_BOX,
    "filter": _INFORMATION + "calls that are newer than the kit answer ENOSYS in a box, as on an older kernel.",
    "temporary folder": _NO_BOX,
    "strace": "Checks that count system calls, or make some fail, are unmeasured.",
    "psutil": "Checks that count threads, processes, descriptors or memory are unmeasured.",
    "io_uring": "Checks that need the kernel's io_uring are unmeasured.",
    "open files": (
        f"Below {_CROWD_FILES:,} the largest crowds of connections are made smaller; "
        f"below {_FEWEST_FILES:,} the checks that hold thousands are unmeasured."
    ),
    "backlog": "Crowds of thousands connect by retransmission: checks that hold them are slow and may time out.",
    "ports": "Crowds of 10,000 run out of ports: checks that hold them cannot connect them all.",
    "free space": "A trace that a full disk cuts short leaves its check unmeasured.",
    "processors": _INFORMATION + "on one processor everything is measured, but it takes longer.",
    "cgroup": _INFORMATION + "memory is limited for each process of a submission, not for all of them together.",
}
_FOR_A_BOX: Final = frozenset({"system", "python"} | {name for name, costs in _COSTS.items() if costs == _NO_BOX})


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one probe found."""

    name: str
    ok: bool
    seen: str
    costs: str  # what it costs to lack it; begins with "information: " where grading does not depend on it
    cure: str  # one line to type or to change; empty when ok


def _found(name: str, seen: str) -> Finding:
    return Finding(name=name, ok=True, seen=seen, costs=_COSTS[name], cure="")


def _lacking(name: str, seen: str, cure: str) -> Finding:
    return Finding(name=name, ok=False, seen=seen, costs=_COSTS[name], cure=cure)


# --- all of them --------------------------------------------------------------------------------------------------


def examine(*, path: str = SYSTEM_PATH) -> tuple[Finding, ...]:
    """Try everything that grading uses, in some tenths of a second. A facility that is missing is a finding.

    Args:
        path: folders with strace and bwrap, separated by colons.
    """
    if sys.platform != "linux":
        return (probe_system(sys.platform),)
    root, as_root = Path("/"), os.geteuid() == 0
    probes: dict[str, Callable[[], Finding]] = {
        "system": lambda: probe_system(sys.platform),
        "kernel": lambda: probe_kernel(os.uname().release),
        "python": lambda: probe_python(sys.version_info[:2], base_interpreter()),
        "private network": lambda: probe_network(_private_network(), root, as_root=as_root),
        "bubblewrap": lambda: probe_bwrap(find_program("bwrap", path=path), root),
        "libseccomp": lambda: probe_libseccomp(call_filter.libseccomp()),
        "filter": lambda: probe_filter_age(os.uname().release),
        "landlock": lambda: probe_landlock(_landlock(_LANDLOCK_VERSION), _landlock(_LANDLOCK_ERRATA)),
        "temporary folder": lambda: probe_temporary_folder(_temporary(), as_root=as_root),
        "strace": lambda: probe_strace(find_program("strace", path=path), _temporary(), root),
        "psutil": probe_psutil,
        "io_uring": lambda: probe_io_uring(_io_uring(), root),
        "open files": lambda: probe_open_files(hard_open_files(), root),
        "backlog": lambda: probe_backlog(root, private=kernel.enter_private_network() is None),
        "ports": lambda: probe_ports(root, private=kernel.enter_private_network() is None),
        "free space": lambda: probe_free_space(_temporary(), shutil.disk_usage(_temporary()).free >> 20),
        "processors": lambda: probe_processors(len(os.sched_getaffinity(0))),
        "cgroup": lambda: probe_cgroup(root),
    }
    return tuple(in_a_child(name, probe) for name, probe in probes.items())


def in_a_child(name: str, probe: Callable[[], Finding], *, deadline_s: float = _DEADLINE_S) -> Finding:
    """The finding of one probe, made in a process of its own: what the probe changes ends with it, and that it raised,
    hung or was killed is a finding too."""
    reading, writing = os.pipe()
    try:
        child = _fork()
    except OSError as error:
        os.close(reading)
        os.close(writing)
        return _lacking(name, f"no process can be started: {error.strerror}", "sudo prlimit --pid $$ --nproc=unlimited")
    if child == 0:
        _answer(writing, name, probe)
    os.close(writing)
    try:
        answer = _read_all(reading, time.monotonic() + deadline_s)
    finally:
        os.close(reading)
        for kill in (os.kill, os.killpg):  # it leads a group of its own, unless it was killed before that
            with contextlib.suppress(ProcessLookupError, PermissionError):
                kill(child, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if answer:
        return Finding(**json.loads(answer))
    if answer is None:
        seen = f"the probe did not end in {deadline_s:g} s"
    else:
        how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit status {code}"
        seen = f"the probe was ended {how}"
    return _lacking(name, seen, "grade outside of the container or sandbox that does this")


def _fork() -> int:
    with warnings.catch_warnings():
        # Python 3.12 warns of a fork next to threads. The child takes no lock that one of them could hold.
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def _answer(writing: int, name: str, probe: Callable[[], Finding]) -> None:
    """The child's whole life."""
    try:
        os.setsid()
        try:
            finding = probe()
        except Exception as error:  # noqa: BLE001 whatever a strange machine raises was seen there
            cure = "mend what the message says; if it says nothing to you, report it as a bug"
            finding = _lacking(name, f"the probe failed: {type(error).__name__}: {error}", cure)
        os.write(writing, json.dumps(dataclasses.asdict(finding)).encode())
    finally:
        os._exit(0)


def _read_all(fd: int, until_s: float) -> bytes | None:
    """What is written until the other end closes; None when that takes too long."""
    data = b""
    while select.select([fd], [], [], max(0.0, until_s - time.monotonic()))[0]:
        piece = os.read(fd, 1 << 16)
        if not piece:
            return data
        data += piece
    return None


def machine(*, path: str = SYSTEM_PATH) -> Machine:
    """What a report says of the machine. Takes a few milliseconds: strace and bwrap are asked for their versions."""
    return Machine(
        kernel=os.uname().release,
        python=platform.python_version(),
        strace=_version(find_program("strace", path=path)),
        bwrap=_version(find_program("bwrap", path=path)),
        nofile=hard_open_files(),
    )


def find_program(name: str, *, path: str = SYSTEM_PATH) -> str | None:
    """The absolute path of a program, or None: a box has an empty environment."""
    found = shutil.which(name, path=path)
    return None if found is None else str(Path(found).absolute())


def isolation_possible(findings: Sequence[Finding]) -> bool:
    """Whether all that a box is made of is there. Each grading still proves its box from the inside."""
    return {finding.name for finding in findings if finding.ok} >= _FOR_A_BOX


def to_json(findings: Sequence[Finding]) -> str:
    """The findings as indented JSON, in the order they were made."""
    value = {
        "schema": "tracegrade/doctor/1",
        "isolation_possible": isolation_possible(findings),
        "findings": [dataclasses.asdict(finding) for finding in findings],
    }
    return json.dumps(value, indent=2)


# --- on a terminal ------------------------------------------------------------------------------------------------


def show(console: Console, findings: Sequence[Finding]) -> None:
    """One line a finding; below it, where something is lacking, what that costs and the cure. Nothing is said in colour
    alone, and what has to be typed can be copied: a line that is too long is continued with a backslash."""
    columns = max(len(finding.name) for finding in findings)
    for finding in findings:
        word, style = _word(finding)
        _put(console, Text.assemble((word.ljust(7), style), finding.name.ljust(columns), "  "), finding.seen)
        if not finding.ok:
            _put(console, Text(" " * 7 + "costs: "), finding.costs.removeprefix(_INFORMATION))
            _put(console, Text(" " * 7 + "cure:  "), finding.cure, typed=finding.cure.startswith(("sudo ", "docker ")))
    console.print()
    lacking = [finding.name for finding in findings if not finding.ok and finding.name in _FOR_A_BOX]
    box = "yes" if isolation_possible(findings) else f"no, for want of: {', '.join(lacking)}"
    _put(console, Text("Programs can be boxed: "), box)
    unmeasured = [finding.name for finding in findings if _word(finding)[0] == "LACKS" and finding.costs != _NO_BOX]
    _put(console, Text("Everything can be measured: "), "yes" if not unmeasured else f"no: {', '.join(unmeasured)}")


def _word(finding: Finding) -> tuple[str, str]:
    if finding.ok:
        return "ok", "green"
    return ("note", "none") if finding.costs.startswith(_INFORMATION) else ("LACKS", "bold red")


def _put(console: Console, head: Text, body: str, *, typed: bool = False) -> None:
    margin = head.cell_len
    room = max(10, console.width - margin - len(" \\"))
    text = " ".join(safe_text(body, max_line=1_000).split())
    if typed:  # a word that is cut in two is another command
        rows = textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False)
    else:
        rows = [row.plain.rstrip() for row in Text(text).wrap(console, room)]
    for number, row in enumerate(rows):
        more = " \\" if typed and number < len(rows) - 1 else ""
        console.print(Text.assemble(head if number == 0 else " " * margin, row, more), soft_wrap=True)


# --- what everything stands on ------------------------------------------------------------------------------------


def probe_system(name: str) -> Finding:
    """Linux at all. `name` is as in sys.platform."""
    return _found("system", "Linux") if name == "linux" else _lacking("system", name, _CONTAINER)


def probe_kernel(release: str) -> Finding:
    """The kernel's release, as uname(2) says it."""
    if (numbers := _linux_version(release)) is not None and numbers >= _OLDEST_KERNEL:
        return _found("kernel", release)
    return _lacking("kernel", release, "boot Linux 5.13 or newer, as Debian 12 and Ubuntu 22.04 have it")


def _linux_version(release: str) -> tuple[int, int] | None:
    found = re.match(r"(\d+)\.(\d+)", release)
    return (int(found[1]), int(found[2])) if found else None


def probe_python(version: tuple[int, int], interpreter: Path) -> Finding:
    """This Python's version, and whether the interpreter behind its virtual environment starts without any environment,
    as it must in a box."""
    seen = f"{version[0]}.{version[1]}, {interpreter}"
    if version < _OLDEST_PYTHON:
        return _lacking("python", seen, "make clean && make PYTHON=/usr/bin/python3.11")
    words = [str(interpreter), "-I", "-S", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    status, text = _run(words, as_nobody=False)
    if status == 0 and text == f"{version[0]}.{version[1]}":
        return _found("python", seen)
    return _lacking("python", f"{seen} does not start: {text}", "make clean && make PYTHON=/usr/bin/python3")


def _run(command: Sequence[str], *, as_nobody: bool) -> tuple[int, str]:
    """Exit status and output of a command. With `as_nobody` it runs as a box's processes do: never as root."""
    uid = _NOBODY if as_nobody and os.geteuid() == 0 else None
    try:
        done = subprocess.run(
            command,
            env={},
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_DEADLINE_S / 2,
            errors="backslashreplace",
            user=uid,
            group=uid,
            extra_groups=None if uid is None else [],
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as error:
        return -1, str(error)
    return done.returncode, done.stdout.strip()


def _version(program: str | None) -> str | None:
    status, text = (1, "") if program is None else _run([program, "--version"], as_nobody=False)
    numbers = re.search(r"\d+(?:\.\d+)+", text)
    return numbers[0] if numbers and status == 0 else None


# --- what a box is made of ----------------------------------------------------------------------------------------


def _private_network() -> str | None:
    """Enter a private network, as a judge does, and connect to oneself there. Changes this process.

    Returns:
        None, or the step that was refused and the system's word.
    """
    if refusal := kernel.enter_private_network():
        return refusal
    import socket

    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            socket.create_connection(server.getsockname(), timeout=_DEADLINE_S / 2).close()
    except OSError as error:
        return f"a connection over loopback: {error.strerror or error}"
    return None


def probe_network(refusal: str | None, root: Path, *, as_root: bool) -> Finding:
    """A network of the judge's own. `refusal` is the step that failed and the system's word."""
    if refusal is None:
        return _found("private network", "made, loopback is up")
    reason, cure = _why_no_namespaces(root, as_root=as_root)
    return _lacking("private network", _joined(refusal, reason), cure)


def probe_bwrap(program: str | None, root: Path) -> Finding:
    """bubblewrap, tried with the namespaces and mounts that a box has, by a user without rights."""
    if program is None:
        return _lacking("bubblewrap", "not installed", "sudo apt-get install -y bubblewrap")
    words = [program, "--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
    words += ["--disable-userns", "--uid", "1000", "--gid", "1000", "--cap-drop", "ALL", "--die-with-parent"]
    words += ["--new-session", "--ro-bind", "/usr", "/usr"]
    for name in ("/bin", "/lib", "/lib32", "/lib64", "/libx32"):
        words += ["--ro-bind-try", name, name]
    words += ["--proc", "/proc", "--dev", "/dev", "--size", "65536", "--tmpfs", "/tmp", "--remount-ro", "/", _TRUE]
    status, text = _run(words, as_nobody=True)
    if status == 0:
        return _found("bubblewrap", f"{_version(program)}, a box starts; {_OLDEST_BWRAP} or newer is needed")
    word = text.partition("\n")[0].partition(". See <")[0] or f"exit status {status}"
    if "nknown option" in word:
        return _lacking(
            "bubblewrap", word, f"install bubblewrap {_OLDEST_BWRAP} or newer: Debian 12 and Ubuntu 24.04 have it"
        )
    if status == -1:
        return _lacking("bubblewrap", word, "be an ordinary user, or a root with more than one user id")
    if "proc" in word and (masks := _mounts_below_proc(root)):
        reason = f"{masks[0]} is masked, as in a container, so Linux mounts no second /proc"
        return _lacking("bubblewrap", _joined(word, reason), _DOCKER)
    reason, cure = _why_no_namespaces(root, as_root=False)
    return _lacking("bubblewrap", _joined(word, reason), cure)


def _mounts_below_proc(root: Path) -> list[str]:
    rows = (row.split() for row in _read(root, "proc/self/mountinfo").splitlines())
    return sorted(row[4] for row in rows if len(row) > 4 and row[4].startswith("/proc/"))


def _why_no_namespaces(root: Path, *, as_root: bool) -> tuple[str, str]:
    """The likely reason and the cure: first the settings, which are certain, then the signs of a container."""
    settings = [("user/max_net_namespaces", "0", "10000")]
    if not as_root:
        settings += [
            ("user/max_user_namespaces", "0", "10000"),
            ("kernel/unprivileged_userns_clone", "0", "1"),
            ("kernel/apparmor_restrict_unprivileged_userns", "1", "0"),
        ]
    for name, refusing, allowing in settings:
        if _read(root, f"proc/sys/{name}") == refusing:
            setting = name.replace("/", ".")
            return _setting(root, setting, refusing), f"sudo sysctl -w {setting}={allowing}"
    if _status(root, "Seccomp") == "2":
        return "a system call filter, such as Docker's, refuses it", _DOCKER
    effective = int(_status(root, "CapEff") or "0", 16)
    lacking = [name for name, bit in _NETWORK_CAPABILITIES.items() if not effective >> bit & 1]
    if as_root and lacking:
        return f"root lacks {' and '.join(lacking)}, as in a container", _DOCKER
    if _in_container(root):
        return "this looks like a container", _DOCKER
    return "", "allow user namespaces on this machine: see user_namespaces(7)"


def probe_libseccomp(library: ctypes.CDLL | None) -> Finding:
    """The library that builds the system call filter, tried by building it."""
    if library is None:
        return _lacking("libseccomp", "not installed", "sudo apt-get install -y libseccomp2")
    library.seccomp_version.restype = ctypes.POINTER(ctypes.c_uint * 3)  # struct scmp_version: major, minor, micro
    version = ".".join(map(str, library.seccomp_version().contents))
    try:
        call_filter.program(library)
    except GraderError as error:
        return _lacking("libseccomp", f"{version}: {error}", "sudo apt-get install -y libseccomp2")
    return _found("libseccomp", f"{version}, the filter can be built")


def _system_call(number: int, *arguments: object) -> int:
    """The result of a system call, or the negative error number."""
    libc = ctypes.CDLL(None, use_errno=True)
    result = int(libc.syscall(ctypes.c_long(number), *arguments))
    return result if result >= 0 else -ctypes.get_errno()


def probe_filter_age(release: str) -> Finding:
    """Up to which Linux the filter's author knew the system calls, and whether this kernel is newer."""
    known = ".".join(map(str, call_filter.NEWEST_LINUX))
    newest = f"{call_filter.NEWEST_CALL}, {call_filter.NEWEST_NUMBER}"
    seen = f"knows the calls of Linux up to {known} ({newest})"
    if (numbers := _linux_version(release)) is None or numbers <= call_filter.NEWEST_LINUX:
        return _found("filter", seen)
    return _lacking("filter", f"{seen}; this kernel is {release}", "update the kit when there is a newer one")


# Flags of landlock_create_ruleset(2) that make no ruleset.
_LANDLOCK_VERSION, _LANDLOCK_ERRATA = 1, 2


def _landlock(flag: int) -> int:
    """What Landlock says of itself, or the negative error number."""
    create_ruleset = 444  # landlock_create_ruleset(2); the same number on every architecture
    return _system_call(create_ruleset, None, ctypes.c_size_t(0), ctypes.c_uint32(flag))


def probe_landlock(answer: int, errata: int) -> Finding:
    """Landlock.

    Args:
        answer: the version of its interface, or the negative error number.
        errata: the mended ones, a bit each; negative where the kernel cannot say.
    """
    cures = {
        -errno.ENOSYS: "boot a kernel built with CONFIG_SECURITY_LANDLOCK=y, as those of Debian and Ubuntu are",
        -errno.EOPNOTSUPP: "put landlock before the other names in lsm= on the kernel's command line, and reboot",
        -errno.EPERM: _DOCKER,
    }
    if answer > 0:
        mended = [str(bit + 1) for bit in range(max(0, errata).bit_length()) if errata >> bit & 1]
        word = "unknown, as the kernel does not tell them" if errata < 0 else ", ".join(mended) or "none"
        return _found("landlock", f"version {answer} of the interface; mended errata: {word}")
    return _lacking("landlock", _error_word(answer), cures.get(answer, cures[-errno.ENOSYS]))


def probe_temporary_folder(folder: Path, *, as_root: bool) -> Finding:
    """The folder that submissions are staged in. Root's boxes run as another user, who must get there."""
    cure = "export TMPDIR=/tmp"
    if not os.access(folder, os.W_OK | os.X_OK):
        return _lacking("temporary folder", f"{folder} cannot be written to", cure)
    for place in (folder.resolve(), *folder.resolve().parents) if as_root else ():
        if not place.stat().st_mode & 0o001:
            return _lacking("temporary folder", f"{place} is closed to the user that boxes run as", cure)
    return _found("temporary folder", str(folder))


# --- what measures ------------------------------------------------------------------------------------------------


def probe_strace(program: str | None, folder: Path, root: Path) -> Finding:
    """strace, tried with the options that count, by a user without rights: it must see a child's execve.

    Args:
        folder: where the trace is written for a moment.
    """
    if program is None:
        return _lacking("strace", "not installed", "sudo apt-get install -y strace")
    with held_folder(folder) as held:
        held.chmod(0o711)
        trace = held / "trial" / "trial.strace"
        trace.parent.mkdir(mode=0o700)
        if os.geteuid() == 0:
            with contextlib.suppress(OSError):  # a root without that user is told so when strace is to start as it
                os.chown(trace.parent, _NOBODY, _NOBODY)
        status, text = _run([*tracer.command(program, trace), _TRUE], as_nobody=True)
        calls = tracer.parse(trace.read_text(errors="replace")) if trace.exists() else []
    if status == 0 and any(call.name == "execve" for call in calls):
        return _found("strace", f"{_version(program)}, traces a child")
    word = text.partition("\n")[0] or f"the trace of a child is empty (exit status {status})"
    if "seccomp-bpf" in text and "option" in text:
        return _lacking("strace", word, "install strace 5.3 or newer: Debian 11 and Ubuntu 20.04 have it")
    if "fopen" in text:
        return _lacking("strace", word, "export TMPDIR=/tmp")
    if status == -1:
        return _lacking("strace", word, "be an ordinary user, or a root with more than one user id")
    reason, cure = _why_no_ptrace(root)
    return _lacking("strace", _joined(word, reason), cure)


def _why_no_ptrace(root: Path) -> tuple[str, str]:
    scope = _read(root, "proc/sys/kernel/yama/ptrace_scope")
    if scope == "2":
        return _setting(root, "kernel.yama.ptrace_scope", scope), "sudo sysctl -w kernel.yama.ptrace_scope=1"
    if scope == "3":  # Yama.rst: "once set, this sysctl value cannot be changed"
        cure = "set kernel.yama.ptrace_scope=1 in /etc/sysctl.d and reboot"
        return _setting(root, "kernel.yama.ptrace_scope", scope), cure
    if _status(root, "TracerPid") not in ("", "0"):
        return "this command is being traced itself", "grade outside of strace or the debugger"
    if _status(root, "Seccomp") == "2" or _in_container(root):
        return "a system call filter refuses it, as Docker's does on old hosts", _DOCKER
    return "", "allow ptrace on this machine: see ptrace(2)"


def probe_psutil() -> Finding:
    """psutil, tried on a child whose descriptors are known. Root's child is another user's, as a boxed program is."""
    expected = 5
    extra = [os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC) for _ in range(expected - 3)]
    uid, pipe = _NOBODY if os.geteuid() == 0 else None, subprocess.PIPE
    try:
        with subprocess.Popen(
            ["/bin/cat"], env={}, stdin=pipe, stdout=pipe, pass_fds=extra, user=uid, group=uid
        ) as child:
            assert child.stdin is not None  # pipes were asked for
            assert child.stdout is not None
            child.stdin.write(b"\n")
            child.stdin.flush()
            child.stdout.readline()  # by now its loader has closed what it opened
            seen = vitals.open_fds(child.pid)
        word = f"sees {seen} descriptors of a child that has {expected}"
    except (OSError, psutil.Error, vitals.Gone) as error:
        seen, word = 0, f"cannot look at a child: {error}"
    finally:
        for fd in extra:
            os.close(fd)
    if seen == expected:
        return _found("psutil", f"{psutil.__version__}, sees a child's descriptors")
    return _lacking("psutil", word, "sudo mount -o remount,hidepid=0 /proc")


def _io_uring() -> int:
    """A descriptor of a ring made by a user without rights, or the negative error number. Changes this process."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(_NOBODY)
        os.setuid(_NOBODY)
    io_uring_setup, entries, parameters_bytes = (
        425,
        1,
        120,
    )  # io_uring_setup(2); the same number on every architecture
    return _system_call(io_uring_setup, ctypes.c_uint32(entries), ctypes.create_string_buffer(parameters_bytes))


def probe_io_uring(answer: int, root: Path) -> Finding:
    """io_uring. `answer` is a descriptor or the negative error number."""
    if answer >= 0:
        return _found("io_uring", "a ring can be made")
    seen, disabled = (_error_word(answer), _read(root, "proc/sys/kernel/io_uring_disabled"))
    if disabled in ("1", "2"):
        reason = _setting(root, "kernel.io_uring_disabled", disabled)
        return _lacking("io_uring", _joined(seen, reason), "sudo sysctl -w kernel.io_uring_disabled=0")
    if answer == -errno.ENOMEM:
        return _lacking("io_uring", seen, "sudo prlimit --pid $$ --memlock=unlimited")
    if _status(root, "Seccomp") == "2" or _in_container(root):
        reason = "a system call filter, such as Docker's, refuses it"
        return _lacking("io_uring", _joined(seen, reason), _DOCKER)
    return _lacking("io_uring", seen, "boot a kernel built with CONFIG_IO_URING=y, as those of Debian and Ubuntu are")


def probe_open_files(hard_limit: int, root: Path) -> Finding:
    """The hard limit of open descriptors."""
    if hard_limit >= _CROWD_FILES:
        return _found("open files", f"{hard_limit:,}")
    inside = "docker run --ulimit nofile=20000:20000 ..."
    cure = inside if _in_container(root) else "sudo prlimit --pid $$ --nofile=20000:20000"
    return _lacking("open files", f"{hard_limit:,} of {_CROWD_FILES:,}", cure)


def probe_backlog(root: Path, *, private: bool) -> Finding:
    """The longest queue of connections that wait for accept. A private network has a setting of its own."""
    text = _read(root, "proc/sys/net/core/somaxconn")
    if text.isdecimal() and int(text) >= _BACKLOG:
        return _found("backlog", f"{int(text):,}")
    # The default of a new network is 4,096 from Linux 5.4 on, 128 before (listen(2)).
    cure = "boot Linux 5.4 or newer" if private else f"sudo sysctl -w net.core.somaxconn={_BACKLOG}"
    return _lacking("backlog", f"net.core.somaxconn is {text or 'unknown'}", cure)


def probe_ports(root: Path, *, private: bool) -> Finding:
    """The ports that clients are given. A private network has a setting of its own."""
    words = _read(root, "proc/sys/net/ipv4/ip_local_port_range").split()
    ports = int(words[1]) - int(words[0]) + 1 if len(words) == 2 and all(map(str.isdecimal, words)) else 0
    where = "in the private network" if private else "in the host's network"
    if ports >= _PORTS:
        return _found("ports", f"{ports:,} {where}")
    cure = 'sudo sysctl -w net.ipv4.ip_local_port_range="32768 60999"'
    return _lacking("ports", f"{ports:,} of {_PORTS:,} {where}", cure)


def probe_free_space(folder: Path, free_mb: int) -> Finding:
    """Room for traces, in MiB."""
    if free_mb >= _FREE_MB:
        return _found("free space", f"{free_mb:,} MiB in {folder}")
    return _lacking("free space", f"{free_mb:,} of {_FREE_MB} MiB in {folder}", "export TMPDIR=/var/tmp")


# --- for information ----------------------------------------------------------------------------------------------


def probe_processors(count: int) -> Finding:
    """The processors that this process may use."""
    if count > 1:
        return _found("processors", f"{count}")
    return _lacking("processors", "1", "give this machine, or container, a second processor")


def probe_cgroup(root: Path) -> Finding:
    """The version of cgroups, and whether a group of one's own could be made: it limits all of a process tree."""
    top = root / "sys/fs/cgroup"
    rows = [row.split(":", 2) for row in _read(root, "proc/self/cgroup").splitlines()]
    if (top / "cgroup.controllers").exists():
        version, paths = ("version 2", [top / path.lstrip("/") for number, _, path in rows if number == "0"])
    else:
        version = "version 1"
        paths = [top / "memory" / path.lstrip("/") for _, names, path in rows if "memory" in names.split(",")]
    paths = [path for path in paths if path.is_dir()]
    if paths and os.access(paths[0], os.W_OK):
        return _found("cgroup", f"{version}, writable")
    cure = "systemd-run --user --scope -p MemoryMax=2G grade ..."
    return _lacking("cgroup", f"{version}, not writable" if paths else "none in sight", cure)


# --- reading a machine --------------------------------------------------------------------------------------------


def _temporary() -> Path:
    return Path(tempfile.gettempdir())


def _read(root: Path, name: str) -> str:
    """A file below /proc or /sys, stripped; empty when it cannot be read."""
    try:
        return (root / name).read_text(errors="replace").strip()
    except OSError:
        return ""


def _status(root: Path, key: str) -> str:
    """A line of /proc/self/status; empty when there is none."""
    found = re.search(rf"^{key}:\s*(\S+)", _read(root, "proc/self/status"), re.MULTILINE)
    return found[1] if found else ""


def _in_container(root: Path) -> bool:
    """Docker and Podman each leave a file that says so."""
    return (root / ".dockerenv").exists() or (root / "run/.containerenv").exists()


def _setting(root: Path, name: str, value: str) -> str:
    """A container has these settings from its host, and must not write them."""
    return f"{name} is {value}" + (", which is set on the container's host" if _in_container(root) else "")


def _joined(word: str, reason: str) -> str:
    return f"{word} ({reason})" if reason else word


def _error_word(answer: int) -> str:
    return f"{os.strerror(-answer)} ({errno.errorcode.get(-answer, -answer)})"
