"""The clients, against real servers in threads of the test: good ones, and each way of being a bad one."""

import random
import resource
import select
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from grader.failures import CheckFailed, Crashed, Evidence, Unmeasured
from grader.measure import clients as crowd_module
from grader.measure.clients import Client, Crowd, Unread, not_accepted, polled, shown, wait_for

PATIENCE_S = 120.0
Address = tuple[str, int]


def patience(silent_s: float) -> None:
    """A way out for a test that hangs."""
    if silent_s > PATIENCE_S:
        raise CheckFailed(expected="an answer", seen=f"nothing for {PATIENCE_S:.0f} seconds")


def no_patience(silent_s: float) -> None:
    raise Crashed(expected="an answer", seen="nothing", evidence=["a line"])


def shout(line: bytes) -> bytes:
    return line.upper()


@contextmanager
def listening(backlog: int = 4096) -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0), backlog=backlog) as listener:
        yield listener


@contextmanager
def serving(listener: socket.socket, serve: Callable[[socket.socket], None]) -> Iterator[None]:
    """A thread that accepts and serves one connection after the other until the end of the block."""

    def run() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                serve(connection)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RD)  # wakes up accept(), which a close() does not
        thread.join(PATIENCE_S)
        assert not thread.is_alive()


def replying(*replies: bytes) -> Callable[[socket.socket], None]:
    """Serve by these bytes, one piece for each read, whatever was asked; then close."""

    def serve(connection: socket.socket) -> None:
        for reply in replies:
            if not connection.recv(65536):
                return
            connection.sendall(reply)

    return serve


@contextmanager
def client_of(serve: Callable[[socket.socket], None]) -> Iterator[Client]:
    with listening() as listener, serving(listener, serve):
        client = Client(listener.getsockname(), patience)
        try:
            yield client
        finally:
            client.close()


@dataclass
class Loop:
    """One thread that answers every line of every client in capitals, as soon as `together` of them are unanswered."""

    listener: socket.socket
    together: int = 1
    lines: list[bytes] = field(default_factory=list)
    peers: list[Address] = field(default_factory=list)
    most_unanswered: int = 0

    def run(self, stop: socket.socket) -> None:
        with ExitStack() as stack:
            poller = stack.enter_context(select.epoll())
            poller.register(self.listener, select.EPOLLIN)
            poller.register(stop, select.EPOLLIN)
            self.listener.setblocking(False)
            connections: dict[int, tuple[socket.socket, Address]] = {}
            unanswered: list[tuple[socket.socket, bytes]] = []
            while True:
                for fd, _ in poller.poll():
                    if fd == stop.fileno():
                        return
                    if fd == self.listener.fileno():
                        connection, address = self.listener.accept()
                        stack.enter_context(connection)
                        connections[connection.fileno()] = connection, address
                        poller.register(connection, select.EPOLLIN)
                        continue
                    connection, address = connections[fd]
                    data = b""
                    with suppress(ConnectionResetError):
                        data = connection.recv(65536)
                    if not data:
                        del connections[fd]
                        connection.close()
                        continue
                    unanswered += [(connection, line) for line in data.splitlines()]
                    self.lines += data.splitlines()
                    self.peers += [address for _ in data.splitlines()]
                    self.most_unanswered = max(self.most_unanswered, len(unanswered))
                if len(unanswered) >= self.together:
                    while unanswered:
                        connection, line = unanswered.pop()
                        connection.sendall(shout(line) + b"\n")


@contextmanager
def loop(together: int = 1) -> Iterator[Loop]:
    near, far = socket.socketpair()
    with near, far, listening() as listener:
        serving_loop = Loop(listener, together)
        thread = threading.Thread(target=serving_loop.run, args=(far,))
        thread.start()
        try:
            yield serving_loop
        finally:
            near.send(b"!")
            thread.join(PATIENCE_S)
            assert not thread.is_alive()


