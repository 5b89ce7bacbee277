"""A submission that serves, in its box, and its clients.

Knows sockets, signals and what a server says when it returns; knows nothing of how its box was made, or of scenarios.
"""

import contextlib
import os
import random
import signal
import socket
from collections import Counter
from collections.abc import Mapping
from typing import Any

from grader.box.box import Box
from grader.box.channel import BoxEnded
from grader.checks import processes, program
from grader.checks.last_words import last_lines, problem
from grader.checks.program import Program
from grader.failures import CheckFailed, Crashed, NoAnswer
from grader.measure import strace as tracer
from grader.measure.clients import Address, Client, Crowd, Handler, Unread, not_accepted, polled, wait_for
from grader.words.say import say


class Server(Program):
    """A submission that serves, in its box. Made by `Submission.serve`."""

    def __init__(
        self,
        box: Box,
        listener: socket.socket,
        stop_fd: int,
        trace: tracer.Trace | None,
        *,
        address: Address,
        handler: Handler,
        rng: random.Random,
        entry: str,
        rss_at_start: int,
        held_at_start: Counter[str],
    ) -> None:
        super().__init__(box, trace, entry=entry, goes_on=f"{entry} goes on serving")
        self.rss_at_start, self.held_at_start = rss_at_start, held_at_start
        self._listener, self._address, self._stop_fd = listener, address, stop_fd
        self._handler, self._rng = handler, rng
        self._told_to_stop = False
        self._unread = Unread()

    # --- clients

    def client(self, *, receive_buffer: int | None = None) -> contextlib.closing[Client]:
        """One more connection, closed at the end of the `with` block."""
        client = Client(self._address, self.watch, receive_buffer=receive_buffer, unread=self._unread)
        return contextlib.closing(client)

    def crowd(self, count: int) -> Crowd:
        """`count` connections, for a `with` block."""
        crowd = Crowd(self._handler, self._rng, self.watch, self._unread)
        try:
            self.add_clients(crowd, count)
        except BaseException:
            crowd.leave(crowd.clients)
            raise
        return crowd

    def add_clients(self, crowd: Crowd, count: int) -> None:
        """More connections for a crowd."""
        crowd.join(self._listener, count, address=self._address)

    def not_accepted(self) -> int:
        """Connections that wait in the backlog."""
        return not_accepted(self._listener)

    def _waiting(self) -> int:
        return self.not_accepted()

    # --- its processes

    def signal(self, number: int) -> None:
        """A signal to the main process. Behind SIGTERM its return is no accident: see `has_returned`, `returned`."""
        super().signal(number)
        if number == signal.SIGTERM:
            self._told_to_stop, self._goes_on = True, f"{self._entry} returns when it gets SIGTERM"

    def kill(self, pid: int) -> None:
        """SIGKILL to one of `processes()`. It may have ended since, and its number be a thread's."""
        with contextlib.suppress(ProcessLookupError, FileNotFoundError):
            pidfd = os.pidfd_open(pid)
            try:
                if pid not in self.processes():  # looked at behind the open: the number can go to nobody else now
                    return
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            finally:
                os.close(pidfd)

    # --- its end

    def check_alive(self) -> None:
        if not (self._told_to_stop and self._box.alive):
            super().check_alive()

    def has_returned(self) -> bool:
        """Whether the function has ended, in one way or another: `returned` tells in which."""
        return self._box.has_message()

    def stop(self) -> None:
        """Make stop_fd readable and wait until the function has returned, without an error."""
        os.write(self._stop_fd, b"!")
        self.returned("when stop_fd is readable")

    def returned(self, when: str) -> None:
        """Wait until the function has returned in the main process, or has left it by sys.exit(0).

        Raises:
            CheckFailed: it goes on, it raises, or a child of the main process comes out of it as well.
        """

        def still_serving(silent_s: float) -> None:
            if silent_s > program.SILENT_S / 2:
                seen, where = self._in_its_lines(say("it has not returned, and still runs"), silent_s)
                raise NoAnswer(expected=expected, seen=seen, evidence=where)

        expected = f"{self._entry} returns {when}"
        wait_for(polled(self._box.has_message), still_serving)
        try:
            message = self._box.receive(processes.MESSAGE_S)
        except (BoxEnded, TimeoutError) as error:
            raise Crashed(
                expected=expected,
                seen=f"the program ended with {self._box.ended_by()}",
                evidence=last_lines(self._box.output()),
            ) from error
        if "stray" in message:
            raise self._unasked(message)
        if "returned" not in message:
            raise problem(message.get("problem"), f"{self._entry} raised", f"{self._entry} returns")

    def holds_what_was_lent(self) -> bool:
        """Whether listener and stop descriptor are still open in the program, also behind its return."""
        lent = (f"socket:[{os.fstat(self._listener.fileno()).st_ino}]", f"pipe:[{os.fstat(self._stop_fd).st_ino}]")
        return set(lent) <= set(self.descriptors())

    def _unasked(self, message: Mapping[str, Any]) -> CheckFailed:
        if "stray" in message:
            return CheckFailed(
                expected=f"a child process never leaves {self._entry}: it ends there",
                seen=f"a child process returned from {self._entry}, and went on in its caller's code",
            )
        how = "raised SystemExit" if message.get("returned") == "SystemExit" else "returned"
        return Crashed(expected=self._goes_on, seen=f"{self._entry} {how} before it was told to")
