"""How many machine instructions a thread runs, counted from outside by single steps. Knows ptrace(2); knows nothing of
boxes, checks or servers.

A program cannot make this number up: the processor stops behind each instruction in user space, whatever function,
frame, signal handler or library it belongs to, and the kernel reports each stop to the tracer. What the kernel does is
no instruction of the program's: system calls count as one step each, and are counted by strace elsewhere. A string
instruction with a rep prefix is one step for each of its rounds.

A step costs some 20 microseconds of processor time, so this is for a few requests, never for a whole run. A thread can
have one tracer only: strace must not be there.

Sources: ptrace(2), waitid(2), Intel SDM 3B 17.3.1.4; measured on Linux 6.18.
"""

import ctypes
import errno
import os
import platform
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from grader.failures import Unmeasured

_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_LIBC.ptrace.restype = ctypes.c_long

_CONT, _SINGLE_STEP, _DETACH, _GET_EVENT_MESSAGE, _SEIZE, _INTERRUPT = 7, 9, 17, 0x4201, 0x4206, 0x4207
_TRACE_FORK, _TRACE_VFORK, _TRACE_CLONE = 1 << 1, 1 << 2, 1 << 3
_BIRTHS = {1, 2, 3}  # PTRACE_EVENT_FORK, _VFORK and _CLONE, in the upper bits of a stop's signal
# waitid(2). WNOWAIT, so that a dead process is left for whoever started it; __WALL, for a thread too.
_P_PID, _STOPPED_EXITED_NOWAIT_WALL = 1, 0x2 | 0x4 | 0x0100_0000 | 0x4000_0000
_CODE, _STATUS = 2, 6  # si_code and si_status, counted in ints from the beginning of siginfo_t on 64-bit machines
_CLD_TRAPPED = 4
_STOP_TAKEN_S = 10.0
_AT_HWCAP, _HWCAP_ATOMICS = 16, 1 << 8