def crowd_of(server: Loop, count: int, *, seed: int = 1) -> Crowd:
    crowd = Crowd(shout, random.Random(seed), patience)
    crowd.join(server.listener, count)
    return crowd


# --- one client ---------------------------------------------------------------------------------------------------


def test_a_right_reply_is_right_however_it_comes() -> None:
    with listening() as listener:
        client = Client(listener.getsockname(), patience)
        with listener.accept()[0] as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for piece in (b"HEL", b"LO\nAGA", b"IN\n"):
                connection.sendall(piece)
            client.ask(b"hello", b"HELLO")
            client.ask(b"again", b"AGAIN")
            asked = connection.recv(100)
        client.close()

    assert asked == b"hello\nagain\n"


def test_what_comes_for_all_clients_together_has_one_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crowd_module, "_MOST_BYTES", 1000)
    unread = Unread()
    with listening() as listener, ExitStack() as stack:
        pairs = []
        for _ in range(5):
            client = Client(listener.getsockname(), patience, unread=unread)
            stack.callback(client.close)
            pairs.append((client, stack.enter_context(listener.accept()[0])))

        def come(number: int, data: bytes) -> None:
            client, connection = pairs[number]
            connection.sendall(data)
            client._wait(select.POLLIN)
            assert client.feed()

        for number in range(4):
            come(number, b"x" * 239 + b"\n")
        assert unread.size_bytes == 960
        assert pairs[0][0].read_line() == b"x" * 239
        assert pairs[1][0].read_exactly(240)[-1:] == b"\n"
        pairs[2][0].close()
        assert unread.size_bytes == 240
        come(0, b"y" * 700)
        with pytest.raises(CheckFailed, match=r"more than 0 MiB, to one with b'zz+' first"):
            come(4, b"z" * 61)


def test_a_wrong_reply_is_told_beside_the_right_one() -> None:
    with client_of(replying(b"hello\n")) as client, pytest.raises(CheckFailed) as failure:
        client.ask(b"hello", b"HELLO")

    assert failure.value.expected == "the reply b'HELLO' to b'hello'"
    assert failure.value.seen == "b'hello'"


def test_a_connection_that_is_closed_too_early_is_told_with_what_came() -> None:
    with client_of(replying(b"HEL")) as client, pytest.raises(CheckFailed) as failure:
        client.ask(b"hello", b"HELLO")

    assert failure.value.expected == "the reply b'HELLO' to b'hello'"
    assert failure.value.seen == "the connection was closed after b'HEL'"


@pytest.mark.parametrize(
    ("sent", "read"),
    [(b"HELLO\n", b"HELLO"), (b"HELLO\nmore", b"HELLO"), (b"HELLO", b"HELLO"), (b"\n", b"")],
)
def test_a_line_is_read_up_to_its_newline_or_to_the_end_of_the_connection(sent: bytes, read: bytes) -> None:
    with client_of(replying(sent)) as client:
        client.send(b"hello\n")

        assert client.read_line_or_end() == read


def test_silence_ends_when_the_watch_says_so_and_keeps_the_kind_of_failure() -> None:
    with listening() as listener:
        client = Client(listener.getsockname(), no_patience)
        with pytest.raises(Crashed) as failure:
            client.ask(b"hello", b"HELLO")
        client.close()

    assert (failure.value.expected, failure.value.seen) == ("the reply b'HELLO' to b'hello'", "nothing")
    assert failure.value.evidence == (Evidence("a line"),)


def test_silence_after_a_part_of_the_reply_is_told_with_the_part() -> None:
    with listening() as listener:
        client = Client(listener.getsockname(), no_patience)
        with listener.accept()[0] as connection:
            connection.sendall(b"HEL")
            wait_for(polled(lambda: client.feed() and bool(client._got)), patience)
            with pytest.raises(CheckFailed) as failure:
                client.read_line("a line")
            with pytest.raises(CheckFailed) as other:
                client.read_until_closed()
        client.close()

    assert failure.value.seen == other.value.seen == "nothing after b'HEL'"


