"""The static system call filter of a box, built with libseccomp. Knows which calls lead out of a box or hide from a
tracer, and why; knows nothing of bubblewrap or of submissions.

Sources: seccomp(2), clone(2), strace(1) BUGS, strace issues 75 and 303, seccomp_rule_add(3).
"""

import ctypes
import errno
from typing import IO

from grader.errors import GraderError

_CLONE_NAMESPACES = 0x7E020080  # every CLONE_NEW* flag that clone() takes
_CLONE_UNTRACED = 0x00800000


class _Comparison(ctypes.Structure):
    """struct scmp_arg_cmp of libseccomp."""

    _fields_ = (
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("datum_a", ctypes.c_uint64),
        ("datum_b", ctypes.c_uint64),
    )


_SCMP_ALLOW, _SCMP_ERRNO = 0x7FFF0000, 0x00050000
_SCMP_MASKED_EQUAL = 7
# Calls that reach the kernel's rarer corners, the host, other processes or the tracer. Refusing an unknown name is no
# error: libseccomp knows which exist on this architecture.
_REFUSED = [
    "ptrace",
    "process_vm_readv",
    "process_vm_writev",
    "process_madvise",
    "pidfd_getfd",
    "kcmp",
    "keyctl",
    "add_key",
    "request_key",
    "bpf",
    "perf_event_open",
    "userfaultfd",
    "mount",
    "umount2",
    "move_mount",
    "open_tree",
    "fsopen",
    "fsconfig",
    "fsmount",
    "fspick",
    "mount_setattr",
    "pivot_root",
    "chroot",
    "unshare",
    "setns",
    "init_module",
    "finit_module",
    "delete_module",
    "kexec_load",
    "kexec_file_load",
    "reboot",
    "swapon",
    "swapoff",
    "quotactl",
    "acct",
    "syslog",
    "seccomp",
    "name_to_handle_at",
    "open_by_handle_at",
    "lookup_dcookie",
    "nfsservctl",
    "fanotify_init",
    "vhangup",
    "iopl",
    "ioperm",
    "mknod",
    "mknodat",
    "personality",
]
_IO_URING = ("io_uring_setup", "io_uring_enter", "io_uring_register")
_AF_NETLINK, _AF_PACKET, _AF_ALG, _AF_VSOCK, _IPPROTO_MPTCP = 16, 17, 38, 40, 262
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C
_PR_SET_SECCOMP, _PR_SET_DUMPABLE = 22, 4


def libseccomp() -> ctypes.CDLL | None:
    """The library that builds filters, or None. apt itself depends on it, so Debian and Ubuntu have it."""
    try:
        library = ctypes.CDLL("libseccomp.so.2", use_errno=True)
    except OSError:
        return None
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_release.argtypes = [ctypes.c_void_p]
    library.seccomp_export_bpf.argtypes = [ctypes.c_void_p, ctypes.c_int]
    library.seccomp_rule_add_array.argtypes = [
        ctypes.c_void_p,
        ctypes.c_uint32,
        ctypes.c_int,
        ctypes.c_uint,
        ctypes.POINTER(_Comparison),
    ]
    return library


def write_filter(library: ctypes.CDLL, target: IO[bytes], *, refuse_io_uring: bool) -> None:
    """Write the static filter, as BPF for this architecture, to `target`. Other architectures' calls kill the caller.

    It is inherited whatever the clone flags are, so unlike a tracer it cannot be outrun.

    Raises:
        GraderError: libseccomp refused a rule.
    """
    context = library.seccomp_init(_SCMP_ALLOW)

    def refuse(name: str, number: int, *comparisons: tuple[int, int, int, int]) -> None:
        call = library.seccomp_syscall_resolve_name(name.encode())
        if call == -1:  # __NR_SCMP_ERROR: unknown to this libseccomp
            return
        rows = (_Comparison * max(1, len(comparisons)))(*(_Comparison(*row) for row in comparisons))
        if library.seccomp_rule_add_array(context, _SCMP_ERRNO | number, call, len(comparisons), rows) != 0:
            raise GraderError(f"libseccomp refused the rule for {name}; update libseccomp2.")

    try:
        for name in _REFUSED:
            refuse(name, errno.EPERM)
        # glibc falls back to clone, whose flags a filter can read; clone3 hides them behind a pointer.
        refuse("clone3", errno.ENOSYS)
        refuse("clone", errno.EPERM, (0, _SCMP_MASKED_EQUAL, _CLONE_UNTRACED, _CLONE_UNTRACED))
        for bit in (1 << n for n in range(32) if _CLONE_NAMESPACES >> n & 1):
            refuse("clone", errno.EPERM, (0, _SCMP_MASKED_EQUAL, bit, bit))
        refuse("prctl", errno.EPERM, _int(0, _PR_SET_SECCOMP))
        # A process that is not dumpable shows its descriptors to root alone, and a judge that cannot look cannot count.
        refuse("prctl", errno.EPERM, _int(0, _PR_SET_DUMPABLE))
        for family in (_AF_NETLINK, _AF_PACKET, _AF_ALG, _AF_VSOCK):
            refuse("socket", errno.EAFNOSUPPORT, _int(0, family))
        refuse("socket", errno.EPROTONOSUPPORT, _int(2, _IPPROTO_MPTCP))
        for request in (_TIOCSTI, _TIOCLINUX):
            refuse("ioctl", errno.EPERM, _int(1, request))
        for name in _IO_URING if refuse_io_uring else ():
            refuse(name, errno.ENOSYS)
        if library.seccomp_export_bpf(context, target.fileno()) != 0:
            raise GraderError("libseccomp could not export the filter; update libseccomp2.")
    finally:
        library.seccomp_release(context)


def _int(argument: int, value: int) -> tuple[int, int, int, int]:
    """An argument that the kernel takes as an int: it drops the upper half of the register, which a filter sees."""
    return argument, _SCMP_MASKED_EQUAL, 0xFFFFFFFF, value
