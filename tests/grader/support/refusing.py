"""A machine that refuses what a container refuses by default, for real: a system call filter, then a command under it.

    python refusing.py [--allow-ptrace] -- COMMAND [ARGUMENT ...]

The filter stands in for the seccomp profile that Docker gives a container without CAP_SYS_ADMIN: no namespaces, no
mounts, no io_uring. Docker allows ptrace since Linux 4.8; older hosts and stricter profiles do not, so it is refused
here unless asked for. Everything COMMAND starts inherits the filter. Knows nothing of the kit, and needs only
libseccomp.

Sources: profiles/seccomp/default_linux.go in moby/moby (which calls), seccomp_init(3), seccomp_rule_add(3),
seccomp_attr_set(3).
"""

import ctypes
import errno
import os
import sys

_ALLOW, _ERRNO, _MASKED_EQUAL = (0x7FFF0000, 0x00050000, 7)  # SCMP_ACT_ALLOW, SCMP_ACT_ERRNO(0), SCMP_CMP_MASKED_EQ
_ATTRIBUTE_NO_NEW_PRIVS = 3  # SCMP_FLTATR_CTL_NNP
_UNKNOWN_CALL = -1  # __NR_SCMP_ERROR
# clone(2): cgroup, uts, ipc, user, pid, net, mount. CLONE_NEWTIME is no flag of clone(): its bit is the exit signal's.
_CLONE_NAMESPACES = (0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000, 0x00020000)
_NAMESPACE_CALLS = ("unshare", "setns")
_MOUNT_CALLS = ("mount", "umount2", "pivot_root", "mount_setattr", "move_mount", "open_tree", "fsopen", "fsmount")


class _Comparison(ctypes.Structure):
    """struct scmp_arg_cmp."""

    _fields_ = (
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("datum_a", ctypes.c_uint64),
        ("datum_b", ctypes.c_uint64),
    )


def refuse(*, allow_ptrace: bool) -> None:
    """Install the filter in this process. It cannot be taken off again.

    Raises:
        OSError: libseccomp is missing, or refused a rule or the filter.
    """
    library = ctypes.CDLL("libseccomp.so.2")
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_attr_set.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_uint32]
    library.seccomp_load.argtypes = library.seccomp_release.argtypes = [ctypes.c_void_p]
    library.seccomp_rule_add_array.argtypes = [
        ctypes.c_void_p,
        ctypes.c_uint32,
        ctypes.c_int,
        ctypes.c_uint,
        ctypes.POINTER(_Comparison),
    ]
    context = library.seccomp_init(_ALLOW)

    def rule(name: str, number: int, *rows: _Comparison) -> None:
        call = library.seccomp_syscall_resolve_name(name.encode())
        if call == _UNKNOWN_CALL:
            return
        status = library.seccomp_rule_add_array(
            context, _ERRNO | number, call, len(rows), (_Comparison * len(rows))(*rows)
        )
        if status != 0:
            raise OSError(-status, f"libseccomp refused the rule for {name}")

    for name in (*_NAMESPACE_CALLS, *_MOUNT_CALLS, "io_uring_setup", *(() if allow_ptrace else ("ptrace",))):
        rule(name, errno.EPERM)
    # clone3 hides its flags behind a pointer that no filter can follow; ENOSYS makes glibc fall back to clone.
    rule("clone3", errno.ENOSYS)
    for flag in _CLONE_NAMESPACES:
        rule("clone", errno.EPERM, _Comparison(0, _MASKED_EQUAL, flag, flag))
    # A container's root can still change users by setuid programs: no_new_privs is set only where the kernel insists.
    library.seccomp_attr_set(context, _ATTRIBUTE_NO_NEW_PRIVS, 0)
    if library.seccomp_load(context) != 0:
        library.seccomp_attr_set(context, _ATTRIBUTE_NO_NEW_PRIVS, 1)
        if (status := library.seccomp_load(context)) != 0:
            raise OSError(-status, "the filter cannot be installed")
    library.seccomp_release(context)


def main(words: list[str]) -> None:
    """Install the filter and become the command."""
    dashes = words.index("--") if "--" in words else len(words)
    options, command = words[:dashes], words[dashes + 1 :]
    if not command or set(options) - {"--allow-ptrace"}:
        sys.exit("usage: python refusing.py [--allow-ptrace] -- COMMAND [ARGUMENT ...]")
    refuse(allow_ptrace="--allow-ptrace" in options)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
