"""What programs are kept in with: each part of a box by itself, so that the one which is lacking is named with its
cure; then each level whole, by the code that a grading uses. Knows what refuses namespaces, and where that is set.

Sources: user_namespaces(7), Documentation/admin-guide/LSM/Yama.rst and sysctl/kernel.rst of Linux, landlock(7),
bwrap(1), the default seccomp profile of moby/moby.
"""

import ctypes
import errno
import os
import sys
from pathlib import Path
from typing import Final

from grader.box import seccomp as call_filter
from grader.doctor.finding import CONTAINER, DOCKER, Finding, found, lacking
from grader.doctor.machine import (
    DEADLINE_S,
    error_word,
    in_container,
    joined,
    linux_version,
    read,
    run,
    setting_text,
    status_of,
    system_call,
    version,
)
from grader.errors import GraderError

if sys.platform == "linux":  # elsewhere what these import is missing, and NOT_LINUX must still be said
    from grader.box import kernel
    from grader.box.canary import host_canary
    from grader.box.levels import Boxed, Level, LevelRefused, Site
    from grader.box.proof import TRIAL, why_not
    from grader.box.staging import staging_folder
    from grader.box.wall import box_user

_OLDEST_PYTHON: Final = (3, 11)
_OLDEST_KERNEL: Final = (5, 13)  # the first with Landlock, without which no box is claimed
_OLDEST_BWRAP: Final = "0.8"  # the first with --disable-userns
_TRUE: Final = "/bin/true"
_NETWORK_CAPABILITIES: Final = {"NET_ADMIN": 12, "SYS_ADMIN": 21}  # bits of CapEff: capability.h
_ANOTHER_USER: Final = "be an ordinary user, or a root with more than one user id"
_AS_IT_SAYS: Final = "mend what the message says"
# Flags of landlock_create_ruleset(2) that make no ruleset.
LANDLOCK_VERSION, LANDLOCK_ERRATA = 1, 2


# --- what everything stands on ------------------------------------------------------------------------------------


def probe_system(name: str) -> Finding:
    """Linux at all. `name` is as in sys.platform."""
    return found("system", "Linux") if name == "linux" else lacking("system", name, CONTAINER)


def probe_kernel(release: str) -> Finding:
    """The kernel's release, as uname(2) says it."""
    if (numbers := linux_version(release)) is not None and numbers >= _OLDEST_KERNEL:
        return found("kernel", release)
    return lacking("kernel", release, "boot Linux 5.13 or newer, as Debian 12 and Ubuntu 22.04 have it")


