"""Traces: what is read from strace's text, what is counted in a window, and real children that strace looks at."""

import stat
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grader.measure import strace as tracer
from grader.measure.strace import Call, Trace, Window, parse
from places import TESTS

# As strace 6.1 writes it, with -f -ttt -s 24: two threads whose lines cross, a child, an exit, signals, a lone half.
TRACE = """\
849   1795421287.212790 pselect6(4, [3], NULL, NULL, {tv_sec=0, tv_nsec=0}, NULL) = 0 (Timeout)
849   1795421287.213131 epoll_create1(EPOLL_CLOEXEC) = 5
851   1795421287.241479 recvfrom(4,  <unfinished ...>
849   1795421287.241501 <... futex resumed>) = 0
849   1795421287.242000 sendto(3, "hello\\n", 6, 0, NULL, 0) = 6
851   1795421287.541909 <... recvfrom resumed>"[3 45 6][7 8] => (", 100, 0, NULL, NULL) = 18
849   1795421287.542484 clone(child_stack=NULL, flags=CLONE_CHILD_CLEARTID|CLONE_CHILD_SETTID|SIGCHLD <unfinished ...>
849   1795421287.542874 <... clone resumed>, child_tidptr=0x7f4eaf372310) = 868
868   1795421287.543598 exit_group(3)   = ?
868   1795421287.543998 +++ exited with 3 +++
849   1795421287.544000 --- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_EXITED, si_pid=868, si_uid=0, si_status=3} ---
851   1795421287.545000 +++ killed by SIGKILL +++
849   1795421287.550000 syscall_0x9c3f(0x1, 0x2, 0x7ffedb5a5780, 0x7f4eaf08340e, 0x7ffedb5a58a0, 0x6) = -1 ENOSYS
849   1795421287.560000 epoll_wait(5, [{events=EPOLLIN, data={u32=3, u64=139972984176643}}], 1023, -1) = 1
849   1795421287.570000 recvf"""


def call(text: str, at_s: float = 0.0) -> Call:
    return Call(pid=1, at_s=at_s, name=text.partition("(")[0], text=text)


def line(text: str, at_s: float = 1.0) -> str:
    return f"1     {at_s:.6f} {text}\n"


# --- reading ------------------------------------------------------------------------------------------------------


def test_a_call_is_counted_once_where_it_begins() -> None:
    calls = parse(TRACE)

    assert [(one.pid, one.name) for one in calls] == [
        (849, "pselect6"),
        (849, "epoll_create1"),
        (851, "recvfrom"),
        (849, "sendto"),
        (849, "clone"),
        (868, "exit_group"),
        (849, "syscall_0x9c3f"),
        (849, "epoll_wait"),
    ]
    assert calls[0].at_s == 1795421287.212790
    assert calls[3].text == 'sendto(3, "hello\\n", 6, 0, NULL, 0) = 6'


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("strace: [ Process PID=900 runs in 32 bit mode. ]", id="a change of mode"),
        pytest.param("[ Process PID=900 runs in 32 bit mode. ]", id="a change of mode in the trace"),
        pytest.param("900   1795421287.1 --- stopped by SIGSTOP ---", id="a stop"),
        pytest.param("900   1795421287.1 ????( <unfinished ...>", id="an unknown call"),
        pytest.param("900   read(0, ", id="no time"),
        pytest.param("1795421287.1 read(0, ", id="no process"),
        pytest.param("9" * 5000 + " 1.0 read(0)", id="a number too long for int()"),
        pytest.param("٣   ٣.٣ read(0)", id="digits of another script"),
        pytest.param("", id="nothing"),
    ],
)
def test_what_is_no_beginning_of_a_call_is_left_out(text: str) -> None:
    assert parse(text) == []


def test_calls_of_another_table_are_counted_and_hand_over_what_can_be_read() -> None:
    calls = parse(line("select(NULL) = -1 EFAULT (Bad address)") + line("socketcall(SYS_ACCEPT, 0xffc2) = 4"))

    assert [one.name for one in calls] == ["select", "socketcall"]
    assert [one.fds_handed_over for one in calls] == [0, 0]


