"""What psutil sees of real children: each does one thing, says that it does, and is looked at."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from grader.failures import Unmeasured
from grader.measure import vitals
from grader.measure.vitals import Gone

PATIENCE_S = 120.0
EVERY_LOOK: list[Callable[[int], object]] = [
    vitals.threads,
    vitals.open_fds,
    vitals.rss_bytes,
    vitals.children,
    vitals.is_stopped,
    vitals.pulse,
]


@contextmanager
def child(does: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A process that has done what it does as far as its own `ready()`; lines to it are read by its `next()`."""
    head = "import sys\nready = lambda: print('ready', flush=True)\nnext = sys.stdin.readline\n"
    words = [sys.executable, "-I", "-c", head + does]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as process:
        try:
            told(process)
            yield process
        finally:
            process.kill()


def told(process: "subprocess.Popen[bytes]") -> None:
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"


def go_on(process: "subprocess.Popen[bytes]") -> None:
    """Let it do the next thing, and wait until it says so."""
    assert process.stdin is not None
    process.stdin.write(b"\n")
    told(process)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline_s, "it never came true"
        time.sleep(0.005)


def test_threads_are_counted_with_the_main_one() -> None:
    does = "import threading\nfor _ in range(4): threading.Thread(target=next, daemon=True).start()\nready()\nnext()"

    with child("ready(); next()") as plain, child(does) as threaded:
        assert vitals.threads(plain.pid) == 1
        assert vitals.threads(threaded.pid) == 5


def test_a_name_that_looks_like_a_count_of_threads_is_none() -> None:
    does = (
        "import ctypes, threading\n"
        "ctypes.CDLL(None).prctl(15, b'Threads:\\t1', 0, 0, 0)\n"
        "for _ in range(4): threading.Thread(target=next, daemon=True).start()\n"
        "ready()\n"
        "next()"
    )

    with child(does) as threaded:
        assert vitals.threads(threaded.pid) == 5


def test_descriptors_are_counted_as_they_come_and_go() -> None:
    does = (
        "import os\n"
        "ready(); next()\n"
        "mine = [os.dup(0) for _ in range(7)]\n"
        "ready(); next()\n"
        "os.close(mine[0])\n"
        "ready(); next()"
    )

    with child(does) as process:
        before = vitals.open_fds(process.pid)
        go_on(process)
        opened = vitals.open_fds(process.pid)
        same = os.readlink(f"/proc/{process.pid}/fd/0")
        assert vitals.descriptors(process.pid).count(same) == 8
        go_on(process)
        closed = vitals.open_fds(process.pid)

    assert before >= 3
    assert (opened - before, closed - before) == (7, 6)


def test_a_descriptor_whose_path_is_too_long_to_be_told_is_one() -> None:
    does = (
        "import os, shutil, tempfile\n"
        "top = tempfile.mkdtemp()\n"
        "os.chdir(top)\n"
        "for _ in range(20):\n"
        "    os.mkdir('d' * 250)\n"
        "    os.chdir('d' * 250)\n"
        "kept = os.open('file', os.O_CREAT | os.O_WRONLY)\n"
        "os.chdir('/')\n"
        "ready(); next()\n"
        "shutil.rmtree(top)\n"
        "ready()"
    )

    with child(does) as process:
        names = vitals.descriptors(process.pid)
        assert len(names) == vitals.open_fds(process.pid)
        assert names.count("") == 1
        go_on(process)


def test_resident_memory_grows_by_what_is_touched() -> None:
    with child("ready(); next()\nkept = b'x' * (32 << 20)\nready(); next()") as process:
        before = vitals.rss_bytes(process.pid)
        go_on(process)
        grown = vitals.rss_bytes(process.pid) - before

    assert 32 << 20 <= grown < 34 << 20


def test_children_are_all_descendants_but_no_zombies() -> None:
    does = (
        "import os, signal\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    os.fork()\n"
        "    signal.pause()\n"
        "zombie = os.fork()\n"
        "if zombie == 0: os._exit(0)\n"
        "os.waitid(os.P_PID, zombie, os.WEXITED | os.WNOWAIT)\n"
        "print('ready', flush=True)\n"
        "next()\n"
        "os.kill(child, 9)\n"
        "os.waitpid(child, 0)\n"
        "ready(); next()"
    )

    with child(does) as process:
        wait_until(lambda: len(vitals.children(process.pid)) == 2)
        child_of_it, grandchild = vitals.children(process.pid)
        go_on(process)
        after = vitals.children(process.pid)
        os.kill(grandchild, signal.SIGKILL)

    assert after == ()  # the zombie is none, and the grandchild has another parent now
    assert child_of_it != grandchild


NO_TEXT = r"""
import ctypes, mmap, os, tempfile, threading
named = ctypes.CDLL(None).prctl
with tempfile.TemporaryDirectory() as folder:
    with open(os.fsencode(folder) + b"/ring \xff\x85\xfe", "wb+") as file:
        file.truncate(4096)
        mapped = [mmap.mmap(file.fileno(), 4096) for _ in range(3)]
        def helper():
            named(15, b"\xff\x0bPPid:\t1\r", 0, 0, 0)
            ready()
            next()
        named(15, b"\xfe\rState:\tZ\x85", 0, 0, 0)
        threading.Thread(target=helper).start()
        next()
"""


def test_names_that_are_no_text_hide_nothing() -> None:
    with child(NO_TEXT) as process:
        wait_until(lambda: vitals.pulse(process.pid).sleeping)

        assert [vitals.mappings(process.pid, name) for name in ("/ring ", "no such")] == [3, 0]
        assert vitals.inner_pid(process.pid) == process.pid
        assert vitals.switches(process.pid) > 0
        assert vitals.threads(process.pid) == 2


