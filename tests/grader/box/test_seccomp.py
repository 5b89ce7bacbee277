"""The system call filter, installed for real in a child process: what it refuses, and what goes on working under it.

Each refusal has a control without the filter, or it could be the kernel's own. Arguments are -1 throughout, which no
call can act on.
"""

import ctypes
import errno
import inspect
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from grader.box import seccomp as call_filter
from grader.errors import GraderError

# What a program must not be able to do whatever its rights are; security of the wall hangs on each.
ESSENTIAL = {
    *("add_key", "bpf", "chroot", "io_setup", "io_submit", "kcmp", "kexec_load", "keyctl", "mincore", "mount"),
    *("open_by_handle_at", "perf_event_open", "personality", "pivot_root", "process_vm_readv", "process_vm_writev"),
    *("ptrace", "request_key", "seccomp", "setns", "umount2", "unshare", "userfaultfd"),
}
# Calls of the common series that lead out of a box, hide from its tracer, batch calls, or tell of other boxes.
COMMON = {
    "io_uring_setup": 425,
    "io_uring_enter": 426,
    "io_uring_register": 427,
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "fsconfig": 431,
    "fsmount": 432,
    "fspick": 433,
    "clone3": 435,
    "pidfd_getfd": 438,
    "process_madvise": 440,
    "mount_setattr": 442,
    "quotactl_fd": 443,
    "memfd_secret": 447,
    "process_mrelease": 448,
    "cachestat": 451,
    "futex_wait": 455,
    "statmount": 457,
    "listmount": 458,
    "lsm_get_self_attr": 459,
    "lsm_set_self_attr": 460,
    "lsm_list_modules": 461,
    "mseal": 462,
    "open_tree_attr": 467,
    "file_getattr": 468,
    "file_setattr": 469,
    "listns": 470,
    "rseq_slice_yield": 471,
}


@pytest.fixture(scope="module")
def library() -> ctypes.CDLL:
    found = call_filter.libseccomp()
    if found is None:
        pytest.skip("libseccomp.so.2 is not installed")
    return found


@pytest.fixture
def rules(library: ctypes.CDLL, tmp_path: Path) -> Path:
    """The filter of an exercise that teaches none of what others refuse."""
    return written(library, tmp_path / "rules.bpf")


def written(library: ctypes.CDLL, file: Path, *allows: str) -> Path:
    file.write_bytes(call_filter.program(library, allows=frozenset(allows)))
    return file


def install(file: str) -> None:
    """Confine this process: prctl(2), PR_SET_SECCOMP with a struct sock_fprog."""
    import ctypes

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("rules", ctypes.c_char_p))

    with open(file, "rb") as source:  # noqa: PTH123  # one import less under the filter
        rules = source.read()
    libc = ctypes.CDLL(None, use_errno=True)
    program = Program(len(rules) // 8, rules)
    if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, ctypes.byref(program), 0, 0):
        raise OSError(ctypes.get_errno(), "the filter cannot be installed")


