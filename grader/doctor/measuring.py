"""What measures: a tracer, what psutil sees, rings, room for crowds and traces; and what is only worth a note. Knows
how much of each the checks of a course need, and who refuses it.

Sources: ptrace(2), Documentation/admin-guide/LSM/Yama.rst and sysctl/kernel.rst of Linux, io_uring_setup(2), strace(1).
"""

import contextlib
import ctypes
import errno
import os
import subprocess
from pathlib import Path
from typing import Final

import psutil

from grader.box.scratch import held_folder
from grader.doctor.finding import CROWD_FILES, DOCKER, Finding, found, lacking
from grader.doctor.machine import (
    NOBODY,
    error_word,
    in_container,
    joined,
    read,
    run,
    setting_text,
    status_of,
    system_call,
    version,
)
from grader.measure import strace as tracer
from grader.measure import vitals

_BACKLOG: Final = 4_096  # a crowd that overflows it connects by retransmission, a second and more each
_PORTS: Final = 11_000  # one for each connection of the largest crowd, and those that linger in TIME_WAIT
_FREE_MB: Final = 256  # the traces, log and files of some gradings at once
_TRUE: Final = "/bin/true"


def probe_strace(program: str | None, folder: Path, root: Path) -> Finding:
    """strace, tried with the options that count, by a user without rights: it must see a child's execve.

    Args:
        folder: where the trace is written for a moment.
    """
    if program is None:
        return lacking("strace", "not installed", "sudo apt-get install -y strace")
    with held_folder(folder) as held:
        held.chmod(0o711)
        trace = held / "trial" / "trial.strace"
        trace.parent.mkdir(mode=0o700)
        if os.geteuid() == 0:
            with contextlib.suppress(OSError):  # a root without that user is told so when strace is to start as it
                os.chown(trace.parent, NOBODY, NOBODY)
        status, text = run([*tracer.command(program, trace), _TRUE], uid=NOBODY if os.geteuid() == 0 else None)
        calls = tracer.parse(trace.read_text(errors="replace")) if trace.exists() else []
    if status == 0 and any(call.name == "execve" for call in calls):
        return found("strace", f"{version(program)}, traces a child")
    word = text.partition("\n")[0] or f"the trace of a child is empty (exit status {status})"
    if "seccomp-bpf" in text and "option" in text:
        return lacking("strace", word, "install strace 5.3 or newer: Debian 11 and Ubuntu 20.04 have it")
    if "fopen" in text:
        return lacking("strace", word, "export TMPDIR=/tmp")
    if status == -1:
        return lacking("strace", word, "be an ordinary user, or a root with more than one user id")
    reason, cure = _why_no_ptrace(root)
    return lacking("strace", joined(word, reason), cure)


def _why_no_ptrace(root: Path) -> tuple[str, str]:
    scope = read(root, "proc/sys/kernel/yama/ptrace_scope")
    if scope == "2":
        return setting_text(root, "kernel.yama.ptrace_scope", scope), "sudo sysctl -w kernel.yama.ptrace_scope=1"
    if scope == "3":  # Yama.rst: "once set, this sysctl value cannot be changed"
        cure = "set kernel.yama.ptrace_scope=1 in /etc/sysctl.d and reboot"
        return setting_text(root, "kernel.yama.ptrace_scope", scope), cure
    if status_of(root, "TracerPid") not in ("", "0"):
        return "this command is being traced itself", "grade outside of strace or the debugger"
    if status_of(root, "Seccomp") == "2" or in_container(root):
        return "a system call filter refuses it, as Docker's does on old hosts", DOCKER
    return "", "allow ptrace on this machine: see ptrace(2)"


def probe_psutil() -> Finding:
    """psutil, tried on a child whose descriptors are known. Root's child is another user's, as a boxed program is."""
    expected = 5
    extra = [os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC) for _ in range(expected - 3)]
    uid, pipe = NOBODY if os.geteuid() == 0 else None, subprocess.PIPE
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
        return found("psutil", f"{psutil.__version__}, sees a child's descriptors")
    return lacking("psutil", word, "sudo mount -o remount,hidepid=0 /proc")


