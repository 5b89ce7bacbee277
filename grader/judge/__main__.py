"""A slot: a process that has everything ready which a judge needs, and forks one for each submission. It is started by
`grading.slot`.

    python -I -m grader.judge CONTROL_FD PARENT_PID

What is said on the control descriptor stands in `protocol`; standard output and error are a log. A slot ends when the
other end is closed, by SIGTERM, or with the thread that has started it, and takes all that is below it along: its
judge, their boxes, and temporary folders that nobody holds any more. It reaps nobody else: a program may have many.
"""

import contextlib
import gc
import os
import select
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import NoReturn

from grader.box import kernel
from grader.box.inherited import begin_anew
from grader.box.levels import LevelRefused
from grader.box.scratch import sweep
from grader.box.staging import staging_folder
from grader.errors import KitError
from grader.judge.descendants import end_descendants
from grader.judge.preparing import Prepared, prepare
from grader.judge.protocol import Broken, Ended, Event, Job, Ready, Refused, Surroundings, line_of_event, message_of


class _ToldToEnd(BaseException):
    """SIGTERM, or nobody is at the other end."""


def main() -> None:
    begin_anew()
    signal.signal(kernel.IN_ORDER, _end)
    parent_pid = int(sys.argv[2])
    kernel.die_with_parent(parent_pid, by=kernel.IN_ORDER)
    kernel.adopt_orphans()
    os.umask(0o022)  # what it lays out is read by another user, whatever the caller keeps from others
    status = 1
    try:
        with socket.socket(fileno=int(sys.argv[1])) as control, contextlib.suppress(_ToldToEnd):
            _Slot(control).run(parent_pid)
        status = 0
    except BaseException:  # noqa: BLE001  # told in its log; what is below it goes all the same
        sys.excepthook(*sys.exc_info())
    finally:
        end_descendants()
        sweep(Path(tempfile.gettempdir()))  # what its starter held, if that was killed
        sys.stderr.flush()
        os._exit(status)  # Python's own end takes as long as a box


def _end(_number: int = 0, _frame: FrameType | None = None) -> NoReturn:
    signal.signal(kernel.IN_ORDER, signal.SIG_IGN)  # once is enough: it would come in the middle of the cleaning up
    raise _ToldToEnd


class _Slot:
    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._rest = b""

    def run(self, parent_pid: int) -> None:
        surroundings = message_of(self._line(), Surroundings)
        try:
            with staging_folder() as folder, prepare(surroundings, folder, parent_pid, _import_judging) as prepared:
                end_descendants()  # what the box of the proof has left to be waited for
                self._emit(Ready(prepared.untraceable))
                gc.freeze()  # what is here now stays: the collector of a judge would copy its pages
                for job in self._jobs():
                    self._run_judge(job, prepared)
        except LevelRefused as refusal:
            self._emit(Refused(str(refusal)))
        except KitError as error:
            self._emit(Broken(str(error)))

    def _jobs(self) -> Iterator[Job]:
        while True:
            yield message_of(self._line(), Job)

    def _run_judge(self, job: Job, prepared: Prepared) -> None:
        slot_pid = os.getpid()
        pid = os.fork()
        if pid == 0:
            self._be_judge(job, prepared, slot_pid)
        pidfd = os.pidfd_open(pid)
        try:
            poller = select.poll()
            poller.register(pidfd, select.POLLIN)
            poller.register(self._control, select.POLLIN)  # no job comes before this one has ended: it is the end
            if pidfd not in dict(poller.poll()):
                _end()
        finally:
            os.close(pidfd)
        _, status = os.waitpid(pid, 0)
        end_descendants()
        self._emit(Ended(_how(os.waitstatus_to_exitcode(status))))

    def _be_judge(self, job: Job, prepared: Prepared, slot_pid: int) -> NoReturn:
        status = 1
        try:
            signal.signal(kernel.IN_ORDER, signal.SIG_DFL)
            kernel.die_with_parent(slot_pid)
            kernel.adopt_orphans()
            from grader.judge.judging import judge  # the slot has imported it

            judge(job, prepared, self._emit)
            status = 0
        except BaseException:  # noqa: BLE001  # it ends here whatever comes, and never in what the slot would do next
            sys.excepthook(*sys.exc_info())
        finally:
            sys.stderr.flush()
            os._exit(status)

    def _emit(self, event: Event) -> None:
        with contextlib.suppress(ConnectionError):  # that nobody is there, the end of the other direction tells
            self._control.sendall(line_of_event(event))

    def _line(self) -> bytes:
        while b"\n" not in self._rest:
            data = b""
            with contextlib.suppress(ConnectionResetError):  # the other end was closed with something unread in it
                data = self._control.recv(1 << 16)
            if not data:
                _end()
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        return line


def _import_judging() -> None:
    """What every judge needs: most of a slot's start, and nothing of it needs the box that is proven then."""
    import grader.judge.judging  # noqa: F401


def _how(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"


if __name__ == "__main__":
    main()