def test_a_port_where_nobody_listens_is_told() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))

        with pytest.raises(CheckFailed) as failure:
            Client(unused.getsockname(), patience)

    assert failure.value.expected == "a connection"
    assert "refused" in failure.value.seen


def test_a_large_request_is_sent_whole_while_the_server_takes_its_time() -> None:
    got = bytearray()

    def slow(connection: socket.socket) -> None:
        while data := connection.recv(4096):
            got.extend(data)

    request = random.Random(1).randbytes(4 << 20)
    with client_of(slow) as client:
        client.send(request)
        client.half_close()
        assert client.read_until_closed() == b""

    assert bytes(got) == request


def test_a_server_that_does_not_read_ends_the_patience() -> None:
    with listening() as listener:
        client = Client(listener.getsockname(), no_patience)
        with listener.accept()[0], pytest.raises(Crashed, match="seen nothing"):
            client.send(bytes(64 << 20))
        client.close()


def test_an_offer_ends_where_nothing_more_is_taken() -> None:
    settled: list[bool] = []
    with listening() as listener:
        client = Client(listener.getsockname(), no_patience)
        with listener.accept()[0]:
            taken = client.offer_until_stuck(bytes(1000), 64 << 20, lambda: settled.append(True))
        client.close()

    assert 0 < taken < 16 << 20
    assert settled


def test_an_offer_to_who_reads_on_is_taken_whole() -> None:
    def reads_on(connection: socket.socket) -> None:
        while connection.recv(65536):
            pass

    with client_of(reads_on) as client:
        assert client.offer_until_stuck(bytes(1000), 8_000_000, lambda: None) == 8_000_000


def test_an_offer_to_who_is_gone_is_a_failure_with_the_systems_word() -> None:
    with listening() as listener:
        client = Client(listener.getsockname(), patience)
        connection, _ = listener.accept()
        reset(connection)
        with pytest.raises(CheckFailed) as failure:
            client.offer_until_stuck(bytes(1000), 64 << 20, lambda: None)
        client.close()

    assert failure.value.expected == "a connection that stays open"
    assert failure.value.seen in ("send: Connection reset by peer", "send: Broken pipe")


def test_a_reset_while_sending_is_a_failure_with_the_systems_word() -> None:
    with listening() as listener:
        client = Client(listener.getsockname(), patience)
        connection, _ = listener.accept()
        reset(connection)
        with pytest.raises(CheckFailed) as failure:
            client.send(bytes(64 << 20))
        client.close()

    assert failure.value.expected == "a connection that takes 67,108,864 bytes"
    assert failure.value.seen in ("send: Connection reset by peer", "send: Broken pipe")


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def test_exactly_so_many_bytes_are_read_and_the_rest_is_kept() -> None:
    with client_of(replying(b"x" * 100_000 + b"rest\n")) as client:
        client.send(b"!")

        assert client.read_exactly(100_000) == b"x" * 100_000
        assert client.read_line() == b"rest"


def test_too_few_bytes_are_told_by_number() -> None:
    with client_of(replying(b"x" * 100)) as client:
        client.send(b"!")
        with pytest.raises(CheckFailed) as failure:
            client.read_exactly(1001)

    assert failure.value.expected == "1,001 bytes of replies"
    assert failure.value.seen == f"the connection was closed after {b'x' * 40!r}... (100 bytes)"


@pytest.mark.parametrize("end", [socket.socket.close, reset], ids=["closed", "reset"])
def test_the_end_of_a_connection_is_seen_whichever_it_is(end: Callable[[socket.socket], None]) -> None:
    with listening() as listener:
        client = Client(listener.getsockname(), patience)
        connection, _ = listener.accept()
        before = client.closed()
        connection.sendall(b"last words")
        wait_for(polled(lambda: client.feed() and bool(client._got)), patience)
        end(connection)
        wait_for(polled(client.closed), patience)

        assert before is False
        assert client.read_until_closed() == b"last words"
        client.close()