def io_uring() -> int:
    """A descriptor of a ring made by a user without rights, or the negative error number. Changes this process."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    io_uring_setup, entries, parameters_bytes = (
        425,
        1,
        120,
    )  # io_uring_setup(2); the same number on every architecture
    return system_call(io_uring_setup, ctypes.c_uint32(entries), ctypes.create_string_buffer(parameters_bytes))


def probe_io_uring(answer: int, root: Path) -> Finding:
    """io_uring. `answer` is a descriptor or the negative error number."""
    if answer >= 0:
        return found("io_uring", "a ring can be made")
    seen, disabled = (error_word(answer), read(root, "proc/sys/kernel/io_uring_disabled"))
    if disabled in ("1", "2"):
        reason = setting_text(root, "kernel.io_uring_disabled", disabled)
        return lacking("io_uring", joined(seen, reason), "sudo sysctl -w kernel.io_uring_disabled=0")
    if answer == -errno.ENOMEM:
        return lacking("io_uring", seen, "sudo prlimit --pid $$ --memlock=unlimited")
    if status_of(root, "Seccomp") == "2" or in_container(root):
        reason = "a system call filter, such as Docker's, refuses it"
        return lacking("io_uring", joined(seen, reason), DOCKER)
    return lacking("io_uring", seen, "boot a kernel built with CONFIG_IO_URING=y, as those of Debian and Ubuntu are")


def probe_open_files(hard_limit: int, root: Path) -> Finding:
    """The hard limit of open descriptors."""
    if hard_limit >= CROWD_FILES:
        return found("open files", f"{hard_limit:,}")
    inside = "docker run --ulimit nofile=20000:20000 ..."
    cure = inside if in_container(root) else "sudo prlimit --pid $$ --nofile=20000:20000"
    return lacking("open files", f"{hard_limit:,} of {CROWD_FILES:,}", cure)


def probe_backlog(root: Path, *, private: bool) -> Finding:
    """The longest queue of connections that wait for accept. A private network has a setting of its own."""
    text = read(root, "proc/sys/net/core/somaxconn")
    if text.isdecimal() and int(text) >= _BACKLOG:
        return found("backlog", f"{int(text):,}")
    # The default of a new network is 4,096 from Linux 5.4 on, 128 before (listen(2)).
    cure = "boot Linux 5.4 or newer" if private else f"sudo sysctl -w net.core.somaxconn={_BACKLOG}"
    return lacking("backlog", f"net.core.somaxconn is {text or 'unknown'}", cure)


def probe_ports(root: Path, *, private: bool) -> Finding:
    """The ports that clients are given. A private network has a setting of its own."""
    words = read(root, "proc/sys/net/ipv4/ip_local_port_range").split()
    ports = int(words[1]) - int(words[0]) + 1 if len(words) == 2 and all(map(str.isdecimal, words)) else 0
    where = "in the private network" if private else "in the host's network"
    if ports >= _PORTS:
        return found("ports", f"{ports:,} {where}")
    cure = 'sudo sysctl -w net.ipv4.ip_local_port_range="32768 60999"'
    return lacking("ports", f"{ports:,} of {_PORTS:,} {where}", cure)


def probe_free_space(folder: Path, free_mb: int) -> Finding:
    """Room for traces, in MiB."""
    if free_mb >= _FREE_MB:
        return found("free space", f"{free_mb:,} MiB in {folder}")
    return lacking("free space", f"{free_mb:,} of {_FREE_MB} MiB in {folder}", "export TMPDIR=/var/tmp")


# --- for information ----------------------------------------------------------------------------------------------


def probe_processors(count: int) -> Finding:
    """The processors that this process may use."""
    if count > 1:
        return found("processors", f"{count}")
    return lacking("processors", "1", "give this machine, or container, a second processor")


def probe_cgroup(root: Path) -> Finding:
    """The version of cgroups, and whether a group of one's own could be made: it limits all of a process tree."""
    top = root / "sys/fs/cgroup"
    rows = [row.split(":", 2) for row in read(root, "proc/self/cgroup").splitlines()]
    if (top / "cgroup.controllers").exists():
        version, paths = ("version 2", [top / path.lstrip("/") for number, _, path in rows if number == "0"])
    else:
        version = "version 1"
        paths = [top / "memory" / path.lstrip("/") for _, names, path in rows if "memory" in names.split(",")]
    paths = [path for path in paths if path.is_dir()]
    if paths and os.access(paths[0], os.W_OK):
        return found("cgroup", f"{version}, writable")
    cure = "systemd-run --user --scope -p MemoryMax=2G grade ..."
    return lacking("cgroup", f"{version}, not writable" if paths else "none in sight", cure)
