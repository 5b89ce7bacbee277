"""The judge's end of the channel to a box: frames of JSON, from a stranger. Knows what a message may be, how long it
may take, and who has sent it by the kernel's word; knows nothing of what messages mean. The other end is
`inside.Channel`.
"""

import json
import math
import select
import socket
import struct
import time
from collections.abc import Mapping, Sequence
from typing import Any

from grader.box import inside
from grader.words.say import say

_TRANSCRIPT_BYTES = 1 << 20  # of what was said on the channel, where that is kept
_SEND_S = 30.0  # for a program that does not read; a busy machine is slow, but not as slow


class BoxEnded(Exception):
    """The box's program has ended, or says what is not a message."""


class Channel:
    """The judge's end of one socket.

    Attributes:
        pid: the program's process, as the host numbers it; 0 until it has said something.
        uid: its user, as the host numbers it.
        transcript: what judge and box have said, a line each, the first MiB of it; None when that is not taken down.
    """

    def __init__(self, near: socket.socket, *, takes_down: bool = False) -> None:
        near.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._socket = near
        self._life_pidfd = -1
        self.pid = self.uid = 0
        self.transcript = bytearray() if takes_down else None

    def ends_with(self, pidfd: int) -> None:
        """From now on nothing more is waited for when this process has ended."""
        self._life_pidfd = pidfd

    def close(self) -> None:
        self._socket.close()
        self._life_pidfd = -1

    def send(self, message: Mapping[str, Any]) -> None:
        data = json.dumps(message).encode()
        self._take_down(b"judge", data)
        self._socket.settimeout(_SEND_S)
        try:
            self._socket.sendall(struct.pack(">I", len(data)) + data)
        except TimeoutError as error:
            raise BoxEnded(say("the program does not read its channel")) from error
        except OSError as error:
            raise BoxEnded(say("the program has closed its channel")) from error

    def lend(self, fds: Sequence[int]) -> None:
        """Descriptors for the program, which has been told to expect them.

        Raises:
            BoxEnded: nobody takes them.
        """
        try:
            socket.send_fds(self._socket, [b"!"], list(fds))
        except OSError as error:
            raise BoxEnded("the program has closed its channel") from error

    def receive(self, timeout_s: float) -> dict[str, Any]:
        """The next message. It comes from a stranger: its size, depth, numbers and type are checked.

        Raises:
            BoxEnded: the channel is closed, or what came is no message.
            TimeoutError: it did not come, or not to its end: bytes that trickle in buy no time.
        """
        deadline_s = time.monotonic() + timeout_s
        try:
            (size,) = struct.unpack(">I", self._exactly(4, deadline_s))
            if size > inside.MAX_FRAME_BYTES:
                raise BoxEnded(say("a message of {size:,} bytes came out of the box", size=size))
            data = self._exactly(size, deadline_s)
            self._take_down(b"box", data)
            message = json.loads(data, parse_constant=_no_constants, parse_float=_finite)
        except TimeoutError:
            raise
        except OSError as error:  # ECONNRESET: it ended before it had read everything
            raise BoxEnded(say("the program has ended")) from error
        except (ValueError, RecursionError) as error:
            raise BoxEnded(say("what came out of the box is not a message")) from error
        if not isinstance(message, dict):
            raise BoxEnded(say("what came out of the box is not a message"))
        return message

    def _take_down(self, who: bytes, data: bytes) -> None:
        if self.transcript is not None and len(self.transcript) + len(data) < _TRANSCRIPT_BYTES:
            self.transcript += who + b" " + data.replace(b"\n", b" ") + b"\n"

    def _exactly(self, wanted: int, deadline_s: float) -> bytes:
        got = bytearray()
        while len(got) < wanted:
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                raise TimeoutError
            if not readable(self._socket.fileno(), self._life_pidfd, timeout_s=left_s):
                raise TimeoutError
            if not readable(self._socket.fileno()):  # what is inside of a dead tracer or wall may hang for ever
                raise BoxEnded(say("the program has ended"))
            self._socket.settimeout(0)
            data, ancillary, _flags, _address = self._socket.recvmsg(wanted - len(got), socket.CMSG_SPACE(12))
            if not data:
                raise BoxEnded(say("the program has ended"))
            if self.pid == 0:  # struct ucred: pid, uid, gid, translated by the kernel to the judge's namespaces
                for _level, kind, payload in ancillary:
                    if kind == socket.SCM_CREDENTIALS:
                        self.pid, self.uid, _ = struct.unpack("3i", payload)
            got += data
        return bytes(got)

    def has_message(self) -> bool:
        """Whether a message, or the channel's end, is there to be received."""
        self._socket.settimeout(0)
        try:
            self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return True

    def wait_for_message(self, timeout_s: float) -> bool:
        """As `has_message`, when there is one, the box has ended or the time is over."""
        readable(self._socket.fileno(), self._life_pidfd, timeout_s=timeout_s)
        return self.has_message()


def _no_constants(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _finite(number: str) -> float:
    """JSON has no infinity, but a number so large that it becomes one."""
    value = float(number)
    if math.isinf(value):
        raise ValueError(f"{number} is too large")
    return value


def readable(*fds: int, timeout_s: float = 0.0) -> bool:
    """Whether one of them is; a pidfd is when the process has ended."""
    poller = select.poll()
    for fd in fds:
        poller.register(fd, select.POLLIN)
    return bool(poller.poll(timeout_s * 1000))