PIECES = st.sampled_from(
    [
        "1 ",
        "1.0 ",
        "select(",
        "poll([",
        "pselect6(",
        "epoll_ctl(",
        "[",
        "]",
        "3 4",
        ", 5",
        " => ",
        ") =",
        "\n",
        "\0",
        "…",
    ]
)


@given(st.text() | st.lists(PIECES | st.text(max_size=5)).map("".join))
def test_no_text_is_too_strange_to_be_read(text: str) -> None:
    window = Window.of(parse(text) + parse(f"1 1.0 {text}"))

    assert window.fds_handed_over() >= 0
    assert window.total <= 2 * len(text.splitlines()) + 1
    assert len(window.evidence()) <= 6


# --- what is handed to the kernel ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "handed"),
    [
        ("pselect6(4, [3], NULL, NULL, {tv_sec=0, tv_nsec=0}, NULL) = 0 (Timeout)", 1),
        ("pselect6(0, NULL, NULL, NULL, {tv_sec=0, tv_nsec=0}, NULL) = 0 (Timeout)", 0),
        ("pselect6(5, [3 4], [3 4], [3], NULL, NULL) = 2 (out [3 4])", 5),
        ("pselect6(5, [3 4], [3 4], [3], {tv_sec=0, tv_nsec=0}, NULL) = 2 (out [3 4], left {tv_sec=0, tv_nsec=0})", 5),
        ("pselect6(1024, [3 4 5 6 7], [], [], {tv_sec=1, tv_nsec=500000000}, NULL) = 1 (in [5], left {tv_sec=1})", 5),
        ("pselect6(5, [4], NULL, NULL, {tv_sec=0, tv_nsec=300000000}, NULL <unfinished ...>", 1),
        ("pselect6(5, [4], [], [], NULL, {sigmask=[INT], sigsetsize=8}) = ? ERESTARTNOHAND (To be restarted)", 1),
        ("pselect6(5, [4], NULL, NULL, NULL, {sigmask=[], sigsetsize=8}) = 1 (in [4])", 1),
        ("select(6, [3 5], NULL, NULL, {tv_sec=0, tv_usec=1000} => {tv_sec=0, tv_usec=0}) = 0 (Timeout)", 2),
        ("select(6, [3 5] => [5], NULL, NULL, NULL) = 1", 2),
        ("select(5, 0x10, NULL, NULL, {tv_sec=0, tv_usec=1000}) = -1 EFAULT (Bad address)", 0),
        ("poll([{fd=3, events=POLLIN}, {fd=4, events=POLLIN|POLLOUT}], 2, 0) = 1 ([{fd=4, revents=POLLOUT}])", 2),
        ("poll([{fd=3, events=POLLIN}, {fd=4, events=POLLIN}, ...], 500, -1 <unfinished ...>", 500),
        ("poll([], 0, 0)  = 0 (Timeout)", 0),
        ("poll(NULL, 0, 100) = 0 (Timeout)", 0),
        ("poll(0x7ffc1000, 3, 0) = -1 EFAULT (Bad address)", 3),
        ("ppoll([{fd=3, events=POLLIN}], 1, {tv_sec=0, tv_nsec=1000}, NULL, 8) = 0 (Timeout)", 1),
        ("ppoll([{fd=3, events=POLLIN}], 1, NULL, [INT], 8) = 1 ([{fd=3, revents=POLLIN}])", 1),
        ("ppoll(NULL, 0, {tv_sec=0, tv_nsec=1000}, NULL, 8) = 0 (Timeout)", 0),
        ("epoll_ctl(5, EPOLL_CTL_ADD, 3, {events=EPOLLIN, data={u32=3, u64=139972984176643}}) = 0", 1),
        ("epoll_ctl(5, EPOLL_CTL_DEL, 3, 0x7ffedb5a5a94) = 0", 1),
        ("epoll_wait(5, [{events=EPOLLIN, data={u32=3, u64=3}}], 1023, -1) = 1", 0),
        ('write(3, "[7 8] => (", 10) = 10', 0),
    ],
)
def test_descriptors_that_a_call_hands_to_the_kernel_are_counted_from_its_arguments(text: str, handed: int) -> None:
    assert call(text).fds_handed_over == handed


