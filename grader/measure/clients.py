"""The clients: one process that holds 10,000 connections and proves that each is served. Knows sockets and TCP; knows
nothing of boxes, traces or exercises.

A connection that the kernel has set up is not yet held by anyone: a server that never accepts shows thousands of
established ones. So each is asked a fresh random question, in random order, one outstanding at a time.

Nothing here sleeps for a fixed time and hopes. Whoever waits calls `watch` with the seconds of silence so far; it
raises when waiting has become pointless.
"""

import errno
import random
import resource
import select
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from grader.errors import GraderError
from grader.failures import CheckFailed, NoAnswer, Unmeasured

_T = TypeVar("_T")
Watch = Callable[[float], None]
Address = tuple[str, int]
Handler = Callable[[bytes], bytes]

_SLICE_S = 0.1
_MOST_BYTES = 8 << 20  # that all clients of a server keep together; what checks ask for at once is far smaller
_OWN_FDS = 64  # descriptors that the clients' process, or a server, uses for other things
_POLITE = 500  # a larger crowd leaves with RST: FIN would fill the ephemeral ports with TIME_WAIT
_TCPI_UNACKED = slice(24, 28)  # struct tcp_info of linux/tcp.h; on a listening socket: connections not yet accepted


def shown(data: bytes) -> str:
    """Bytes for a message: short, escaped, with the length when cut."""
    return repr(data) if len(data) <= 60 else f"{data[:40]!r}... ({len(data):,} bytes)"


def wait_for(poll: Callable[[float], _T], watch: Watch) -> _T:
    """Call `poll` (seconds to wait) until it returns something, and `watch` after each silent slice."""
    began_s = time.monotonic()
    while not (found := poll(_SLICE_S)):
        watch(time.monotonic() - began_s)
    return found


def polled(condition: Callable[[], bool]) -> Callable[[float], bool]:
    """A condition that the kernel has no event for, as `wait_for` wants it."""

    def poll(seconds: float) -> bool:
        deadline_s = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline_s:
                return False
            time.sleep(0.002)
        return True

    return poll


class Unread:
    """How much has come for the clients of one server that nobody has read yet: one limit for all of them."""

    size_bytes = 0