def test_a_small_receive_buffer_is_there_before_the_window_is_announced() -> None:
    with listening() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)  # what is accepted here inherits it
        small = Client(listener.getsockname(), patience, receive_buffer=4096)
        taken_by_small = taken(listener)
        large = Client(listener.getsockname(), patience)
        taken_by_large = taken(listener)
        small.close()
        large.close()

    assert taken_by_small < taken_by_large / 4


def taken(listener: socket.socket) -> int:
    """How much a server can send to a client that does not read."""
    connection, _ = listener.accept()
    with connection:
        connection.settimeout(0.1)
        sent = 0
        with suppress(TimeoutError):
            while sent < 4 << 20:
                sent += connection.send(bytes(4096))
        return sent


def test_bytes_are_shown_short_escaped_and_with_their_length_when_cut() -> None:
    assert shown(b"a\x1b\xff\n") == r"b'a\x1b\xff\n'"
    assert shown(b"x" * 60) == repr(b"x" * 60)
    assert shown(b"x" * 61_000) == f"{b'x' * 40!r}... (61,000 bytes)"


def test_waiting_tells_the_watch_how_long_it_has_been_silent_and_ends_with_what_was_found() -> None:
    told: list[float] = []

    found = wait_for(lambda _seconds: "found" if len(told) == 3 else "", told.append)

    assert found == "found"
    assert told == sorted(told)
    assert len(told) == 3


# --- a crowd ------------------------------------------------------------------------------------------------------


def test_each_of_500_connections_is_asked_one_fresh_question_in_random_order() -> None:
    with loop() as server, crowd_of(server, 500) as crowd:
        joined = [client.sock.getsockname() for client in crowd]

        crowd.ask_each()

    assert len(joined) == len(set(server.peers)) == len(server.peers) == 500
    assert len(set(server.lines)) == 500
    assert server.peers != joined


def test_so_many_questions_are_unanswered_at_once_and_never_more() -> None:
    with loop(together=20) as server, crowd_of(server, 100) as crowd:
        crowd.ask_each(in_flight=20)

        assert server.most_unanswered == 20
        assert len(server.lines) == 100


def test_serial_questions_come_one_at_a_time_on_any_connection() -> None:
    with loop() as server, crowd_of(server, 10) as crowd:
        crowd.ask_serially(200)

    assert server.most_unanswered == 1
    assert len(set(server.lines)) == 200
    assert len(set(server.peers)) == 10


def test_queued_questions_are_all_asked_before_any_reply_is_read() -> None:
    with loop(together=50) as server, crowd_of(server, 50) as crowd:
        crowd.queue_each()
        crowd.collect()

    assert server.most_unanswered == 50
    assert len(set(server.peers)) == 50


def test_only_those_who_are_named_are_asked() -> None:
    with loop() as server, crowd_of(server, 10) as crowd:
        crowd.ask_each(crowd.clients[:3])
        asked = {client.sock.getsockname() for client in crowd.clients[:3]}

    assert set(server.peers) == asked


def test_questions_come_from_the_seed() -> None:
    def questions(seed: int) -> list[bytes]:
        with loop() as server, crowd_of(server, 3, seed=seed) as crowd:
            crowd.ask_serially(5)
        return server.lines

    assert questions(1) == questions(1) != questions(2)


def test_a_wrong_reply_to_one_of_many_is_told() -> None:
    with loop() as server, crowd_of(server, 20) as crowd:
        crowd._handler = lambda line: line[::-1]

        with pytest.raises(CheckFailed, match=r"expected the reply b'[0-9a-f]{16}' to b'[0-9a-f]{16}'; seen b'"):
            crowd.ask_each()


def test_a_connection_of_many_that_is_closed_instead_of_answered_is_told() -> None:
    with listening() as listener, serving(listener, replying(b"")):
        crowd = Crowd(shout, random.Random(1), patience)
        crowd.join(listener, 3)
        with crowd, pytest.raises(CheckFailed) as failure:
            crowd.ask_each()

    assert failure.value.expected.endswith("on each of 3 connections")
    assert failure.value.seen == "a connection was closed before it was answered"