# --- waits that are taken up again --------------------------------------------------------------------------------

# strace 6.1 of a program with a second thread. It polls a hundred descriptors and is stopped and continued, twice; then
# it calls restart_syscall() itself three times, once with another call of its own in between.
STOPPED_AND_CONTINUED = """\
20487 1795746572.934245 poll([{fd=3, events=POLLIN}, {fd=3, events=POLLIN}, ...], 100, -1 <unfinished ...>
20544 1795746573.134833 kill(20487, SIGSTOP <unfinished ...>
20487 1795746573.134911 <... poll resumed>) = ? ERESTART_RESTARTBLOCK (Interrupted by signal)
20544 1795746573.134930 <... kill resumed>) = 0
20487 1795746573.134947 --- SIGSTOP {si_signo=SIGSTOP, si_code=SI_USER, si_pid=20544, si_uid=0} ---
20487 1795746573.134978 --- stopped by SIGSTOP ---
20544 1795746573.235066 kill(20487, SIGCONT) = 0
20487 1795746573.235246 restart_syscall(<... resuming interrupted poll ...> <unfinished ...>
20544 1795746573.435478 kill(20487, SIGSTOP <unfinished ...>
20487 1795746573.435566 <... restart_syscall resumed>) = ? ERESTART_RESTARTBLOCK (Interrupted by signal)
20544 1795746573.435600 <... kill resumed>) = 0
20487 1795746573.435700 --- stopped by SIGSTOP ---
20487 1795746573.435800 restart_syscall(<... resuming interrupted restart_syscall ...>) = 100
"""
REPLAYED = """\
20487 1795746573.435893 restart_syscall(<... resuming interrupted restart_syscall ...>) = 100
20487 1795746573.435900 write(1, "100", 3) = 3
20487 1795746573.435982 restart_syscall(<... resuming interrupted write ...> <unfinished ...>
20544 1795746573.436000 getpid() = 7
20487 1795746573.436065 <... restart_syscall resumed>) = 100
20544 1795746573.436100 restart_syscall(<... resuming interrupted getpid ...>) = -1 EINTR (Interrupted system call)
"""


def test_a_wait_that_the_kernel_takes_up_again_counts_once() -> None:
    calls = parse(STOPPED_AND_CONTINUED)

    assert [one.name for one in calls] == ["poll", "kill", "kill", "kill"]
    assert Window.of(calls).fds_handed_over() == 100


def test_a_wait_in_one_line_is_taken_up_again_by_the_kernel_too() -> None:
    polled = "poll([{fd=3, events=POLLIN}], 1, -1) = ? ERESTART_RESTARTBLOCK (Interrupted by signal)"
    window = Window.of(parse(line(polled) + line("restart_syscall(<... resuming interrupted poll ...>) = 1")))

    assert (window.total, window.fds_handed_over()) == (1, 1)


def test_a_wait_that_the_program_takes_up_again_counts_each_time_as_what_it_was() -> None:
    window = Window.of(parse(STOPPED_AND_CONTINUED + REPLAYED))

    assert window.count("poll") == 4
    assert window.count("restart_syscall") == 3
    assert window.fds_handed_over() == 400  # of the second thread's too, which may have the first one's
    assert any("which replays poll([{fd=3" in line for line in window.evidence({"poll"}))


def test_a_restart_of_nothing_is_a_call_like_any_other() -> None:
    window = Window.of(parse(line("restart_syscall(<... resuming interrupted read ...>) = -1 EINTR (...)")))

    assert (window.total, window.fds_handed_over()) == (1, 0)


