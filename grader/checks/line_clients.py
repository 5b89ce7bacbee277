"""What clients of the line protocol ask of a server, together and one after another, and what tells that it served
them: for the checks that such servers share, and for those of one exercise.

Knows lines, replies and crowds; knows no budget and no exercise.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from grader.checks.budgets import Count
from grader.checks.expecting import expecting
from grader.checks.server import Server
from grader.checks.windows import Calls
from grader.failures import CheckFailed
from grader.measure.clients import Client, Crowd, Handler


def shout(line: bytes) -> bytes:
    """Says where a line begins and ends, so that two lines taken for one are seen."""
    return b"<" + line.upper() + b">"


def swell(line: bytes) -> bytes:
    """As many bytes as the request says, the newline that follows included; 16 for one that says none."""
    number = line.partition(b" ")[0]
    size = int(number) if number.isdigit() else 16
    return (line * (size // max(1, len(line)) + 1))[: size - 1]


def unhindered(server: Server, client: Client, line: bytes, handler: Handler) -> Count:
    """The calls in which it waits for the clock while a request of this client waits for its reply. Not a time: the
    request is there when the program goes on, so whoever waits for readiness has it at once, on any machine.
    """
    sleeps = Count(value=0)
    for _ in range(3):  # one may come when it has just slept
        with ExitStack() as standstill:
            standstill.enter_context(server.stopped())
            client.send(line + b"\n")
            with server.counting(settled=False) as calls:
                standstill.close()
                client.check(line, handler(line), client.read_line("a reply to a client that is there already"))
        sleeps = calls.sleeps_before_a_reply()
        if sleeps.value != 0:
            break
    return sleeps


def gets_it(server: Server, settle: Callable[[], object], line: bytes, handler: Handler) -> bool:
    """Whether a client gets its reply to this line at all; the program goes on, whatever it replies."""
    with server.client() as client:
        try:
            client.send(line + b"\n")
            if settle() is False:  # so that a long reply is cut into pieces: nobody has read what was sent first
                return False
            client.check(line, handler(line), client.read_line())
        except CheckFailed:
            server.check_ending()
            return False
    return True


def keeps_apart(server: Server, settle: Callable[[], object], line: bytes, handler: Handler) -> bool:
    """Whether half a line of one client is nobody else's; the program goes on, whatever it does with it."""
    with server.client() as one, server.client() as other:
        try:
            one.send(line[:5])
            settle()
            other.ask(line, handler(line))
            one.ask(line[5:], handler(line))
        except CheckFailed:
            server.check_ending()
            return False
    return True


def taken_for_the_last_one(
    newcomers: Crowd, settle: Callable[[], object], short: bytes, long: bytes, handler: Handler
) -> None:
    """Each newcomer is asked what shows whether something of who had its descriptor before is still there: what is left
    of a reply may be mended by a short one, or by a long one.
    """
    turns = [(short, long, short) if number % 2 else (long, short) for number in range(len(newcomers))]
    settles = True
    for turn in range(3):
        asked = [(client, lines[turn]) for client, lines in zip(newcomers, turns, strict=True) if len(lines) > turn]
        for client, line in asked:
            client.send(line + b"\n")
        if settles and any(line == long for _, line in asked):
            settles = settle() is not False  # as above; who begins to spin is not waited for again
        for client, line in asked:
            reply = client.read_line("service for a newcomer, whose descriptor was that of a client that has left")
            client.check(line, handler(line), reply)


def calls_while_serving(server: Server, crowd: Crowd, clients: int = 20) -> Calls:
    """The calls while some more clients come and ask twice. They go with the crowd, after the window."""
    with server.counting() as calls:
        server.add_clients(crowd, clients)
        crowd.ask_each()
        crowd.ask_each()
    return calls


def least_leaked(server: Server, before: Counter[str]) -> int:
    """Descriptors that were not there before, once the program has closed what it will close. One that spins will close
    none."""
    began_s, plenty_s = server.cpu_s(), 0.3  # processor time for some dozens of close(): they take microseconds
    try:
        server.wait_until(lambda: server.opened_since(before) == 0 or server.cpu_s() - began_s > plenty_s)
    except CheckFailed:
        server.check_alive()
    return server.opened_since(before)


def all_served(crowd: Crowd, clients: Sequence[Client], when: str) -> None:
    with expecting(f"a reply to each of {len(clients):,} clients that came first, {when}"):
        crowd.ask_each(clients)


def served_or_refused(client: Client, line: bytes, when: str) -> None:
    """Where there is room, a client that waited is served; one that was refused has seen its connection end."""
    try:
        client.send(line + b"\n")
        reply = client.read_line(f"service for a client that was neither served nor closed when it was full, {when}")
    except CheckFailed:
        if not client.closed():
            raise
    else:
        client.check(line, shout(line), reply)


def one_at_a_time(server: Server, crowd: Crowd, requests: int) -> None:
    """Requests on random connections, each when the program sleeps: none is served in the turn of another. So what they
    cost does not depend on who is quicker, the program or its clients.
    """
    for _ in range(requests):
        server.rest()
        crowd.ask_serially(1)