def child(rules: Path | None, act: Callable[..., Any], *arguments: Any) -> "subprocess.CompletedProcess[str]":
    """A child that installs the filter, if any, and prints what `act`, which stands alone, gives then."""
    source = "from __future__ import annotations\nimport json, sys\n"
    source += f"{inspect.getsource(install)}\n{inspect.getsource(act)}\n"
    source += "if sys.argv[1]: install(sys.argv[1])\n"
    source += f"print(json.dumps({act.__name__}(*json.loads(sys.argv[2]))))\n"
    return subprocess.run(
        [sys.executable, "-I", "-c", source, str(rules or ""), json.dumps(arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        start_new_session=True,
    )


def under(rules: Path | None, act: Callable[..., Any], *arguments: Any) -> Any:
    done = child(rules, act, *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def errors_of(calls: list[list[int]]) -> list[int]:
    """The error number of each raw call, 0 when it succeeded; a child that one makes ends at once."""
    import ctypes
    import os

    libc = ctypes.CDLL(None, use_errno=True)
    found = []
    for number, *arguments in calls:
        ctypes.set_errno(0)
        me = os.getpid()
        made = libc.syscall(ctypes.c_long(number), *(ctypes.c_long(argument) for argument in arguments))
        if os.getpid() != me:
            os._exit(0)
        found.append(ctypes.get_errno() if made < 0 else 0)
    return found


def number_of(library: ctypes.CDLL, name: str) -> int:
    return int(library.seccomp_syscall_resolve_name(name.encode()))


# --- what is refused ----------------------------------------------------------------------------------------------


def test_every_call_that_leads_out_is_refused(library: ctypes.CDLL, rules: Path) -> None:
    expected = dict.fromkeys(call_filter._REFUSED, errno.EPERM) | dict.fromkeys(call_filter._ABSENT, errno.ENOSYS)
    here = {name: number for name in expected if (number := number_of(library, name)) >= 0}  # else another's
    calls = [[number, -1, -1, -1, -1, -1] for number in here.values()]
    harmless = [name != "vhangup" for name in here]

    refused = dict(zip(here, under(rules, errors_of, calls), strict=True))
    without = under(None, errors_of, [call for call, safe in zip(calls, harmless, strict=True) if safe])

    assert refused.keys() >= ESSENTIAL
    assert refused == {name: expected[name] for name in here}
    by_the_kernel = sum(number in (errno.EPERM, errno.ENOSYS) for number in without)
    assert by_the_kernel < len(without) / 2  # an unprivileged user is refused some anyway


def test_of_newer_calls_only_those_that_were_chosen_are_let_through(rules: Path) -> None:
    chosen = call_filter._LET_THROUGH
    calls = [[number, -1, -1, -1, -1, -1, -1] for number in chosen.values()]

    assert not COMMON.keys() & chosen.keys()
    assert not set(COMMON.values()) & set(chosen.values())
    assert under(rules, errors_of, calls) == under(None, errors_of, calls)
    assert under(rules, errors_of, [[number, -1, -1, -1, -1, -1, -1] for number in COMMON.values()]) == [
        errno.ENOSYS
    ] * len(COMMON)


def test_a_number_that_no_call_has_yet_answers_that_there_is_none(rules: Path) -> None:
    later = [*range(call_filter.NEWEST_NUMBER, call_filter.NEWEST_NUMBER + 50), 511, 512, 547, 548, 1000, 4242, 1 << 20]
    calls = [[number, 0, 0, 0, 0, 0, 0] for number in (*later, (1 << 30) - 1, -1)]

    assert under(rules, errors_of, calls) == [errno.ENOSYS] * len(calls)


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="this architecture has no calls of its own there")
def test_what_one_architecture_alone_has_had_since_is_refused(rules: Path) -> None:
    # 335 and 336 are uretprobe and uprobe. Newer kernels ask no filter about them, and kill whoever calls them himself.
    own = range(337, call_filter._FIRST_COMMON)

    assert under(rules, errors_of, [[number, 0, 0, 0] for number in own]) == [errno.ENOSYS] * len(own)


def test_no_call_of_this_kernel_is_newer_than_the_newest_that_was_judged_or_it_is_refused(rules: Path) -> None:
    """Headers of a newer kernel name calls that the filter has never heard of."""
    headers = [*Path("/usr/include").glob("*/asm/unistd_64.h"), Path("/usr/include/asm-generic/unistd.h")]
    text = "".join(header.read_text() for header in headers if header.exists())
    found = {int(number) for number in re.findall(r"#define __NR\w* (\d+)$", text, re.MULTILINE)}
    if not found:
        pytest.skip("the kernel's headers are not installed")
    new = sorted({n for n in found if n >= call_filter._FIRST_COMMON} - set(call_filter._LET_THROUGH.values()))

    assert under(rules, errors_of, [[number, -1, -1, -1, -1, -1, -1] for number in new]) == [errno.ENOSYS] * len(new)


UNTRACED, NAMESPACES = 0x00800000, [0x00020000, *(1 << bit for bit in range(25, 31))]


def test_a_child_hides_from_no_tracer_and_makes_no_namespace(library: ctypes.CDLL, rules: Path) -> None:
    clone = number_of(library, "clone")
    calls = [[clone, flag | signal.SIGCHLD, 0, 0, 0, 0] for flag in (UNTRACED, *NAMESPACES)]

    assert under(rules, errors_of, calls) == [errno.EPERM] * len(calls)
    assert under(None, errors_of, calls[:1]) == [0]
    assert under(rules, errors_of, [[clone, signal.SIGCHLD, 0, 0, 0, 0]]) == [0]


@pytest.mark.parametrize("upper_half", [0, 1 << 32], ids=["as it is", "with the half that the kernel drops"])
def test_a_number_that_the_kernel_takes_as_an_int_is_refused_whatever_stands_above_it(
    library: ctypes.CDLL, rules: Path, upper_half: int
) -> None:
    prctl, socket_, ioctl = (number_of(library, name) for name in ("prctl", "socket", "ioctl"))
    calls = [
        [prctl, 22 | upper_half, 2, 0, 0, 0],  # PR_SET_SECCOMP
        [prctl, 4 | upper_half, 0, 0, 0, 0],  # PR_SET_DUMPABLE
        [ioctl, 0, 0x5412 | upper_half, 0],  # TIOCSTI
        [ioctl, 0, 0x541C | upper_half, 0],  # TIOCLINUX
        [socket_, 16 | upper_half, 3, 0],  # AF_NETLINK
        [socket_, 2, 1, 262 | upper_half],  # AF_INET, SOCK_STREAM, IPPROTO_MPTCP
    ]
    expected = [errno.EPERM] * 4 + [errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT]

    assert under(rules, errors_of, calls) == expected
    without = under(None, errors_of, calls[:5])
    assert all(found != refused for found, refused in zip(without, expected, strict=False))


STREAM, DATAGRAM, FLAGS = 1, 2, 0o2004000  # SOCK_CLOEXEC and SOCK_NONBLOCK


def test_sockets_are_those_of_a_list(library: ctypes.CDLL, rules: Path) -> None:
    socket_, pair = number_of(library, "socket"), number_of(library, "socketpair")
    kept = {0, 1, 2, 10}  # what is never given, AF_UNIX, AF_INET, AF_INET6
    families = [family for family in (*range(64), 1 << 16 | 2, 255, 0xFFFF) if family not in kept]

    made = under(rules, errors_of, [[socket_, family, STREAM, 0] for family in families])
    pairs = under(rules, errors_of, [[pair, family, STREAM, 0, 0] for family in (*families, 2, 10)])

    assert made == [errno.EAFNOSUPPORT] * len(families)
    assert pairs == [errno.EAFNOSUPPORT] * (len(families) + 2)


@pytest.mark.parametrize("family", [2, 10], ids=["IPv4", "IPv6"])
def test_of_the_internet_there_is_tcp_and_udp(library: ctypes.CDLL, rules: Path, family: int) -> None:
    socket_ = number_of(library, "socket")
    icmp, dccp, sctp, udplite, smc, mptcp = 1, 33, 132, 136, 256, 262
    others = [[socket_, family, STREAM, protocol] for protocol in (dccp, sctp, smc, mptcp)]
    others += [[socket_, family, DATAGRAM | FLAGS, protocol] for protocol in (icmp, 58, udplite)]
    # The protocol of a SOCK_SEQPACKET that names none is SCTP, of type 6 DCCP.
    kinds = [[socket_, family, kind | FLAGS, 0] for kind in (3, 4, 5, 6, 10)]

    assert under(rules, errors_of, others) == [errno.EPROTONOSUPPORT] * len(others)
    assert under(rules, errors_of, kinds) == [errno.ESOCKTNOSUPPORT] * len(kinds)


def sockets_of_servers() -> list[str]:
    import socket

    made = []
    for family in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX):
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            try:
                with socket.socket(family, kind | socket.SOCK_NONBLOCK):
                    made.append("made")
            except OSError as error:
                made.append("made" if family == socket.AF_INET6 and error.errno == 97 else str(error))  # a host without
    for protocol in (socket.IPPROTO_TCP, 0):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM, protocol) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            made.append("made")
    with socket.socketpair()[0], socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET):
        made.append("made")
    return made