@pytest.mark.parametrize(
    "text",
    [
        'write(3, "ERESTART_RESTARTBLOCK (Inter"..., 60) = 60',
        'access("/= ? ERESTART_RESTARTBLOCK (Interrupted by signal)", F_OK) = -1 ENOENT (No such file or directory)',
        "poll([{fd=3, events=POLLIN}], 1, -1) = ? ERESTARTNOHAND (To be restarted if no handler)",
    ],
)
def test_no_text_of_a_program_makes_a_restart_the_kernels(text: str) -> None:
    assert Window.of(parse(line(text) + line("restart_syscall(<... resuming interrupted x ...>) = 1"))).total == 2


def test_a_call_that_was_written_in_two_parts_is_whole() -> None:
    whole = next(one for one in parse(TRACE) if one.name == "clone")

    assert whole.text.endswith("SIGCHLD, child_tidptr=0x7f4eaf372310) = 868")


# --- many messages in one call ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "worth"),
    [
        ("sendmmsg(3, [{msg_hdr={msg_name=NULL, msg_namelen=0}, msg_len=2}, ...], 40, 0) = 40", 40),
        ("recvmmsg(3, [{msg_hdr={msg_name=NULL, msg_namelen=0}, msg_len=2}], 64, MSG_DONTWAIT, NULL) = 1", 1),
        ("recvmmsg(3, 0x7ffc1000, 64, MSG_DONTWAIT, NULL) = -1 EAGAIN (Resource temporarily unavailable)", 1),
        ("sendmsg(3, {msg_name=NULL, msg_iov=[{iov_base=..., iov_len=6}], msg_iovlen=9}, 0) = 60", 1),
        ('writev(5, [{iov_base="a", iov_len=1}, {iov_base="b", iov_len=1}], 2) = 2', 1),
    ],
)
def test_messages_count_one_by_one_and_pieces_of_one_message_do_not(text: str, worth: int) -> None:
    window = Window.of([call(text)])

    assert (window.total, window.count(call(text).name)) == (worth, worth)
    assert window.histogram() == [(call(text).name, worth)]


# --- windows ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        'write(1, "hi\\n", 3) = 3',
        'write(2, "Traceback", 9) = 9',
        "write(1<pipe:[77]>, 0x7f00, 3) = 3",
        'writev(1, [{iov_base="x", iov_len=1}], 1) = 1',
        "mmap(NULL, 262144, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f4eae77c000",
        "munmap(0x7fe9371fe000, 34547) = 0",
        "brk(0x55d0c0d31000) = 0x55d0c0d31000",
        "madvise(0x7f4eae77c000, 8372224, MADV_DONTNEED) = 0",
        "clock_gettime(CLOCK_MONOTONIC, {tv_sec=1, tv_nsec=2}) = 0",
    ],
)
def test_printing_and_the_allocator_are_no_part_of_a_design(text: str) -> None:
    assert Window.of([call(text), call("read(0, NULL, 0) = 0")]).total == 1


@pytest.mark.parametrize(
    "text",
    [
        'write(10, "hi\\n", 3) = 3',
        'write(3, "hi\\n", 3) = 3',
        'writev(21, [{iov_base="x", iov_len=1}], 1) = 1',
        'sendto(1, "x", 1, 0, NULL, 0) = 1',
        'pwrite64(1, "x", 1, 0) = -1 ESPIPE (Illegal seek)',
        "fsync(1) = -1 EINVAL (Invalid argument)",
    ],
)
def test_all_else_counts(text: str) -> None:
    assert Window.of([call(text)]).total == 1


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("dup2(5, 1) = 1", True),
        ("close(2) = 0", True),
        ("close_range(0, 4294967295, 0) = 0", True),
        ("fcntl(1, F_SETFD, FD_CLOEXEC) = 0", True),
        ("ioctl(2, FIOCLEX) = 0", True),
        ("fcntl(1, F_SETFD, 0) = 0", False),
        ("fcntl(11, F_SETFD, FD_CLOEXEC) = 0", False),
        ("close(12) = 0", False),
    ],
)
def test_behind_a_call_that_may_give_an_output_up_writing_to_it_counts(text: str, counts: bool, tmp_path: Path) -> None:
    (tmp_path / "trace").write_text(f'7 1.5 {text}\n7 2.5 write(1, "x", 1) = 1\n')

    assert Trace(tmp_path / "trace").between(2.0, 3.0).count("write") == counts


