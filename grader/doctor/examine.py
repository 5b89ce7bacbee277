"""All that this machine can do for gradings, found out by trying it before anything is graded. Knows which probes
there are, and that one which changes its process, hangs or is killed must do so in a process of its own
(`in_a_child`). What a probe reads is its argument, so that another machine can be put before it.
"""

import contextlib
import dataclasses
import json
import os
import select
import shutil
import signal
import sys
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

from grader.box import seccomp as call_filter
from grader.box.limits import hard_open_files
from grader.doctor import isolating, measuring
from grader.doctor.finding import Finding, lacking
from grader.doctor.machine import DEADLINE_S, temporary_folder
from grader.doctor.programs import SYSTEM_PATH, find_program

if sys.platform == "linux":  # elsewhere what these import is missing, and NOT_LINUX must still be said
    from grader.box import kernel
    from grader.box.levels import LEVELS
    from grader.box.wall import base_interpreter


def examine(*, path: str = SYSTEM_PATH) -> tuple[Finding, ...]:
    """Try everything that grading uses, in some tenths of a second. A facility that is missing is a finding.

    Args:
        path: folders with strace and bwrap, separated by colons.
    """
    if sys.platform != "linux":
        return (isolating.probe_system(sys.platform),)
    bwrap, root, as_root = find_program("bwrap", path=path), Path("/"), os.geteuid() == 0
    probes: dict[str, Callable[[], Finding]] = {
        "system": lambda: isolating.probe_system(sys.platform),
        "kernel": lambda: isolating.probe_kernel(os.uname().release),
        "python": lambda: isolating.probe_python(sys.version_info[:2], base_interpreter()),
        "private network": lambda: isolating.probe_network(isolating.private_network(), root, as_root=as_root),
        "bubblewrap": lambda: isolating.probe_bwrap(bwrap, root),
        "libseccomp": lambda: isolating.probe_libseccomp(call_filter.libseccomp()),
        "filter": lambda: isolating.probe_filter_age(os.uname().release),
        "landlock": lambda: isolating.probe_landlock(
            isolating.landlock(isolating.LANDLOCK_VERSION), isolating.landlock(isolating.LANDLOCK_ERRATA)
        ),
        "temporary folder": lambda: isolating.probe_temporary_folder(temporary_folder(), as_root=as_root),
        **{level.name: partial(isolating.probe_level, level, bwrap) for level in LEVELS},
        "strace": lambda: measuring.probe_strace(find_program("strace", path=path), temporary_folder(), root),
        "psutil": measuring.probe_psutil,
        "io_uring": lambda: measuring.probe_io_uring(measuring.io_uring(), root),
        "open files": lambda: measuring.probe_open_files(hard_open_files(), root),
        "backlog": lambda: measuring.probe_backlog(root, private=kernel.enter_private_network() is None),
        "ports": lambda: measuring.probe_ports(root, private=kernel.enter_private_network() is None),
        "free space": lambda: measuring.probe_free_space(
            temporary_folder(), shutil.disk_usage(temporary_folder()).free >> 20
        ),
        "processors": lambda: measuring.probe_processors(len(os.sched_getaffinity(0))),
        "cgroup": lambda: measuring.probe_cgroup(root),
    }
    return tuple(in_a_child(name, probe) for name, probe in probes.items())


def in_a_child(name: str, probe: Callable[[], Finding], *, deadline_s: float = DEADLINE_S) -> Finding:
    """The finding of one probe, made in a process of its own: what the probe changes ends with it, and that it raised,
    hung or was killed is a finding too."""
    reading, writing = os.pipe()
    try:
        child = _fork()
    except OSError as error:
        os.close(reading)
        os.close(writing)
        return lacking(name, f"no process can be started: {error.strerror}", "sudo prlimit --pid $$ --nproc=unlimited")
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
    return lacking(name, seen, "grade outside of the container or sandbox that does this")


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
            finding = lacking(name, f"the probe failed: {type(error).__name__}: {error}", cure)
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