def test_the_sockets_of_a_server_are_made(rules: Path) -> None:
    assert under(rules, sockets_of_servers) == ["made"] * 9


def turned_into_another_protocol() -> int:
    import socket

    with socket.socket() as sock:
        try:
            sock.setsockopt(socket.IPPROTO_TCP, 31, b"smc")  # TCP_ULP
        except OSError as error:
            return error.errno or -1
    return 0


def test_a_connection_does_not_change_its_protocol(rules: Path) -> None:
    assert under(rules, turned_into_another_protocol) == errno.ENOPROTOOPT


def errors_of_locks() -> dict[str, int | None]:
    import fcntl
    import os
    import signal
    import struct
    import tempfile

    signal.signal(signal.SIGIO, signal.SIG_IGN)  # it tells of what anybody does in the folder below
    found: dict[str, int | None] = {}

    def note(name: str, act: Callable[..., Any], *arguments: Any) -> None:
        try:
            act(*arguments)
            found[name] = 0
        except OSError as error:
            found[name] = error.errno

    lock = struct.pack("hhqqi4x", fcntl.F_RDLCK, 0, 0, 0, 0)
    with tempfile.TemporaryFile() as file:
        note("flock", fcntl.flock, file, fcntl.LOCK_EX)
        note("lockf", fcntl.lockf, file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        note("os.lockf", os.lockf, file.fileno(), os.F_TEST, 0)
        for name, command in {"GETLK": 5, "SETLK": 6, "SETLKW": 7, "OFD": 37, "OFD_WAIT": 38, "OFD_GETLK": 36}.items():
            note(name, fcntl.fcntl, file, command, lock)
        for name, command in {"SETLEASE": 1024, "GETLEASE": 1025, "GETDELEG": 1039, "SETDELEG": 1040}.items():
            note(name, fcntl.fcntl, file, command, 0)
        note("unknown", fcntl.fcntl, file, 4242, 0)
        note("flags", fcntl.fcntl, file, fcntl.F_SETFL, os.O_NONBLOCK)
        note("copy", lambda: os.close(fcntl.fcntl(file, fcntl.F_DUPFD_CLOEXEC, 100)))
    notify, folder = 1026, os.open("/", os.O_RDONLY)
    note("NOTIFY", fcntl.fcntl, folder, notify, 1)
    found["of a system file"] = 0
    note("of a system file", fcntl.flock, os.open("/bin/sh", os.O_RDONLY), fcntl.LOCK_EX)
    return found


LOCKS = ("flock", "lockf", "os.lockf", "GETLK", "SETLK", "SETLKW", "OFD", "OFD_WAIT", "OFD_GETLK", "of a system file")
LEASES = ("SETLEASE", "GETLEASE", "GETDELEG", "SETDELEG", "NOTIFY", "unknown")


def test_a_lock_is_no_way_from_box_to_box_unless_the_exercise_teaches_locks(
    library: ctypes.CDLL, rules: Path, tmp_path: Path
) -> None:
    never = dict.fromkeys(LEASES, errno.EINVAL) | {"flags": 0, "copy": 0}
    taught = written(library, tmp_path / "locks.bpf", "locks")

    assert under(rules, errors_of_locks) == dict.fromkeys(LOCKS, errno.ENOLCK) | never
    assert under(taught, errors_of_locks) == dict.fromkeys(LOCKS, 0) | never
    assert not any(under(None, errors_of_locks)[name] for name in LOCKS)


def test_io_uring_is_left_to_the_kernel_when_a_policy_must_see_it(library: ctypes.CDLL, tmp_path: Path) -> None:
    calls = [[number, -1, -1, -1, -1, -1, -1] for number in (425, 426, 427)]
    strict = written(library, tmp_path / "strict.bpf")
    open_ = written(library, tmp_path / "open.bpf", "io_uring")

    assert under(strict, errors_of, calls) == [errno.ENOSYS] * 3
    assert under(open_, errors_of, calls) == under(None, errors_of, calls)


def run_machine_code(hexadecimal: str) -> int:
    """What a piece of machine code leaves in eax."""
    import ctypes
    import mmap

    code = bytes.fromhex(hexadecimal)
    page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(code)
    place = ctypes.addressof(ctypes.c_char.from_buffer(page))
    return int(ctypes.CFUNCTYPE(ctypes.c_int)(place)())


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="this architecture has no second table of calls")
@pytest.mark.parametrize(
    "code",
    [
        pytest.param("b8 14 00 00 00 cd 80 c3", id="i386's getpid"),  # mov eax, 20; int 0x80; ret
        pytest.param("b8 27 00 00 40 0f 05 c3", id="x32's getpid"),  # mov eax, 0x40000000 + 39; syscall; ret
    ],
)
def test_the_calls_of_another_architecture_kill_the_caller(rules: Path, code: str) -> None:
    if child(None, run_machine_code, code).returncode == -signal.SIGSYS:
        pytest.skip("these tests run under such a filter themselves")

    assert child(rules, run_machine_code, "31 c0 c3").stdout.strip() == "0"  # xor eax, eax; ret
    assert child(rules, run_machine_code, code).returncode == -signal.SIGSYS