@pytest.mark.parametrize(
    ("text", "times_out"),
    [
        ("pselect6(4, [3], NULL, NULL, {tv_sec=1, tv_nsec=0}, NULL) = 0 (Timeout)", True),
        ("pselect6(4, [3], NULL, NULL, {tv_sec=0, tv_nsec=0}, NULL) = 0 (Timeout)", False),
        ("pselect6(4, [3], NULL, NULL, {tv_sec=1, tv_nsec=0}, NULL) = 1 (in [3], left {tv_sec=0, tv_nsec=9})", False),
        ("pselect6(4, [3], NULL, NULL, {tv_sec=1, tv_nsec=0}, NULL) = ? ERESTARTNOHAND (To be restarted)", False),
        ("epoll_wait(5, [], 1023, 1000)           = 0", True),
        ("epoll_wait(5, [], 1023, 0)              = 0", False),
        ("epoll_pwait(5, [], 1023, 0, NULL, 8)    = 0", False),
        ("poll([{fd=3, events=POLLIN}], 1, 500)   = 0 (Timeout)", True),
        ("poll([{fd=3, events=POLLIN}], 1, 0)     = 0 (Timeout)", False),
        ("futex(0x7f, FUTEX_WAIT, 0, {tv_sec=1, tv_nsec=0}) = -1 ETIMEDOUT (Connection timed out)", True),
        ("futex(0x7f, FUTEX_WAIT, 0, NULL)        = 0", False),
        ('recvfrom(7, "", 65536, 0, NULL, NULL) = 0', False),
    ],
)
def test_a_wait_times_out_when_nothing_was_ready_until_its_end(text: str, times_out: bool) -> None:
    assert call(text).times_out is times_out


def test_behind_a_reply_only_sleeping_is_sleeping() -> None:
    nap, timeout = call("clock_nanosleep(...) = 0"), call("epoll_wait(5, [], 1023, 1000) = 0")
    window = Window.of([nap, timeout, call("sendto(7, ...) = 3"), timeout, nap])

    assert window.sleeps_before({"sendto"}) == (timeout, nap, nap)


def test_a_window_counts_by_name_and_hands_over_what_its_calls_do() -> None:
    window = Window.of(parse(TRACE))

    assert window.total == 8
    assert window.count("epoll_wait", "recvfrom") == 2
    assert window.count() == 0
    assert window.fds_handed_over() == 1
    assert window.histogram()[0][1] == 1


def test_evidence_is_a_summary_and_neighbours_from_the_middle() -> None:
    window = Window.of([*(call(f"read({n}, NULL, 0) = 0") for n in range(1000)), call("close(3) = 0")])

    summary, *lines = window.evidence()

    assert summary == "1,000 x read, 1 x close"
    assert lines == [f"read({n}, NULL, 0) = 0" for n in range(498, 503)]
    assert window.evidence(["close"])[1:] == ["close(3) = 0"]
    assert window.evidence(["open"]) == [summary]
    assert Window.of([]).evidence() == []


# --- a trace that grows -------------------------------------------------------------------------------------------


def test_a_line_is_read_when_it_is_whole_however_it_was_cut(tmp_path: Path) -> None:
    file = tmp_path / "growing.strace"
    trace = Trace(file)
    counts = [trace.between(0, 9e9).total]

    data = TRACE.encode() + b'rom(4, "x", 1, 0, NULL, NULL) = 1\n'
    with file.open("wb", buffering=0) as writer:
        for start in range(0, len(data), 7):
            writer.write(data[start : start + 7])
            counts.append(trace.between(0, 9e9).total)

    assert counts[0] == 0
    assert counts == sorted(counts)
    assert trace.between(0, 9e9).calls == Window.of(parse(data.decode())).calls
    assert trace.between(0, 9e9).ends_s == (1795421287.543998, 1795421287.545)
    assert counts[-1] == 9
    assert trace.size_bytes == len(data)


