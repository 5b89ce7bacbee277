"""The kernel's services that Python 3.11 has no function for: parent-death signals, orphans, namespaces, loopback, bind
mounts. Each is one call with a reason; nothing here knows what they are used for.

Sources: prctl(2), unshare(2), user_namespaces(7), netdevice(7), mount(2).
"""

import ctypes
import fcntl
import os
import signal
import socket
import struct
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

_LIBC = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNS, _CLONE_NEWUSER, _CLONE_NEWNET = 0x00020000, 0x10000000, 0x40000000
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_REMOUNT, _MS_BIND, _MS_REC, _MS_PRIVATE = 1, 2, 4, 32, 4096, 16384, 1 << 18
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36

IN_ORDER = signal.SIGTERM  # ends a process that cleans up behind itself


def die_with_parent(parent_pid: int, *, by: signal.Signals = signal.SIGKILL) -> None:
    """From now on this process gets that signal when its parent dies; it ends at once when the parent is dead already.

    The signal comes when the *thread* that started this process ends (prctl(2)), so start it from a thread that stays.
    """
    _LIBC.prctl(_PR_SET_PDEATHSIG, by, 0, 0, 0)
    if os.getppid() != parent_pid:
        os._exit(3)


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent dies, so that none is lost sight of."""
    _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def enter_private_network() -> str | None:
    """Move this process into a network of its own with loopback up. Call it before there are threads.

    It is tried in a child first: a network that was made and cannot be used is a trap that nobody can leave.

    Returns:
        None, or why it was refused: the step and the system's word. Then nothing has changed.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        refusal = "the trial ended early"
        try:
            refusal = _enter_private_network() or ""
        finally:
            os.write(writing, refusal.encode())
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as told:
        refusal = told.read()
    os.waitpid(child, 0)
    return refusal or _enter_private_network()


def _enter_private_network() -> str | None:
    uid, gid = os.getuid(), os.getgid()
    if _LIBC.unshare(_CLONE_NEWNET | (0 if uid == 0 else _CLONE_NEWUSER)) != 0:
        return f"unshare: {os.strerror(ctypes.get_errno())}"
    try:
        if uid != 0:
            Path("/proc/self/setgroups").write_text("deny")
            Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
            Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
        _loopback_up()
    except OSError as error:
        return f"loopback in a network namespace: {error.strerror}"
    # A closed connection keeps its port for a minute. What one box leaves so must not be missed by the next. Where
    # /proc/sys is read-only, as in containers, there are 28,232 ports all the same.
    with suppress(OSError):
        Path("/proc/sys/net/ipv4/tcp_max_tw_buckets").write_text("4096")
    return None


def _loopback_up() -> None:
    get_flags, set_flags, up = 0x8913, 0x8914, 1  # SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP: netdevice(7)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        request = fcntl.ioctl(sock, get_flags, struct.pack("16sh14x", b"lo", 0))
        flags = struct.unpack("16sh14x", request)[1] | up
        fcntl.ioctl(sock, set_flags, struct.pack("16sh14x", b"lo", flags))


def show_read_only(folders: Sequence[Path], below: Path) -> list[Path]:
    """Move this process into mounts of its own, and show folders there at second places that everyone can reach.

    A bind mount is a way to the real files: whoever cleans up around it deletes them. So these are read-only, below a
    tmpfs, and in mounts that no other process sees.

    Args:
        folders: absolute paths.
        below: an empty folder; other processes go on seeing it empty.

    Returns:
        The second places, in the order of `folders`.

    Raises:
        OSError: the kernel refused.
    """
    if _LIBC.unshare(_CLONE_NEWNS) != 0:
        raise OSError(ctypes.get_errno(), "own mounts are refused")
    _mount(b"none", b"/", _MS_REC | _MS_PRIVATE)  # before any other: a shared mount would show in the parent's too
    _mount(b"tmpfs", os.fsencode(below), _MS_NOSUID | _MS_NODEV, kind=b"tmpfs")
    places = []
    for number, folder in enumerate(folders):
        place = below / str(number)
        place.mkdir(mode=0o755)
        _mount(os.fsencode(folder), os.fsencode(place), _MS_BIND)
        _mount(b"none", os.fsencode(place), _MS_BIND | _MS_REMOUNT | _MS_RDONLY)
        places.append(place)
    return places


def _mount(source: bytes, target: bytes, flags: int, kind: bytes | None = None) -> None:
    if _LIBC.mount(source, target, kind, ctypes.c_ulong(flags), None) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