# --- what goes on working -----------------------------------------------------------------------------------------


def ordinary_work() -> dict[str, Any]:
    import asyncio
    import ctypes
    import multiprocessing
    import socket
    import subprocess
    import threading

    clone3_error = 0
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(435, None, 0) < 0:  # the same number on every architecture
        clone3_error = ctypes.get_errno()
    seen: list[int] = []
    threads = [threading.Thread(target=seen.append, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    left, right = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=right.send, args=("from a child",))
    process.start()
    told = left.recv()
    process.join()
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as client,
        listener.accept()[0] as server,
    ):
        server.sendall(b"hello")
        greeting = client.recv(5).decode()
    return {
        "clone3": clone3_error,
        "threads": sorted(seen),
        "process": told,
        "command": subprocess.run(["/bin/echo", "spawned"], capture_output=True, text=True).stdout,
        "loop": asyncio.run(asyncio.sleep(0, "awaited")),
        "connection": greeting,
    }


def files_and_memory() -> list[str]:
    """What a right program may do that is not in every book."""
    import logging.handlers
    import mmap
    import multiprocessing.shared_memory
    import os
    import secrets
    import ssl
    import tempfile
    import uuid

    with tempfile.TemporaryDirectory() as folder:
        handler = logging.handlers.RotatingFileHandler(folder + "/log", maxBytes=100, backupCount=1)
        logging.getLogger("a name").addHandler(handler)
        for _ in range(10):
            logging.getLogger("a name").warning("a line of some length")
        handler.close()
        done = sorted(os.listdir(folder))
    memory = os.memfd_create("memory", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.truncate(memory, 4096)
    mmap.mmap(memory, 4096).close()
    shared = multiprocessing.shared_memory.SharedMemory(create=True, size=10)
    shared.close()
    shared.unlink()
    with multiprocessing.get_context("fork").Lock():
        done.append("locked")
    ssl.create_default_context()
    return [*done, str(len(os.getrandom(8) + secrets.token_bytes(8) + uuid.uuid4().bytes))]


def processes_and_signals() -> list[str]:
    """More of it."""
    import concurrent.futures
    import ctypes
    import multiprocessing
    import os
    import signal
    import socket

    status = os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)[1]
    signal.pidfd_send_signal(os.pidfd_open(os.getpid()), 0)
    libc = ctypes.CDLL(None, use_errno=True)
    membarrier, register_private_expedited = {"x86_64": 324}.get(os.uname().machine, 283), 1 << 4
    done = [str(status), str(libc.syscall(membarrier, register_private_expedited, 0, 0))]
    done += [str(libc.prctl(15, b"a name", 0, 0, 0)), str(libc.prctl(36, 1, 0, 0, 0))]  # PR_SET_NAME, a subreaper
    left, right = socket.socketpair()
    socket.send_fds(left, [b"x"], [0])
    os.close(socket.recv_fds(right, 1, 1)[1][0])
    socket.getaddrinfo("localhost", 80)
    with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as pool:
        return [*done, pool.submit(str, "pooled").result()]