def test_a_window_holds_what_began_in_it_and_not_at_its_end(tmp_path: Path) -> None:
    file = tmp_path / "trace.strace"
    file.write_text("".join(line(f"read({n}) = 0", n) for n in range(10)))

    assert [one.text for one in Trace(file).between(3, 5).calls] == ["read(3) = 0", "read(4) = 0"]


@pytest.mark.parametrize(
    ("last", "reaches"),
    [
        ("1     5.000000 read(0) = 0\n", True),
        ("1     5.000000 --- SIGSTOP {si_signo=SIGSTOP, si_code=SI_USER, si_pid=1, si_uid=0} ---\n", True),
        ("1     4.999999 read(0) = 0\n", False),
        ("1     5.000000 read(0) = 0", False),  # a line that is not whole may be cut anywhere
        ("", False),
    ],
)
def test_a_trace_reaches_a_moment_when_something_later_is_written_whole(
    tmp_path: Path, last: str, reaches: bool
) -> None:
    file = tmp_path / "trace.strace"
    file.write_text(line("read(0) = 0", 1.0) + last)

    assert Trace(file).reaches(5.0) is reaches


def test_a_trace_that_was_never_written_reaches_nothing(tmp_path: Path) -> None:
    trace = Trace(tmp_path / "none.strace")

    assert not trace.reaches(0.5)
    assert trace.size_bytes == 0
    assert trace.between(0, 9e9).calls == ()


# --- can it trace here? -------------------------------------------------------------------------------------------


def script(file: Path, text: str) -> str:
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    return str(file)


def test_a_strace_that_works_is_not_refused(strace: str, tmp_path: Path) -> None:
    assert tracer.refusal(strace, tmp_path) is None


def test_a_strace_that_is_not_there_is_told(tmp_path: Path) -> None:
    assert str(tracer.refusal("/nowhere/strace", tmp_path)).startswith("strace cannot be run: [Errno 2]")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("echo 'PTRACE_TRACEME: Operation not permitted' >&2; exit 1", "strace cannot trace a child: PTRACE_TRACEME: "),
        ("exit 1", "strace cannot trace a child: no word"),
        ("printf '\\377\\n' >&2; exit 1", "strace cannot trace a child: \ufffd"),
        ("exit 0", "strace wrote an empty trace"),
        ('for word; do case $word in *.strace) : > "$word";; esac; done', "strace wrote an empty trace"),
        ('for word; do case $word in *.strace) printf "\\377" > "$word";; esac; done', "strace wrote an empty trace"),
    ],
    ids=["it is refused", "it fails in silence", "its words are no text", "no trace", "an empty trace", "garbage"],
)
def test_a_strace_that_cannot_trace_is_told_in_its_own_words(tmp_path: Path, text: str, said: str) -> None:
    assert str(tracer.refusal(script(tmp_path / "strace", text), tmp_path)).startswith(said)


def test_where_ptrace_is_refused_strace_says_so(strace: str, tmp_path: Path) -> None:
    refusing = TESTS / "support" / "refusing.py"
    asks = "import sys, pathlib, grader.measure.strace as s; print(s.refusal(sys.argv[1], pathlib.Path(sys.argv[2])))"
    words = [sys.executable, str(refusing), "--", sys.executable, "-c", asks, strace, str(tmp_path)]

    done = subprocess.run(words, capture_output=True, text=True, check=True)

    assert done.stdout.startswith("strace cannot trace a child: ")


# --- real children ------------------------------------------------------------------------------------------------


def traced(strace: str, file: Path, program: str, *, inject: tuple[str, ...] = ()) -> Window:
    """The calls of a Python program between its two calls of getppid()."""
    words = tracer.command(strace, file, inject=inject)
    subprocess.run([*words, sys.executable, "-I", "-c", program], check=True, env={}, stdout=subprocess.DEVNULL)
    calls = parse(file.read_text())
    first, last = (n for n, one in enumerate(calls) if one.name == "getppid")
    return Window.of(calls[first + 1 : last])