class Client:
    """One connection of the crowd."""

    def __init__(
        self,
        address: Address,
        watch: Watch,
        *,
        receive_buffer: int | None = None,
        unread: Unread | None = None,
    ) -> None:
        self._watch = watch
        self._unread = unread or Unread()
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if receive_buffer is not None:  # before connect(): it decides the window that is announced
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.settimeout(60.0)  # SYN retransmits back off; a connect that takes so long is lost
        try:
            self.sock.connect(address)
        except (TimeoutError, ConnectionError) as error:
            self.sock.close()
            raise CheckFailed(expected="a connection", seen=f"connect: {error}") from error
        except OSError as error:
            self.sock.close()
            if error.errno == errno.EADDRNOTAVAIL:  # the network is this submission's own, and it worked at first
                seen = "none is left: the program's own connections use them all"
                raise CheckFailed(expected="a port for one more client", seen=seen) from error
            raise GraderError(f"This machine cannot connect to its own loopback: {error}.") from error
        self.sock.setblocking(False)
        self._got = bytearray()

    def fileno(self) -> int:
        return self.sock.fileno()

    def send(self, data: bytes) -> None:
        """Send all of it, waiting for room."""
        view = memoryview(data)
        while view:
            try:
                view = view[self.sock.send(view) :]
            except BlockingIOError:
                self._wait(select.POLLOUT)
            except OSError as error:
                raise CheckFailed(
                    expected=f"a connection that takes {len(data):,} bytes", seen=f"send: {error.strerror}"
                ) from error

    def offer_until_stuck(self, line: bytes, most_bytes: int, settle: Callable[[], object]) -> int:
        """Send this line again and again, until nothing more is taken of a server that has settled; returns the bytes
        that were taken. What the kernel keeps on this side is little, and belongs to them.
        """
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 17)
        poller = select.poll()
        poller.register(self.sock, select.POLLOUT)
        view, taken = memoryview(line * (most_bytes // len(line))), 0
        while taken < len(view):
            try:
                taken += self.sock.send(view[taken:])
            except BlockingIOError:
                settle()
                if not poller.poll(300):  # a window that opens late is asked for by a timer of 200 ms: tcp(7)
                    break
            except OSError as error:
                raise CheckFailed(expected="a connection that stays open", seen=f"send: {error.strerror}") from error
        return taken

    def feed(self) -> bool:
        """Take what has come, without waiting. Returns False when the other end has closed or reset."""
        try:
            while data := self.sock.recv(65536):
                self._got += data
                self._unread.size_bytes += len(data)
                if self._unread.size_bytes > _MOST_BYTES:
                    seen = f"more than {_MOST_BYTES >> 20} MiB, to one with {shown(bytes(self._got[:60]))} first"
                    raise CheckFailed(expected="replies to what was asked", seen=seen)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def line_ready(self) -> bytes | None:
        """The next whole line that has come, without its newline; None when there is none yet."""
        end = self._got.find(b"\n")
        if end < 0:
            return None
        return self._taken(end + 1)[:end]

    def _taken(self, size_bytes: int) -> bytes:
        """The first bytes that have come, which are kept no longer."""
        data = bytes(self._got[:size_bytes])
        del self._got[:size_bytes]
        self._unread.size_bytes -= len(data)
        return data

    def read_line(self, expected: str = "a reply") -> bytes:
        """The next line, without its newline."""
        while (line := self.line_ready()) is None:
            self._more(expected)
        return line

    def read_line_or_end(self, expected: str = "a reply") -> bytes:
        """The next line, without its newline; of a connection that ends before one, what came until then."""
        while self.feed() and b"\n" not in self._got:
            self._wait_for_more(expected)
        line = self.line_ready()
        return self._taken(len(self._got)) if line is None else line

    def read_exactly(self, size_bytes: int) -> bytes:
        while len(self._got) < size_bytes:
            self._more(f"{size_bytes:,} bytes of replies")
        return self._taken(size_bytes)

    def read_until_closed(self, expected: str = "the end of the connection") -> bytes:
        """Everything up to the end; a reset is an end too."""
        while self.feed():
            self._wait_for_more(expected)
        return self._taken(len(self._got))

    def closed(self) -> bool:
        """Whether the other end has closed; what came before is kept."""
        return not self.feed()

    def ask(self, line: bytes, reply: bytes) -> None:
        """Send one line and compare its reply."""
        self.send(line + b"\n")
        self.check(line, reply, self.read_line(f"the reply {shown(reply)} to {shown(line)}"))

    @staticmethod
    def check(line: bytes, reply: bytes, got: bytes) -> None:
        if got != reply:
            raise CheckFailed(expected=f"the reply {shown(reply)} to {shown(line)}", seen=shown(got))

    def _more(self, expected: str) -> None:
        before = len(self._got)
        if not self.feed() and len(self._got) == before:
            raise CheckFailed(expected=expected, seen=f"the connection was closed after {shown(bytes(self._got))}")
        if len(self._got) == before:
            self._wait_for_more(expected)

    def _wait_for_more(self, expected: str) -> None:
        try:
            self._wait(select.POLLIN)
        except CheckFailed as failure:
            raise self._in_words(failure, expected) from failure

    def _in_words(self, failure: CheckFailed, expected: str) -> CheckFailed:
        if not self._got:
            return failure.retold(expected=expected)
        got = bytes(self._got)
        told = failure.retold(expected=expected, seen=f"{failure.seen} after {shown(got)}")
        if isinstance(told, NoAnswer):
            told.got = got
        return told

    def _wait(self, event: int) -> None:
        poller = select.poll()
        poller.register(self.sock, event)
        wait_for(lambda seconds: poller.poll(seconds * 1000), self._watch)

    def other_end(self) -> str:
        """The program's end of the connection as the kernel names a descriptor of it, which the network of judge and
        box shows: proc(5), net/tcp. Empty when it is closed.
        """
        ports = self.sock.getpeername()[1], self.sock.getsockname()[1]
        for row in Path("/proc/self/net/tcp").read_text().splitlines()[1:]:
            fields = row.split()
            if tuple(int(address.rpartition(":")[2], 16) for address in fields[1:3]) == ports:
                return f"socket:[{fields[9]}]" if int(fields[9]) else ""
        return ""

    def half_close(self) -> None:
        """Say that no more requests come; replies are still read. That the other end has gone is found by who reads."""
        with suppress(OSError):  # ENOTCONN, behind a reset
            self.sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._taken(len(self._got))
        self.sock.close()

    def reset(self) -> None:
        """Close with RST: no TIME_WAIT, so a crowd does not use up the ephemeral ports (tcp(7), SO_LINGER)."""
        with suppress(OSError):
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()


class Crowd:
    """Many connections to one server. Iterating gives the clients; they all go at the end of the `with` block."""

    def __init__(self, handler: Handler, rng: random.Random, watch: Watch, unread: Unread | None = None) -> None:
        self._handler, self._rng, self._watch = handler, rng, watch
        self._unread = unread or Unread()
        self.clients: list[Client] = []
        self._queued: list[tuple[Client, bytes]] = []

    def __iter__(self) -> Iterator[Client]:
        return iter(self.clients)

    def __len__(self) -> int:
        return len(self.clients)

    def __enter__(self) -> "Crowd":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave(self.clients, politely=len(self.clients) <= _POLITE)

    def join(self, listener: socket.socket, count: int, *, address: Address | None = None) -> None:
        """`count` more connections. Waits whenever half of the backlog is not yet accepted, so no SYN is dropped.

        Args:
            address: where it listened before anybody else had it: whoever holds a listening socket can move it.

        Raises:
            Unmeasured: more than this machine allows descriptors.
        """
        backlog = 4096
        allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if len(self.clients) + count > allowed - _OWN_FDS:
            raise Unmeasured(f"{count:,} connections do not fit into {allowed:,} descriptors. Raise `ulimit -Hn`.")
        for number in range(count):
            if number % 256 == 255:
                wait_for(polled(lambda: not_accepted(listener) <= backlog // 2), self._watch)
            self.clients.append(Client(address or listener.getsockname(), self._watch, unread=self._unread))

    def nonce(self) -> bytes:
        """A question that nobody can know beforehand."""
        return b"%016x" % self._rng.getrandbits(64)

    def ask_serially(self, requests: int) -> None:
        """One request at a time in the whole crowd, each on a random connection."""
        for _ in range(requests):
            line = self.nonce()
            self._rng.choice(self.clients).ask(line, self._handler(line))

    def ask_each(self, clients: Iterable[Client] | None = None, *, in_flight: int = 64) -> None:
        """A fresh question on each connection, in random order, at most `in_flight` of them unanswered at a time."""
        waiting = list(self.clients if clients is None else clients)
        self._rng.shuffle(waiting)
        asked: dict[int, tuple[Client, bytes]] = {}
        with select.epoll() as poller:
            while waiting or asked:
                while waiting and len(asked) < in_flight:
                    client, line = waiting.pop(), self.nonce()
                    client.send(line + b"\n")
                    asked[client.fileno()] = client, line
                    poller.register(client.fileno(), select.EPOLLIN)
                for fd, _event in self._ready(poller, len(waiting) + len(asked)):
                    client, line = asked[fd]
                    if self._answered(client, line):
                        del asked[fd]
                        poller.unregister(fd)

    def _ready(self, poller: select.epoll, unanswered: int) -> list[tuple[int, int]]:
        try:
            return wait_for(poller.poll, self._watch)
        except CheckFailed as failure:
            expected = f"replies to all of {len(self.clients):,} clients; {unanswered:,} have none"
            raise failure.retold(expected=expected) from failure

    def _answered(self, client: Client, line: bytes) -> bool:
        reply = self._handler(line)
        open_ = client.feed()
        got = client.line_ready()
        if got is not None:
            client.check(line, reply, got)
        elif not open_:
            raise CheckFailed(
                expected=f"the reply {shown(reply)} on each of {len(self.clients):,} connections",
                seen="a connection was closed before it was answered",
            )
        return got is not None

    def queue_each(self) -> None:
        """A question on each connection, without waiting for any reply."""
        for client in self._rng.sample(self.clients, len(self.clients)):
            line = self.nonce()
            client.send(line + b"\n")
            self._queued.append((client, line))

    def collect(self) -> None:
        """The replies to what was queued."""
        while self._queued:
            client, line = self._queued.pop()
            reply = self._handler(line)
            client.check(line, reply, client.read_line(f"the reply {shown(reply)} to {shown(line)}"))

    def leave(self, clients: Iterable[Client], *, politely: bool = False) -> None:
        """These go, with FIN when politely, else with RST."""
        gone = set(clients)
        for client in gone:
            client.close() if politely else client.reset()
        self.clients = [client for client in self.clients if client not in gone]


def not_accepted(listener: socket.socket) -> int:
    """How many connections wait in the backlog."""
    return int.from_bytes(listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)[_TCPI_UNACKED], sys.byteorder)