class Steps:
    """A count that goes on in a thread of its own while the one who asked for it tells the story.

    Attributes:
        count: instructions so far.
        limit: at so many the thread is let go: it runs on at full speed, uncounted.
        gave_birth: it has made a thread or a process. It was let go then, for its work may be done elsewhere.
    """

    def __init__(self, pid: int, limit: int) -> None:
        self.count, self.limit = 0, limit
        self.gave_birth = False
        self._pid, self._pidfd = pid, -1
        self._refusal = ""
        self._begun = threading.Event()
        self._stop_taken = False
        self._siginfo = ctypes.create_string_buffer(128)
        self._fields = memoryview(self._siginfo).cast("B").cast("i")
        self._thread = threading.Thread(target=self._run, name="stepping", daemon=True)

    @property
    def over(self) -> bool:
        """Whether it has ended by itself: at its limit, by a birth, or because the program has ended."""
        return not self._thread.is_alive()

    def begin(self) -> None:
        """
        Raises:
            Unmeasured: this machine cannot step through it.
        """
        try:
            self._pidfd = os.pidfd_open(self._pid)
        except ProcessLookupError:
            return  # nothing is left to count, and whoever asks the program will hear why
        self._thread.start()
        self._begun.wait()
        if self._refusal:
            self._thread.join()
            raise Unmeasured(self._refusal)

    def end(self) -> None:
        """Let it go. A SIGSTOP reaches it in whatever it does or waits for; it is taken away again, so nobody stops."""
        if self._pidfd < 0:
            return
        with suppress(ProcessLookupError):
            if not self.over:
                signal.pidfd_send_signal(self._pidfd, signal.SIGSTOP)
                self._thread.join(_STOP_TAKEN_S)
                if not self._stop_taken:  # it was let go meanwhile, so the signal has stopped it
                    signal.pidfd_send_signal(self._pidfd, signal.SIGCONT)
        os.close(self._pidfd)
        self._pidfd = -1

    # --- in the thread: to the kernel, a tracer is one thread

    def _run(self) -> None:
        try:
            if not self._seize():
                return
        finally:
            self._begun.set()
        deliver = 0
        ptrace, wait, fields, pid, trap, limit = (
            _LIBC.ptrace,
            self._stop,
            self._fields,
            self._pid,
            signal.SIGTRAP,
            self.limit,
        )
        while ptrace(_SINGLE_STEP, pid, None, deliver) == 0 and wait():
            status = fields[_STATUS]
            if status == trap:
                self.count += 1
                deliver = 0
                if self.count >= limit:
                    break
            elif status == signal.SIGSTOP and not self._stop_taken:
                self._stop_taken = True
                break
            elif status >> 8 in _BIRTHS:
                self.gave_birth = True
                self._let_go_of_the_newborn()
                break
            else:  # a signal of its own, which is passed on; or a stop of the whole process, which has none
                deliver = status if status < 128 else 0
        self._take_pending_trap()
        ptrace(_DETACH, pid, None, None)

    def _seize(self) -> bool:
        """Stop it and become its tracer, on its own core where it has one: a step is two switches between them."""
        with suppress(ProcessLookupError):
            cores = os.sched_getaffinity(self._pid)
            if len(cores) == 1:
                os.sched_setaffinity(0, cores)
        self._refusal = refusal()
        if not self._refusal and _LIBC.ptrace(_SEIZE, self._pid, None, _TRACE_FORK | _TRACE_VFORK | _TRACE_CLONE) != 0:
            number = ctypes.get_errno()
            if number != errno.ESRCH:
                self._refusal = f"This machine does not let a program be stepped through: {os.strerror(number)}."
            return False
        return not self._refusal and _LIBC.ptrace(_INTERRUPT, self._pid, None, None) == 0 and self._stop()

    def _stop(self, pid: int | None = None) -> bool:
        """Wait for the next stop; False when the program has ended."""
        while _LIBC.waitid(_P_PID, pid or self._pid, self._siginfo, _STOPPED_EXITED_NOWAIT_WALL) != 0:
            if ctypes.get_errno() != errno.EINTR:
                return False
        return self._fields[_CODE] == _CLD_TRAPPED

    def _let_go_of_the_newborn(self) -> None:
        """It is traced from its birth, and would stand still."""
        newborn = ctypes.c_ulong()
        _LIBC.ptrace(_GET_EVENT_MESSAGE, self._pid, None, ctypes.addressof(newborn))
        if self._stop(newborn.value):
            _LIBC.ptrace(_DETACH, newborn.value, None, None)

    def _take_pending_trap(self) -> None:
        """A step's own SIGTRAP that comes behind another stop would kill a program that is let go with it."""
        while self._trap_is_pending() and _LIBC.ptrace(_CONT, self._pid, None, None) == 0 and self._stop():
            pass

    def _trap_is_pending(self) -> bool:
        try:
            lines = Path("/proc", str(self._pid), "status").read_bytes().split(b"\n")
        except OSError:
            return False
        pending = next((int(line.split()[1], 16) for line in lines if line.startswith(b"SigPnd:")), 0)
        return bool(pending >> (signal.SIGTRAP - 1) & 1)


@contextmanager
def stepping(pid: int, *, limit: int) -> Iterator[Steps]:
    """Count the instructions of this process's first thread from here to the end of the block, `limit` at most.

    Signals that it gets meanwhile are passed on, but for SIGTRAP.

    Raises:
        Unmeasured: this machine cannot step through it.
    """
    steps = Steps(pid, limit)
    try:
        steps.begin()
        yield steps
    finally:
        steps.end()


def refusal() -> str:
    """Why this processor's instructions cannot be counted by steps; empty when they can.

    On aarch64 a stop between an exclusive load and its store makes the store fail, so a loop around them never ends.
    Processors since ARMv8.1 have atomic instructions, which the C library takes instead.
    """
    if platform.machine() == "aarch64" and not _LIBC.getauxval(_AT_HWCAP) & _HWCAP_ATOMICS:
        return "This processor has no atomic instructions, so a program cannot be stepped through."
    return ""