def test_thirty_seven_calls_are_thirty_seven(strace: str, tmp_path: Path) -> None:
    program = (
        "import os\n"
        "os.getppid()\n"
        "for _ in range(37):\n"
        "    os.getuid()\n"
        "    print('printing is no call of the design', flush=True)\n"
        "os.getppid()\n"
    )

    window = traced(strace, tmp_path / "trace.strace", program)

    assert window.histogram() == [("getuid", 37)]


def test_threads_and_children_are_followed(strace: str, tmp_path: Path) -> None:
    program = (
        "import os, threading\n"
        "os.getppid()\n"
        "thread = threading.Thread(target=os.getgid)\n"
        "thread.start(); thread.join()\n"
        "if os.fork() == 0:\n"
        "    os.getuid(); os._exit(0)\n"
        "os.wait()\n"
        "os.getppid()\n"
    )

    window = traced(strace, tmp_path / "trace.strace", program)

    assert (window.count("getgid"), window.count("getuid")) == (1, 1)
    assert window.count(*tracer.CLONE_CALLS) == 2
    assert len({one.pid for one in window.calls}) == 3


def test_readiness_calls_of_this_python_hand_over_what_it_watches(strace: str, tmp_path: Path) -> None:
    program = (
        "import os, select, socket\n"
        "pairs = [socket.socketpair() for _ in range(50)]\n"
        "socks = [s for pair in pairs for s in pair]\n"
        "os.getppid()\n"
        "select.select(socks, socks[:10], [], 0)\n"
        "poll = select.poll()\n"
        "for s in socks: poll.register(s)\n"
        "poll.poll(0)\n"
        "with select.epoll() as epoll:\n"
        "    for s in socks[:7]: epoll.register(s)\n"
        "    epoll.poll(0)\n"
        "os.getppid()\n"
    )

    window = traced(strace, tmp_path / "trace.strace", program)

    assert window.count("select", "pselect6") == window.count("poll", "ppoll") == 1
    assert window.count("epoll_wait", "epoll_pwait") == 1
    assert window.fds_handed_over() == 110 + 100 + 7


def test_a_call_can_be_made_to_fail(strace: str, tmp_path: Path) -> None:
    program = (
        "import os\n"
        "os.getppid()\n"
        "try:\n"
        "    os.mkdir('/never')\n"
        "except OSError as error:\n"
        "    os.umask(error.errno)\n"
        "os.getppid()\n"
    )

    window = traced(strace, tmp_path / "trace.strace", program, inject=("mkdir:error=ENOSPC",))

    failed, told = window.calls
    assert failed.text.endswith("= -1 ENOSPC (No space left on device) (INJECTED)")
    assert told.text.startswith("umask(034)")


def test_a_trace_can_be_read_while_it_is_written_and_a_stop_brackets_it(strace: str, tmp_path: Path) -> None:
    program = (
        "import os\n"
        "print(flush=True); os.read(0, 1)\n"
        "for _ in range(5): os.getuid()\n"
        "print(flush=True); os.read(0, 1)\n"
    )
    words = [*tracer.command(strace, tmp_path / "trace.strace"), sys.executable, "-I", "-c", program]
    with subprocess.Popen(words, env={}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdout.readline()
        trace = Trace(tmp_path / "trace.strace")
        since_s = tracer.now_s()
        process.stdin.write(b"!")
        process.stdout.readline()
        until_s = tracer.now_s()
        (child,) = psutil.Process(process.pid).children()

        child.suspend()
        deadline_s = time.monotonic() + 120.0
        while not trace.reaches(until_s):
            assert time.monotonic() < deadline_s, trace.path.read_text()
            time.sleep(0.005)
        window = trace.between(since_s, until_s)
        child.resume()
        process.stdin.write(b"!")

    assert window.count("getuid") == 5