@pytest.mark.parametrize("look", EVERY_LOOK, ids=lambda look: str(look.__name__))
def test_a_process_that_has_ended_is_gone(look: Callable[[int], object]) -> None:
    with subprocess.Popen(["true"]) as process:
        pass

    with pytest.raises(Gone, match=f"process {process.pid} has ended"):
        look(process.pid)


@pytest.mark.skipif(os.getuid() == 0, reason="root may look at everything")
def test_a_process_that_may_not_be_looked_at_is_unmeasured() -> None:
    with pytest.raises(Unmeasured, match="does not let process 1 be looked at"):
        vitals.open_fds(1)


def test_a_sleeper_has_the_same_pulse_twice() -> None:
    with child("ready(); next()") as process:
        wait_until(lambda: vitals.pulse(process.pid).sleeping)
        pulses = {vitals.pulse(process.pid) for _ in range(50)}

    (pulse,) = pulses
    assert pulse.sleeping
    assert pulse.switches > 0


def test_who_burns_a_processor_never_sleeps_and_its_pulse_goes_on() -> None:
    with child("ready()\nwhile True: pass") as process:
        first = vitals.pulse(process.pid)
        wait_until(lambda: vitals.pulse(process.pid).cpu_s > first.cpu_s)
        beats = [vitals.pulse(process.pid) for _ in range(20)]

    assert not any(beat.sleeping for beat in beats)
    assert beats[-1].cpu_s > first.cpu_s


def test_who_wakes_up_now_and_then_has_another_pulse() -> None:
    with child("import time\nready()\nwhile True: time.sleep(0.01)") as process:
        first = vitals.pulse(process.pid)
        wait_until(lambda: vitals.pulse(process.pid).switches > first.switches + 3)


def test_a_stopped_process_is_stopped_until_it_goes_on() -> None:
    with child("ready(); next()") as process:
        running = vitals.is_stopped(process.pid)
        process.send_signal(signal.SIGSTOP)
        wait_until(lambda: vitals.is_stopped(process.pid))
        process.send_signal(signal.SIGCONT)
        wait_until(lambda: not vitals.is_stopped(process.pid))

    assert running is False


def test_a_process_that_is_stopped_under_a_tracer_is_stopped(strace: str) -> None:
    words = [strace, "-f", "-o", os.devnull, sys.executable, "-I", "-c", "print('ready', flush=True); input()"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as tracer:
        assert tracer.stdout is not None
        assert tracer.stdout.readline() == b"ready\n"
        (traced,) = vitals.children(tracer.pid)
        wait_until(lambda: vitals.pulse(traced).sleeping)
        os.kill(traced, signal.SIGSTOP)
        wait_until(lambda: vitals.is_stopped(traced) and not vitals.pulse(traced).sleeping)
        os.kill(traced, signal.SIGKILL)


@pytest.fixture(scope="module")
def wchan() -> None:
    """Skips where the kernel does not tell where a task waits."""
    with child("import time\nready()\ntime.sleep(600)") as process:
        place = Path("/proc", str(process.pid), "wchan")
        wait_until(lambda: vitals.pulse(process.pid).sleeping)
        if place.read_text() in ("", "0"):
            pytest.skip("this kernel does not tell where a task waits")


@pytest.mark.parametrize(
    ("does", "place"),
    [
        pytest.param("import select\nselect.epoll().poll()", "epoll_wait()", id="epoll"),
        pytest.param("import select\nselect.select([0], [], [])", "select() or poll()", id="select"),
        pytest.param("import select\np = select.poll()\np.register(0, 1)\np.poll()", "select() or poll()", id="poll"),
        pytest.param("import socket\na, b = socket.socketpair()\na.recv(1)", "a blocking recv()", id="recv"),
        pytest.param(
            "import socket\na, b = socket.socketpair()\na.sendall(bytes(1 << 24))", "a blocking send()", id="send"
        ),
        pytest.param(
            "import socket\nsocket.create_server(('127.0.0.1', 0)).accept()", "a blocking accept()", id="accept"
        ),
        pytest.param("import threading\nlock = threading.Lock()\nlock.acquire()\nlock.acquire()", "a lock", id="lock"),
        pytest.param("import time\ntime.sleep(600)", "sleep()", id="sleep"),
        pytest.param("sys.stdin.read()", "a read from a pipe", id="read"),
        pytest.param("import os\nos.write(os.pipe()[1], bytes(1 << 24))", "a write to a pipe", id="write"),
    ],
)
def test_what_a_sleeper_waits_in_is_told_in_words(wchan: None, does: str, place: str) -> None:
    with child(f"ready()\n{does}") as process:
        wait_until(lambda: vitals.waits_in(process.pid) == place)


def test_where_a_process_waits_is_unknown_while_it_runs_and_when_it_is_gone() -> None:
    with child("ready()\nwhile True: pass") as process:
        running = vitals.waits_in(process.pid)

    assert running is None
    assert vitals.waits_in(process.pid) is None


def test_files_without_a_name_are_memory_that_no_resident_set_shows() -> None:
    before = vitals.unseen_bytes(os.getpid())
    held = os.memfd_create("held")
    try:
        os.write(held, bytes(1 << 20))
        again = os.dup(held)
        grown = vitals.unseen_bytes(os.getpid()) - before
        os.close(again)
    finally:
        os.close(held)

    assert grown == 1 << 20
    assert vitals.unseen_bytes(os.getpid()) == before


def test_what_an_ended_process_holds_is_gone() -> None:
    with pytest.raises(vitals.Gone):
        vitals.unseen_bytes(1 << 22)