def test_a_server_that_never_accepts_has_connections_and_answers_none() -> None:
    with listening() as listener, Crowd(shout, random.Random(1), no_patience) as crowd:
        crowd.join(listener, 50)

        assert len(crowd) == 50
        assert not_accepted(listener) == 50
        with pytest.raises(Crashed):
            crowd.ask_each()
        listener.accept()[0].close()
        assert not_accepted(listener) == 49


def test_who_joins_goes_where_it_listened_when_nobody_else_had_it() -> None:
    with listening() as listener, Crowd(shout, random.Random(1), no_patience) as crowd:
        address = listener.getsockname()
        listener.close()
        with listening() as moved:
            with pytest.raises(CheckFailed, match="connect: "):
                crowd.join(moved, 1, address=address)
            crowd.join(moved, 1)

        assert len(crowd) == 1


def test_joining_waits_while_half_of_the_backlog_is_not_accepted() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 3000 or int(Path("/proc/sys/net/core/somaxconn").read_text()) < 4096:
        pytest.skip("this machine allows too few descriptors, or too short a backlog")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        with listening() as listener, Crowd(shout, random.Random(1), no_patience) as crowd:
            with pytest.raises(Crashed):
                crowd.join(listener, 2900)

            assert 2048 < not_accepted(listener) < 2400
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_more_connections_than_descriptors_are_unmeasured_and_none_is_made() -> None:
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    with listening() as listener, Crowd(shout, random.Random(1), patience) as crowd:
        with pytest.raises(Unmeasured, match=r"do not fit into .* descriptors\. Raise `ulimit -Hn`\."):
            crowd.join(listener, allowed)

        assert len(crowd) == not_accepted(listener) == 0


# --- how they go --------------------------------------------------------------------------------------------------


def in_time_wait(port: int) -> int:
    """Connections to a port that are in TIME_WAIT: state 06 of /proc/net/tcp, proc(5)."""
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[3] == "06" and f"{port:04X}" in (row[1][-4:], row[2][-4:]) for row in rows)


def test_who_leaves_with_a_reset_leaves_no_time_wait_and_who_says_goodbye_does() -> None:
    with loop() as server:
        port = server.listener.getsockname()[1]
        with crowd_of(server, 20) as crowd:
            crowd.ask_each()
            crowd.leave(crowd.clients[:10])
            crowd.ask_each()
            after_reset = in_time_wait(port)
            remaining = len(crowd)
            crowd.leave(crowd.clients[:4], politely=True)
            wait_for(polled(lambda: in_time_wait(port) == 4), patience)
            crowd.ask_each()

    assert (after_reset, remaining) == (0, 10)


def test_a_crowd_is_gone_at_the_end_of_its_block_whatever_happens_in_it() -> None:
    with loop() as server:
        crowd = crowd_of(server, 5)
        clients = list(crowd)
        with pytest.raises(CheckFailed), crowd:
            crowd.clients[0].check(b"asked", b"ASKED", b"another reply")

        assert [client.fileno() for client in clients] == [-1] * 5
        assert list(crowd) == []


def test_whoever_half_closes_a_connection_that_is_reset_reads_its_end() -> None:
    def resets(connection: socket.socket) -> None:
        connection.recv(1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with client_of(resets) as client:
        client.send(b"x")
        while client.feed():  # until the reset has come
            client._wait(select.POLLIN)
        client.half_close()

        with pytest.raises(CheckFailed, match="the connection was closed after b''"):
            client.read_line()


def test_a_half_closed_connection_still_gets_its_replies() -> None:
    def after_the_end(connection: socket.socket) -> None:
        data = b""
        while more := connection.recv(100):
            data += more
        connection.sendall(data.upper())

    with client_of(after_the_end) as client:
        client.send(b"one\ntwo\n")
        client.half_close()

        assert client.read_until_closed() == b"ONE\nTWO\n"
