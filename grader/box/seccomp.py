"""The static system call filter of a box. Knows which calls lead out of a box, hide from a tracer or the judge, or are
a way from one box to another, and why; knows nothing of bubblewrap or of submissions.

It is a list of what is refused, up to the calls of 2019; of what came later, a list of what is let through. So a call
that no kernel had when this was written answers ENOSYS, as on the kernels of that time, and so does whatever is called
by a number that nobody has. The numbers of the older calls differ by architecture, and libseccomp has them. The
program itself is written here: libseccomp can compare arguments, but not the number of a call with a limit, nor one
argument with a list.

Sources: seccomp(2), include/uapi/linux/{filter,seccomp}.h and the tables of calls of Linux, clone(2), socket(2),
fcntl(2), strace(1) BUGS, strace issues 75 and 303, seccomp_syscall_resolve_name(3).
"""

import ctypes
import errno
import functools
import struct
import sys
from collections.abc import Collection, Sequence
from typing import Final

from grader.errors import GraderError

# Calls that reach the kernel's rarer corners, the host, other processes or the tracer. Those that this architecture
# does not have are no error: libseccomp knows that.
_REFUSED: Final = [
    "ptrace",
    "process_vm_readv",
    "process_vm_writev",
    "kcmp",
    "keyctl",
    "add_key",
    "request_key",
    "bpf",
    "perf_event_open",
    "userfaultfd",
    "mount",
    "umount2",
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
# Calls of which a program learns that this kernel has none. It then does without them, where EPERM would end it.
_ABSENT: Final = [
    # Linux AIO: a hundred sends, receives or polls in one call that counts as one.
    *("io_setup", "io_destroy", "io_submit", "io_cancel", "io_getevents", "io_pgetevents"),
    # What another box does with a file that both see, such as the interpreter's: a channel between the two.
    *("inotify_init", "inotify_init1", "inotify_add_watch", "mincore"),
    "socketcall",  # on old architectures a second door to socket(), whose arguments stand behind a pointer
]
# Linux 5.1 gave the calls of all architectures one series of numbers. From there on only these are let through.
_FIRST_COMMON: Final = 424
_LET_THROUGH: Final = {
    "pidfd_send_signal": 424,
    "pidfd_open": 434,
    "close_range": 436,
    "openat2": 437,
    "faccessat2": 439,
    "epoll_pwait2": 441,
    "landlock_create_ruleset": 444,
    "landlock_add_rule": 445,
    "landlock_restrict_self": 446,
    "fchmodat2": 452,
    "map_shadow_stack": 453,
}
# The newest call that was there to be judged: what the age of this filter is told by. It is none of the above.
NEWEST_CALL, NEWEST_NUMBER, NEWEST_LINUX = "rseq_slice_yield", 471, (7, 0)
# The last call before the common series, by AUDIT_ARCH_*. What x86 has had since, below it, is refused; but newer
# kernels ask no filter about uretprobe and uprobe (335, 336), which kill whoever calls them himself.
_X86_64: Final = 0xC000003E
_LAST_OLD: Final = {_X86_64: 334, 0xC00000B7: 294, 0xC00000F3: 294}  # x86_64, aarch64, riscv64
_X32_BIT: Final = 0x40000000
_NO_CALL: Final = 0xFFFFFFFF  # -1: a tracer has taken the call away, as strace does to make it fail

# What an exercise may teach, and is refused to the boxes of all others.
_IO_URING: Final = {"io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427}
_LOCK_COMMANDS: Final = (5, 6, 7, 12, 13, 14, 36, 37, 38)  # F_GETLK, F_SETLK, F_SETLKW, their 64-bit and F_OFD_ forms

# fcntl() without locks, leases, delegations and F_NOTIFY, which all tell one box of another's doing; and without
# F_SET_RW_HINT and its kin: before Linux 6.9 whoever could read a file could leave a hint there for all others.
_FCNTL: Final = (
    *(0, 1, 2, 3, 4),  # F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL
    *(8, 9, 10, 11, 15, 16, 17),  # F_SETOWN to F_GETOWNER_UIDS
    *(1027, 1028, 1030, 1031, 1032, 1033, 1034),  # F_DUPFD_QUERY, F_CREATED_QUERY, F_DUPFD_CLOEXEC, pipe sizes, seals
)
_CLONE_NAMESPACES: Final = 0x7E020080  # every CLONE_NEW* flag that clone() takes
_CLONE_UNTRACED: Final = 0x00800000
_AF_UNIX, _AF_INET, _AF_INET6 = 1, 2, 10
_SOCK_STREAM, _SOCK_DGRAM, _SOCK_TYPE_MASK = 1, 2, 0xF
_PROTOCOLS: Final = (0, 6, 17)  # the usual one, TCP, UDP. SCTP, DCCP, SMC, MPTCP, UDP-Lite and ICMP are not
_IPPROTO_TCP, _TCP_ULP = 6, 31  # a connection that changes its protocol: SMC by another way
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C
# A process that is not dumpable shows its descriptors to root alone, and a judge that cannot look cannot count.
_PR_SET_DUMPABLE, _PR_SET_SECCOMP = 4, 22


@functools.cache
def libseccomp() -> ctypes.CDLL | None:
    """The library that knows the numbers of calls, or None. apt itself depends on it, so Debian and Ubuntu have it."""
    try:
        library = ctypes.CDLL("libseccomp.so.2", use_errno=True)
        library.seccomp_arch_native.restype = ctypes.c_uint32
    except (OSError, AttributeError):
        return None
    return library


@functools.cache
def program(library: ctypes.CDLL, *, allows: frozenset[str] = frozenset()) -> bytes:
    """The filter as BPF for this architecture. Other architectures' calls kill the caller.

    It is inherited whatever the clone flags are, so unlike a tracer it cannot be outrun.

    Args:
        allows: of "io_uring" and "locks", what is not refused.

    Raises:
        GraderError: libseccomp does not know one of the names.
    """
    arch = int(library.seccomp_arch_native())

    def when(name: str, block: Sequence[bytes]) -> list[bytes]:
        number = library.seccomp_syscall_resolve_name(name.encode())
        if number == -1:  # __NR_SCMP_ERROR. What another architecture has is known, and below that
            raise GraderError(f"libseccomp does not know the system call {name}; update libseccomp2.")
        return _on(number, block) if number >= 0 else []

    locks = [_ALLOW if "locks" in allows else _error(errno.ENOLCK)]
    fcntl = [instruction for command in _LOCK_COMMANDS for instruction in _on(command, locks)]
    common = [*_LET_THROUGH.values(), *(_IO_URING.values() if "io_uring" in allows else ())]
    rules = [
        [_load(_ARCH), _jump(_EQUAL, arch, 1, 0), _KILL, _load(_NUMBER)],
        *([_on(_NO_CALL, [_error(errno.ENOSYS)]), _from(_X32_BIT, [_KILL])] if arch == _X86_64 else []),
        _from(_FIRST_COMMON, [*_unless(common, errno.ENOSYS), _ALLOW]),
        _from(_LAST_OLD.get(arch, _FIRST_COMMON) + 1, [_error(errno.ENOSYS)]),
        *(when(name, [_error(errno.EPERM)]) for name in _REFUSED),
        *(when(name, [_error(errno.ENOSYS)]) for name in _ABSENT),
        # clone3 is refused with the common series: glibc falls back to clone, whose flags a filter can read.
        when("clone", [*_argument(0), *_if_bits(_CLONE_NAMESPACES | _CLONE_UNTRACED, errno.EPERM), _ALLOW]),
        when("prctl", [*_argument(0), *_if([_PR_SET_SECCOMP, _PR_SET_DUMPABLE], errno.EPERM), _ALLOW]),
        when("ioctl", [*_argument(1), *_if([_TIOCSTI, _TIOCLINUX], errno.EPERM), _ALLOW]),
        when("socket", _socket()),
        when("socketpair", [*_argument(0), *_unless([_AF_UNIX], errno.EAFNOSUPPORT), _ALLOW]),
        when("setsockopt", _setsockopt()),
        when("flock", locks),
        *(when(name, [*_argument(1), *fcntl, *_unless(_FCNTL, errno.EINVAL), _ALLOW]) for name in ("fcntl", "fcntl64")),
        [_ALLOW],
    ]
    return b"".join(instruction for rule in rules for instruction in rule)


def _socket() -> list[bytes]:
    return [
        *(*_argument(0), _jump(_EQUAL, _AF_UNIX, 0, 1), _ALLOW),
        *_unless([_AF_INET, _AF_INET6], errno.EAFNOSUPPORT),
        *(*_argument(1), _struct(_AND, 0, 0, _SOCK_TYPE_MASK)),
        *_unless([_SOCK_STREAM, _SOCK_DGRAM], errno.ESOCKTNOSUPPORT),
        *(*_argument(2), *_unless(_PROTOCOLS, errno.EPROTONOSUPPORT), _ALLOW),
    ]


def _setsockopt() -> list[bytes]:
    return [
        *(*_argument(1), _jump(_EQUAL, _IPPROTO_TCP, 1, 0), _ALLOW),
        *(*_argument(2), *_if([_TCP_ULP], errno.ENOPROTOOPT), _ALLOW),
    ]


# --- a small assembler --------------------------------------------------------------------------------------------
# struct sock_filter: code, jump if true, jump if false, constant. Jumps count instructions from the next one on.

_LOAD, _AND, _RETURN = 0x20, 0x54, 0x06  # BPF_LD | BPF_W | BPF_ABS, BPF_ALU | BPF_AND | BPF_K, BPF_RET | BPF_K
_EQUAL, _AT_LEAST, _ANY_BIT = 0x15, 0x35, 0x45  # BPF_JMP | BPF_K with BPF_JEQ, BPF_JGE, BPF_JSET
_NUMBER, _ARCH, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data


def _struct(code: int, then: int, otherwise: int, constant: int) -> bytes:
    return struct.pack("=HBBI", code, then, otherwise, constant)


_ALLOW: Final = _struct(_RETURN, 0, 0, 0x7FFF0000)
# A whole filter. strace installs one of its own, which a program can count in its status; where no strace is, this one
# takes its place.
ALLOWS_ALL: Final = _ALLOW
_KILL: Final = _struct(_RETURN, 0, 0, 0x80000000)  # SECCOMP_RET_KILL_PROCESS


def _load(offset: int) -> bytes:
    return _struct(_LOAD, 0, 0, offset)


def _jump(test: int, constant: int, then: int, otherwise: int) -> bytes:
    return _struct(test, then, otherwise, constant)


def _error(number: int) -> bytes:
    return _struct(_RETURN, 0, 0, 0x00050000 | number)


def _argument(place: int) -> list[bytes]:
    """Load an argument that the kernel takes as an int: it drops the upper half of the register."""
    return [_load(_ARGUMENTS + 8 * place + (0 if sys.byteorder == "little" else 4))]


def _on(number: int, block: Sequence[bytes]) -> list[bytes]:
    """What is loaded is this number: a block that returns. Else go on behind it."""
    return [_jump(_EQUAL, number, 0, len(block)), *block]


def _from(number: int, block: Sequence[bytes]) -> list[bytes]:
    return [_jump(_AT_LEAST, number, 0, len(block)), *block]


def _if(values: Collection[int], error: int) -> list[bytes]:
    return [instruction for value in values for instruction in _on(value, [_error(error)])]


def _if_bits(bits: int, error: int) -> list[bytes]:
    return [_jump(_ANY_BIT, bits, 0, 1), _error(error)]


def _unless(values: Collection[int], error: int) -> list[bytes]:
    """Refuse all but these values; behind it, what is loaded is one of them."""
    tests = [_jump(_EQUAL, value, len(values) - place, 0) for place, value in enumerate(values)]
    return [*tests, _error(error)]