def test_right_programs_with_odd_habits_work(rules: Path) -> None:
    assert under(rules, files_and_memory) == ["log", "log.1", "locked", "32"]
    assert under(rules, processes_and_signals) == ["0", "0", "0", "0", "pooled"]


def test_threads_processes_and_sockets_work_without_clone3(rules: Path) -> None:
    assert under(rules, ordinary_work) == {
        "clone3": errno.ENOSYS,
        "threads": [0, 1, 2, 3, 4, 5, 6, 7],
        "process": "from a child",
        "command": "spawned\n",
        "loop": "awaited",
        "connection": "hello",
    }


# --- which libseccomp ---------------------------------------------------------------------------------------------


class Library:
    """A libseccomp that knows fewer calls, and notes for which it was asked."""

    def __init__(self, library: ctypes.CDLL, *unknown: str) -> None:
        self._library, self._unknown = library, unknown
        self.asked: list[str] = []

    def seccomp_arch_native(self) -> int:
        return int(self._library.seccomp_arch_native())

    def seccomp_syscall_resolve_name(self, name: bytes) -> int:
        self.asked.append(name.decode())
        return -1 if name.decode() in self._unknown else number_of(self._library, name.decode())


def test_the_numbers_of_new_calls_are_not_asked_of_libseccomp(library: ctypes.CDLL) -> None:
    """An old one does not know them, and what it does not know would pass."""
    noting: Any = Library(library)

    call_filter.program(noting)

    assert {"ptrace", "keyctl", "fcntl"} <= set(noting.asked)
    assert max(number_of(library, name) for name in noting.asked) < call_filter._FIRST_COMMON


@pytest.mark.parametrize("name", ["ptrace", "io_submit", "fcntl"])
def test_a_name_that_libseccomp_does_not_know_is_no_verdict(library: ctypes.CDLL, name: str) -> None:
    poor: Any = Library(library, name)

    with pytest.raises(GraderError, match=rf"does not know the system call {name}; update libseccomp2\."):
        call_filter.program(poor)


@pytest.mark.parametrize("other", os.environ.get("LIBSECCOMP_OTHERS", "").split(":"))
def test_another_libseccomp_gives_the_same_filter(library: ctypes.CDLL, other: str) -> None:
    if not other:
        pytest.skip("set LIBSECCOMP_OTHERS to paths of other versions' libseccomp.so.2, separated by colons")
    loaded = ctypes.CDLL(other)
    loaded.seccomp_arch_native.restype = ctypes.c_uint32

    assert call_filter.program(loaded) == call_filter.program(library)


def test_a_system_without_libseccomp_has_no_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_arguments: object, **_options: object) -> None:
        raise OSError("libseccomp.so.2: cannot open shared object file")

    monkeypatch.setattr(ctypes, "CDLL", missing)

    assert call_filter.libseccomp.__wrapped__() is None