def probe_python(version: tuple[int, int], interpreter: Path) -> Finding:
    """This Python's version, and whether the interpreter behind its virtual environment starts without any environment,
    as it must in a box."""
    seen = f"{version[0]}.{version[1]}, {interpreter}"
    if version < _OLDEST_PYTHON:
        return lacking("python", seen, "make clean && make PYTHON=/usr/bin/python3.11")
    words = [str(interpreter), "-I", "-S", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    status, text = run(words)
    if status == 0 and text == f"{version[0]}.{version[1]}":
        return found("python", seen)
    return lacking("python", f"{seen} does not start: {text}", "make clean && make PYTHON=/usr/bin/python3")


# --- what a box is made of ----------------------------------------------------------------------------------------


def private_network() -> str | None:
    """Enter a private network, as a judge does, and connect to oneself there. Changes this process.

    Returns:
        None, or the step that was refused and the system's word.
    """
    if refusal := kernel.enter_private_network():
        return refusal
    import socket

    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            socket.create_connection(server.getsockname(), timeout=DEADLINE_S / 2).close()
    except OSError as error:
        return f"a connection over loopback: {error.strerror or error}"
    return None


def probe_network(refusal: str | None, root: Path, *, as_root: bool) -> Finding:
    """A network of the judge's own. `refusal` is the step that failed and the system's word."""
    if refusal is None:
        return found("private network", "made, loopback is up")
    reason, cure = _why_no_namespaces(root, as_root=as_root)
    return lacking("private network", joined(refusal, reason), cure)


def probe_bwrap(program: str | None, root: Path) -> Finding:
    """bubblewrap, tried with the options of a box, as the user that boxes run as. Changes this process."""
    if program is None:
        return lacking("bubblewrap", "not installed", "sudo apt-get install -y bubblewrap")
    try:
        with host_canary() as canary, staging_folder() as staging, box_user() as uid:
            box = Boxed.build(Site(staging=staging, bwrap=program, canary=canary), uid=uid)
            status, text = run([program, *box.options(TRIAL), _TRUE], uid=uid)
    except LevelRefused as refusal:
        return lacking("bubblewrap", str(refusal), _ANOTHER_USER)
    except GraderError as error:
        return lacking("bubblewrap", f"not tried: {error}", _AS_IT_SAYS)
    if status == 0:
        return found("bubblewrap", f"{version(program)}, a box starts; {_OLDEST_BWRAP} or newer is needed")
    word = text.partition("\n")[0].partition(". See <")[0] or f"exit status {status}"
    if "nknown option" in word:
        return lacking(
            "bubblewrap", word, f"install bubblewrap {_OLDEST_BWRAP} or newer: Debian 12 and Ubuntu 24.04 have it"
        )
    if status == -1:
        return lacking("bubblewrap", word, _ANOTHER_USER)
    if "proc" in word and (masks := _mounts_below_proc(root)):
        reason = f"{masks[0]} is masked, as in a container, so Linux mounts no second /proc"
        return lacking("bubblewrap", joined(word, reason), DOCKER)
    reason, cure = _why_no_namespaces(root, as_root=False)
    return lacking("bubblewrap", joined(word, reason), cure)


def _mounts_below_proc(root: Path) -> list[str]:
    rows = (row.split() for row in read(root, "proc/self/mountinfo").splitlines())
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
        if read(root, f"proc/sys/{name}") == refusing:
            setting = name.replace("/", ".")
            return setting_text(root, setting, refusing), f"sudo sysctl -w {setting}={allowing}"
    if status_of(root, "Seccomp") == "2":
        return "a system call filter, such as Docker's, refuses it", DOCKER
    effective = int(status_of(root, "CapEff") or "0", 16)
    lacking = [name for name, bit in _NETWORK_CAPABILITIES.items() if not effective >> bit & 1]
    if as_root and lacking:
        return f"root lacks {' and '.join(lacking)}, as in a container", DOCKER
    if in_container(root):
        return "this looks like a container", DOCKER
    return "", "allow user namespaces on this machine: see user_namespaces(7)"


def probe_libseccomp(library: ctypes.CDLL | None) -> Finding:
    """The library that builds the system call filter, tried by building it."""
    if library is None:
        return lacking("libseccomp", "not installed", "sudo apt-get install -y libseccomp2")
    library.seccomp_version.restype = ctypes.POINTER(ctypes.c_uint * 3)  # struct scmp_version: major, minor, micro
    version = ".".join(map(str, library.seccomp_version().contents))
    try:
        call_filter.program(library)
    except GraderError as error:
        return lacking("libseccomp", f"{version}: {error}", "sudo apt-get install -y libseccomp2")
    return found("libseccomp", f"{version}, the filter can be built")


def probe_filter_age(release: str) -> Finding:
    """Up to which Linux the filter's author knew the system calls, and whether this kernel is newer."""
    known = ".".join(map(str, call_filter.NEWEST_LINUX))
    newest = f"{call_filter.NEWEST_CALL}, {call_filter.NEWEST_NUMBER}"
    seen = f"knows the calls of Linux up to {known} ({newest})"
    if (numbers := linux_version(release)) is None or numbers <= call_filter.NEWEST_LINUX:
        return found("filter", seen)
    return lacking("filter", f"{seen}; this kernel is {release}", "update the kit when there is a newer one")


def landlock(flag: int) -> int:
    """What Landlock says of itself, or the negative error number."""
    create_ruleset = 444  # landlock_create_ruleset(2); the same number on every architecture
    return system_call(create_ruleset, None, ctypes.c_size_t(0), ctypes.c_uint32(flag))


def probe_landlock(answer: int, errata: int) -> Finding:
    """Landlock.

    Args:
        answer: the version of its interface, or the negative error number.
        errata: the mended ones, a bit each; negative where the kernel cannot say.
    """
    cures = {
        -errno.ENOSYS: "boot a kernel built with CONFIG_SECURITY_LANDLOCK=y, as those of Debian and Ubuntu are",
        -errno.EOPNOTSUPP: "put landlock before the other names in lsm= on the kernel's command line, and reboot",
        -errno.EPERM: DOCKER,
    }
    if answer > 0:
        mended = [str(bit + 1) for bit in range(max(0, errata).bit_length()) if errata >> bit & 1]
        word = "unknown, as the kernel does not tell them" if errata < 0 else ", ".join(mended) or "none"
        return found("landlock", f"version {answer} of the interface; mended errata: {word}")
    return lacking("landlock", error_word(answer), cures.get(answer, cures[-errno.ENOSYS]))


def probe_temporary_folder(folder: Path, *, as_root: bool) -> Finding:
    """The folder that submissions are staged in. Root's boxes run as another user, who must get there."""
    cure = "export TMPDIR=/tmp"
    if not os.access(folder, os.W_OK | os.X_OK):
        return lacking("temporary folder", f"{folder} cannot be written to", cure)
    for place in (folder.resolve(), *folder.resolve().parents) if as_root else ():
        if not place.stat().st_mode & 0o001:
            return lacking("temporary folder", f"{place} is closed to the user that boxes run as", cure)
    return found("temporary folder", str(folder))


def probe_level(level: "type[Level]", bwrap: str | None) -> Finding:
    """A level of isolation whole, by the code that each grading has it by. Changes this process."""
    if refusal := why_not(level, bwrap=bwrap):
        return lacking(level.name, refusal, "mend what else is lacking here; if nothing is, mend what the message says")
    return found(level.name, "a program starts, and all that this level promises holds")
