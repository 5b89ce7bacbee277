"""The system call filter, installed for real in a child process: what it refuses, and what goes on working under it.

Each refusal has a control without the filter, or it could be the kernel's own. Arguments are -1 throughout, which no
call can act on.
"""

import ctypes
import errno
import inspect
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from grader import filter as call_filter
from grader.errors import GraderError

# What a program must not be able to do whatever its rights are; security of the wall hangs on each.
ESSENTIAL = {
    *("add_key", "bpf", "chroot", "fsopen", "io_uring_setup", "kcmp", "kexec_load", "keyctl", "mount", "open_tree"),
    *("open_by_handle_at", "perf_event_open", "personality", "pidfd_getfd", "pivot_root", "process_vm_readv", "ptrace"),
    *("process_vm_writev", "seccomp", "setns", "umount2", "unshare", "userfaultfd"),
}


@pytest.fixture(scope="module")
def library() -> ctypes.CDLL:
    found = call_filter.libseccomp()
    if found is None:
        pytest.skip("libseccomp.so.2 is not installed")
    return found


@pytest.fixture
def rules(library: ctypes.CDLL, tmp_path: Path) -> Path:
    """The filter of an untraced box."""
    return written(library, tmp_path / "rules.bpf", refuse_io_uring=True)


def written(library: ctypes.CDLL, file: Path, *, refuse_io_uring: bool) -> Path:
    with file.open("wb") as target:
        call_filter.write_filter(library, target, refuse_io_uring=refuse_io_uring)
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
    numbers = {name: number_of(library, name) for name in {*call_filter._REFUSED, *call_filter._IO_URING}}
    here = {name: number for name, number in numbers.items() if number >= 0}  # negative: not on this architecture
    calls = [[number, -1, -1, -1, -1, -1] for number in here.values()]
    harmless = [name != "vhangup" for name in here]

    refused = dict(zip(here, under(rules, errors_of, calls), strict=True))
    without = under(None, errors_of, [call for call, safe in zip(calls, harmless, strict=True) if safe])

    assert refused.keys() >= ESSENTIAL
    assert refused == {name: errno.ENOSYS if name in call_filter._IO_URING else errno.EPERM for name in here}
    by_the_kernel = sum(number == errno.EPERM for number in without)
    assert by_the_kernel < len(without) / 2  # an unprivileged user is refused some anyway


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
    families = (16, 17, 38, 40)  # AF_NETLINK, AF_PACKET, AF_ALG, AF_VSOCK: socket(2)
    calls = [
        [prctl, 22 | upper_half, 2, 0, 0, 0],  # PR_SET_SECCOMP
        [ioctl, 0, 0x5412 | upper_half, 0],  # TIOCSTI
        [ioctl, 0, 0x541C | upper_half, 0],  # TIOCLINUX
        *([socket_, family | upper_half, 3, 0] for family in families),
        [socket_, 2, 1, 262 | upper_half],  # AF_INET, SOCK_STREAM, IPPROTO_MPTCP
    ]
    expected = [errno.EPERM] * 3 + [errno.EAFNOSUPPORT] * 4 + [errno.EPROTONOSUPPORT]

    assert under(rules, errors_of, calls) == expected
    assert all(found != refused for found, refused in zip(under(None, errors_of, calls[:4]), expected, strict=False))


def test_io_uring_is_left_to_the_kernel_when_a_policy_must_see_it(library: ctypes.CDLL, tmp_path: Path) -> None:
    numbers = [number_of(library, name) for name in ("io_uring_setup", "io_uring_enter", "io_uring_register")]
    calls = [[number, -1, -1, -1, -1, -1, -1] for number in numbers]
    strict = written(library, tmp_path / "strict.bpf", refuse_io_uring=True)
    open_ = written(library, tmp_path / "open.bpf", refuse_io_uring=False)

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


def test_threads_processes_and_sockets_work_without_clone3(rules: Path) -> None:
    assert under(rules, ordinary_work) == {
        "clone3": errno.ENOSYS,
        "threads": [0, 1, 2, 3, 4, 5, 6, 7],
        "process": "from a child",
        "command": "spawned\n",
        "loop": "awaited",
        "connection": "hello",
    }


# --- how it is written --------------------------------------------------------------------------------------------


@pytest.fixture
def full() -> Iterator[int]:
    """A pipe that nobody reads, so that writing fails."""
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


def test_a_filter_that_cannot_be_written_is_no_verdict(library: ctypes.CDLL, full: int) -> None:
    with os.fdopen(full, "wb", closefd=False) as target, pytest.raises(GraderError, match=r"could not export.*libsec"):
        call_filter.write_filter(library, target, refuse_io_uring=True)


class OutOfMemory:
    """libseccomp when there is no memory left for a rule."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library

    def __getattr__(self, name: str) -> Any:
        return getattr(self._library, name)

    def seccomp_rule_add_array(self, *_rule: Any) -> int:
        return -errno.ENOMEM


def test_a_rule_that_is_refused_is_no_verdict(library: ctypes.CDLL, tmp_path: Path) -> None:
    poor: Any = OutOfMemory(library)

    with pytest.raises(GraderError, match=r"refused the rule for ptrace; update libseccomp2\."):
        written(poor, tmp_path / "rules.bpf", refuse_io_uring=True)
