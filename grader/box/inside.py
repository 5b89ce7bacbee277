"""The kit's only code in the box. Standard library alone; it runs on the base interpreter, next to a student's program.

It knows how to lower its own rights, how to prove that, and how to run what the judge ships; it knows no check and no
expected value. Whatever it says once a submission is loaded is that program's word: evidence, never a verdict.

    python -I -B inside.py CHANNEL_FD

Frames on the channel, both ways: four bytes of length, big endian, then JSON. The judge speaks first:

    judge                                            box
    {"op": "start", limits, boxed, probes, canary}   {"probes": {name: complaint or ""}, "pid"}
    {"op": "lend", fds, limits}, the descriptors     nothing
    {"op": "load", folder, module, poison ...}       {"loaded": true} or {"problem": {...}}
    {"op": "serve", entry, source, handler ...}      {"serving": true}, then {"returned": ...} or {"problem": {...}}
                                                     {"stray": true}: a child of the program has returned as well
    {"op": "run", source, function, arguments ...}   {"value": ...} or {"problem": {...}}; meanwhile, at each pause:
    {"op": "go", value}                              {"paused": label}, sent before the judge's go; at each question:
    {"op": "answer", value}                          {"ask": question}, sent before the judge's answer
    the signal WHERE_SIGNAL                          {"where": [[text, file, line], ...], "call": name or ""}

A problem is {"kind": "forbidden" | "missing" | "raised", "text": one line, "trace": [[text, file, line], ...]}, and of
an exception also {"exception": its class, "says": the first line of what it says, "errno": its number or null, "named":
the name that was not found or "", "meant": the name that is there and like it or ""}; of what is forbidden {"library":
its name, "reason": why}.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import socket
import struct
import sys
import types

TYPE_CHECKING = False  # as in typing, whose import would be a fifth of a box's start
if TYPE_CHECKING:
    import ctypes
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    Message = dict[str, Any]
    Row = tuple[str, str, int]  # text, file, line

MAX_FRAME_BYTES = 1 << 20
_GO_ON: Message = {"value": None}
# Asks a program whose judge waits in vain where it is. Nobody else uses this one: a real-time signal near the end.
WHERE_SIGNAL = 60
_PLAIN_GO = struct.pack(">I", 27) + b'{"op": "go", "value": null}'
_PLAIN_GO_BYTES = len(_PLAIN_GO)
# The host's canary listens here. A server in the judge's own network listens on 127.0.0.1, perhaps on the same port.
CANARY_HOST = "127.77.0.1"


class Channel:
    """Length-prefixed JSON over one stream socket."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._then, self._frame_then = "", b""

    def send(self, message: Message) -> None:
        data = json.dumps(message).encode()
        if len(data) > MAX_FRAME_BYTES:
            data = json.dumps({"problem": problem("raised", "the result is larger than 1 MiB")}).encode()
        self._sock.sendall(struct.pack(">I", len(data)) + data)

    def pause(self, label: str, then: str) -> Message | None:
        """Tell the judge, and sleep until it says go; None when it has gone.

        As `send` and `receive`, but mostly without JSON, and with the frame of the next pause made beforehand:
        instructions are counted from one pause to another, and few of them should be ours.
        """
        frame = self._frame_then if label == self._then else _frame_of_pause(label)
        if then:
            self._then, self._frame_then = then, _frame_of_pause(then)
        self._sock.sendall(frame)
        begun = self._sock.recv(_PLAIN_GO_BYTES)  # nothing comes behind it before the next pause
        return _GO_ON if begun == _PLAIN_GO else self.receive(begun)

    def receive(self, begun: bytes = b"") -> Message | None:
        """The next message, or None when the judge has gone. `begun`: what has come of it."""
        head = self._exactly(4, begun[:4])
        body = self._exactly(struct.unpack(">I", head)[0], begun[4:]) if head else None
        message: Message | None = json.loads(body) if body else None
        return message

    def borrow(self, numbers: Sequence[int]) -> None:
        """Take descriptors that the judge sends, and give them the numbers that they have there."""
        import fcntl

        _, received, _, _ = socket.recv_fds(self._sock, 1, len(numbers))
        above = max(numbers) + 1  # so none of them, and not this channel, is in another one's place
        moved = [fcntl.fcntl(fd, fcntl.F_DUPFD, above) for fd in received]
        for fd in received:
            os.close(fd)
        if self._sock.fileno() in numbers:
            self._sock = socket.socket(fileno=fcntl.fcntl(self._sock.detach(), fcntl.F_DUPFD, above))
        for fd, number in zip(moved, numbers, strict=True):
            os.dup2(fd, number)
            os.close(fd)

    def _exactly(self, wanted: int, begun: bytes) -> bytes | None:
        got = bytearray(begun)
        while len(got) < wanted:
            more = self._sock.recv(wanted - len(got))
            if not more:
                return None
            got += more
        return bytes(got)


def _frame_of_pause(label: str) -> bytes:
    data = f'{{"paused": "{label}"}}'.encode()
    return len(data).to_bytes(4) + data


def problem(kind: str, text: str, trace: Sequence[Row] = (), **raised: Any) -> Message:
    rows = [(words[:300], file, line) for words, file, line in trace][-12:]
    return {"kind": kind, "text": text[:2000], "trace": rows, **raised}


class Forbidden(Exception):
    """A policy of the exercise was broken: which library it does without, and why, in words for the student."""

    def __init__(self, library: str, reason: str) -> None:
        super().__init__(f"{library} is not allowed here: {reason}")
        self.package, self.reason = library, reason


class ForbiddenImport(Forbidden, ImportError):
    """A named library that this exercise does without."""


# --- lowering one's own rights ------------------------------------------------------------------------------------


def limit_resources(limits: Mapping[str, int]) -> None:
    """Hard limits; a program without privileges cannot raise them again."""
    for name, value in limits.items():
        number = getattr(resource, "RLIMIT_" + name)
        _, hard = resource.getrlimit(number)
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(number, (value, value))


# Landlock: landlock(7), include/uapi/linux/landlock.h. The three calls have these numbers on every architecture.
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446
_LANDLOCK_VERSION_FLAG = 1
_FS_WRITE_FILE = 1 << 1
_FS_WRITES_ABI_1 = _FS_WRITE_FILE | sum(1 << bit for bit in range(4, 13))  # remove and make, of every kind
_FS_REFER_ABI_2, _FS_TRUNCATE_ABI_3, _FS_IOCTL_DEV_ABI_5 = 1 << 13, 1 << 14, 1 << 15
_SCOPE_ABSTRACT_UNIX_AND_SIGNALS_ABI_6 = 3


def enter_landlock(libc: ctypes.CDLL, writable: Sequence[str]) -> int:
    """Confine this process: no write but below `writable`, no ptrace, no /proc/PID/mem of anyone outside.

    Returns the ABI version of the kernel, 0 when it has none.
    """
    import ctypes

    abi = int(libc.syscall(_LANDLOCK_CREATE, None, 0, _LANDLOCK_VERSION_FLAG))
    if abi < 1:
        return 0
    handled = _FS_WRITES_ABI_1
    handled |= _FS_REFER_ABI_2 if abi >= 2 else 0
    handled |= _FS_TRUNCATE_ABI_3 if abi >= 3 else 0
    handled |= _FS_IOCTL_DEV_ABI_5 if abi >= 5 else 0
    scoped = _SCOPE_ABSTRACT_UNIX_AND_SIGNALS_ABI_6 if abi >= 6 else 0
    # struct landlock_ruleset_attr: handled_access_fs, handled_access_net, scoped; an old kernel takes its first fields.
    attributes = struct.pack("=QQQ", handled, 0, scoped)[: 24 if abi >= 6 else 16 if abi >= 4 else 8]
    ruleset = libc.syscall(_LANDLOCK_CREATE, attributes, ctypes.c_size_t(len(attributes)), 0)
    if ruleset < 0:
        return 0
    devices = _FS_WRITE_FILE | (_FS_IOCTL_DEV_ABI_5 if abi >= 5 else 0)  # /dev/null is written to, nothing is made
    for folder, allowed in (*((folder, handled) for folder in writable), ("/dev", devices)):
        parent = os.open(folder, os.O_PATH | os.O_CLOEXEC)
        # struct landlock_path_beneath_attr is packed: u64 allowed_access, s32 parent_fd.
        libc.syscall(_LANDLOCK_ADD, ruleset, 1, struct.pack("=Qi", allowed, parent), 0)
        os.close(parent)
    libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS: landlock_restrict_self(2) asks for it
    done = libc.syscall(_LANDLOCK_RESTRICT, ruleset, 0)
    os.close(ruleset)
    return abi if done == 0 else 0


# --- proving it ---------------------------------------------------------------------------------------------------


def _status() -> dict[str, str]:
    with open("/proc/self/status") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


def _must_fail(act: Callable[[], object], what: str) -> str:
    """The complaint when an act that must be refused is not."""
    try:
        got = act()
    except OSError:
        return ""
    if isinstance(got, int) and got > 2:
        os.close(got)
    return what


def _can_connect(family: int, address: tuple[str, int] | bytes) -> None:
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.settimeout(2)
        sock.connect(address)


def probe_files(canary: Mapping[str, Any]) -> str:
    for folder in ("/", "/usr", "/dev", canary["folder"]):
        try:
            _touch(folder)
        except OSError:
            continue
        return "a folder outside of /tmp can be written to"
    return _must_fail(lambda: os.open(canary["file"], os.O_RDONLY), "a file of the host can be read")


def _touch(folder: str) -> None:
    path = os.path.join(folder, "probe-canary")
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    os.unlink(path)


def probe_network(canary: Mapping[str, Any]) -> str:
    tcp = _must_fail(
        lambda: _can_connect(socket.AF_INET, (CANARY_HOST, canary["port"])), "the host's network can be reached"
    )
    return tcp or _must_fail(
        lambda: _can_connect(socket.AF_UNIX, b"\0" + canary["abstract"].encode()),
        "an abstract socket of the host can be reached",
    )


def probe_secrets(canary: Mapping[str, Any]) -> str:
    """No process in sight may hold the judge's environment, and no process outside may be opened."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/" + pid + "/environ", "rb") as file:
                if canary["environ"].encode() in file.read():
                    return "the environment of the judge can be read"
        except OSError:
            continue
    return _must_fail(lambda: os.open("/proc/1/mem", os.O_RDONLY), "the memory of process 1 can be read")


def probe_privileges(_canary: Mapping[str, Any]) -> str:
    status = _status()
    if int(status["CapEff"], 16) or int(status["CapPrm"], 16) or int(status["CapBnd"], 16):
        return "capabilities are left"
    if status["NoNewPrivs"] != "1":
        return "new privileges can be gained"
    if os.geteuid() == 0:
        return "the program runs as root"
    return ""


def probe_processes(_canary: Mapping[str, Any]) -> str:
    seen = sorted(int(pid) for pid in os.listdir("/proc") if pid.isdigit())
    return "" if len(seen) <= 2 and os.getppid() <= 1 else "processes of the host can be seen"


def probe_filter(_canary: Mapping[str, Any]) -> str:
    """The system calls that hide others from a tracer, or lead out, are refused."""
    import ctypes

    if _status()["Seccomp"] != "2":
        return "there is no system call filter"
    libc = ctypes.CDLL(None, use_errno=True)
    clone = {"x86_64": 56}.get(os.uname().machine, 220)  # 220 in the generic table: aarch64, riscv64
    untraced_and_sigchld = 0x00800000 | 17
    child = libc.syscall(clone, untraced_and_sigchld, 0, 0, 0, 0)
    if child == 0:
        os._exit(0)
    if child > 0:
        os.waitpid(child, 0)
        return "an untraced child can be made"
    if libc.unshare(0x10000000) == 0:  # CLONE_NEWUSER
        return "a user namespace can be made"
    if (
        libc.prctl(22, 2, 0, 0, 0) == 0 or ctypes.get_errno() != 1
    ):  # PR_SET_SECCOMP with a null filter: EFAULT if let in
        return "a system call filter of one's own can be installed"
    return ""


def probe_limits(_canary: Mapping[str, Any]) -> str:
    """The number of processes ends where it should."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    reading, writing = os.pipe()
    children: list[int] = []
    try:
        while len(children) <= limit:
            child = os.fork()
            if child == 0:
                os.close(writing)
                os.read(reading, 1)
                os._exit(0)
            children.append(child)
    except OSError:
        pass
    os.close(writing)
    for child in children:
        os.waitpid(child, 0)
    os.close(reading)
    return "" if len(children) <= limit else "the number of processes is not limited"


PROBES: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "files": probe_files,
    "network": probe_network,
    "secrets": probe_secrets,
    "privileges": probe_privileges,
    "processes": probe_processes,
    "system calls": probe_filter,
    "limits": probe_limits,
}


# --- running a submission -----------------------------------------------------------------------------------------


class _Poison:
    """A meta path finder that refuses named libraries, with a word of explanation."""

    def __init__(self, reasons: Mapping[str, str]) -> None:
        self._reasons = reasons

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        for library, reason in self._reasons.items():
            if name == library or name.startswith(library + "."):
                raise ForbiddenImport(library, reason)


def poison(reasons: Mapping[str, str]) -> None:
    """Refuse the import of these libraries. `selectors` is a part of `socket`, so its classes refuse instead."""
    if "selectors" in reasons:
        import selectors

        def refuse(*_args: object, **_kwargs: object) -> None:
            raise Forbidden("selectors", reasons["selectors"])

        for name in [n for n in vars(selectors) if n.endswith("Selector")]:
            setattr(selectors, name, type(name, (), {"__init__": refuse}))
    banned = {name: reason for name, reason in reasons.items() if name != "selectors"}
    for name in [n for n in sys.modules if any(n == b or n.startswith(b + ".") for b in banned)]:
        del sys.modules[name]
    sys.meta_path.insert(0, _Poison(banned))


def explain(error: BaseException, folder: str) -> Message:
    """An exception as a problem: the last line, and the frames that are in the submission's own files."""
    import traceback

    kind = "forbidden" if isinstance(error, Forbidden) else "raised"
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename.startswith(folder)]
    rows = [_row(f.filename, f.lineno or 0, f" in {f.name}: {f.line}") for f in frames]
    if isinstance(error, SyntaxError) and (file := error.filename or "").startswith(folder):
        rows.append(_row(file, error.lineno or 0, f": {(error.text or '').strip()}"))
    # Only what stands before a syntax error is indented; what stands behind any error are its notes.
    words = traceback.format_exception_only(type(error), error)
    text = next((row for row in words if row[:1].strip()), words[-1])
    text = text.strip().partition("\n")[0]
    says = text.partition(": ")[2][:2000]  # as Python writes it: the class, and what it says
    if isinstance(error, Forbidden):
        library, reason = (str(getattr(error, name, ""))[:2000] for name in ("package", "reason"))
        return problem(kind, text, rows, library=library, reason=reason)
    number = error.errno if isinstance(error, OSError) and type(error.errno) is int else None
    named, meant = names_in(error)
    return problem(kind, text, rows, exception=type(error).__name__, says=says, errno=number, named=named, meant=meant)


def names_in(error: BaseException) -> tuple[str, str]:
    """The name that was not found, of an error that is about one, and the most similar one of those that are there."""
    there: list[str] = []
    try:
        named = str(getattr(error, "name", None) or "")[:80]
        if isinstance(error, NameError) and named and (last := error.__traceback__) is not None:
            while last.tb_next is not None:
                last = last.tb_next
            here = last.tb_frame.f_locals
            if hasattr(here.get("self"), named):
                return named, "self." + named
            there = [*here, *last.tb_frame.f_globals, *last.tb_frame.f_builtins]
        elif isinstance(error, AttributeError):
            there = dir(error.obj)
        elif (
            isinstance(error, ImportError) and not isinstance(error, ModuleNotFoundError) and error.name in sys.modules
        ):
            words = error.msg.split("'")  # cannot import name 'x' from 'y'
            named, there = words[1][:80], dir(sys.modules[error.name])
        if named and there:
            import difflib

            return named, "".join(difflib.get_close_matches(named, map(str, there), 1, 0.7))[:80]
        return named, ""
    except Exception:  # it is a stranger's object
        return "", ""


def _row(path: str, line: int, words: str) -> Row:
    """A line of the submission, in words and as file and line."""
    file = os.path.basename(path)
    return f"{file}:{line}{words}", file, line


def load(order: Message, channel: Channel) -> types.ModuleType | None:
    """Import the submission, if there is one. Its folder comes last on the path, so it can shadow nothing."""
    import importlib.machinery
    import importlib.util

    poison(order["poison"])
    sys.dont_write_bytecode = True
    sys.path.extend(order["path"])
    if not order["module"]:
        return None
    file = os.path.join(order["folder"], order["module"] + ".py")
    loader = importlib.machinery.SourceFileLoader(order["module"], file)
    spec = importlib.util.spec_from_file_location(order["module"], file, loader=loader)
    assert spec is not None  # a loader was given
    module = importlib.util.module_from_spec(spec)
    sys.modules[order["module"]] = module
    answer_where(order["folder"], channel)
    source = loader.get_data(file)
    keep_lines(file, source)
    exec(loader.source_to_code(source, file), module.__dict__)
    return module


def keep_lines(file: str, source: bytes) -> None:
    """Have the submission's lines at hand: when it fails for want of a descriptor, none is left to read them with."""
    import linecache

    text = source.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
    lines = [line + "\n" for line in text.split("\n")]
    linecache.cache[file] = (len(text), None, lines, file)


def answer_where(folder: str, channel: Channel) -> None:
    """From now on, tell the judge where the main thread is, whenever it asks."""
    import signal

    own_pid = os.getpid()

    def answer(_number: int, frame: types.FrameType | None) -> None:
        if os.getpid() == own_pid:
            channel.send(whereabouts(frame, folder))

    signal.signal(WHERE_SIGNAL, answer)


def whereabouts(frame: types.FrameType | None, folder: str) -> Message:
    """The lines of the submission that a thread is in, the innermost first, and the function that this one calls."""
    import linecache

    rows: list[Row] = []
    call = ""
    while frame is not None:
        code, line = frame.f_code, frame.f_lineno
        if code.co_filename.startswith(folder):
            text = linecache.getline(code.co_filename, line).strip()
            call = call if rows else called(frame)
            rows.append(_row(code.co_filename, line, f" in {code.co_name}: {text}"))
        frame = frame.f_back
    return {"where": rows[:12], "call": call}


def called(frame: types.FrameType) -> str:
    """The name of the function that a frame is just calling; empty when that is not told."""
    import linecache

    try:
        places = list(frame.f_code.co_positions())
        first, last, begin, end = places[frame.f_lasti // 2]
        if first is None or first != last:
            return ""
        line = linecache.getline(frame.f_code.co_filename, first).encode()[begin:end].decode()
        depth = 0
        for place in range(len(line) - 1, -1, -1):
            depth += (line[place] == ")") - (line[place] == "(")
            if not depth:
                name = line[:place].rpartition(".")[2].split()[-1] if line[-1] == ")" else ""
                return name if name.isidentifier() else ""
    except (AttributeError, IndexError, TypeError, ValueError):
        pass
    return ""


def shipped(source: str, name: str) -> Any:
    """A function of the check's file, from its source, with nothing else of that file."""
    room = types.ModuleType("scenario")
    # compile() goes by this file's `annotations`: they stay text, for what they name stays behind in the check's file.
    exec(compile(source, "<scenario>", "exec"), room.__dict__)
    return getattr(room, name)


def serve(module: types.ModuleType | None, order: Message, channel: Channel) -> object:
    """Let it serve. What was lent to it is returned, so that it is still open if the program has left it open."""
    entry = getattr(module, order["entry"], None)
    if not callable(entry):
        channel.send({"problem": problem("missing", f"{order['module']}.py has no function {order['entry']}")})
        return None
    handler = shipped(order["source"], order["handler"])
    arguments = [socket.socket(fileno=order["listen_fd"]), handler, *order["arguments"]]
    own_pid = os.getpid()
    channel.send({"serving": True})
    try:
        entry(*arguments)
    except BaseException as error:
        leaves = isinstance(error, SystemExit) and not error.code
        if os.getpid() != own_pid:  # in any other program too, a child's exception would end the child
            if not isinstance(error, SystemExit):
                sys.excepthook(type(error), error, error.__traceback__)
            os._exit(0 if leaves else 1)
        channel.send({"returned": "SystemExit"} if leaves else {"problem": explain(error, order["folder"])})
    else:
        if os.getpid() == own_pid:
            gc.collect()  # what nobody holds any more is closed: only what is kept open is seen from outside
            channel.send({"returned": True})
        elif order["strays"]:
            channel.send({"stray": True})
    if os.getpid() != own_pid:
        os._exit(0)
    return arguments


class Room:
    """What a scenario holds besides the submission: ways to wait for a look from outside or for an answer."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def pause(self, label: str, *, then: str = "") -> Any:
        """Tell the judge, and wait for its go; what it says with that, if anything.

        Args:
            label: [a-z0-9_]+.
            then: the label of the next pause, where instructions are counted up to that: less of them are ours then.
        """
        go = self._channel.pause(label, then)
        if go is None:
            os._exit(0)  # nobody is left to tell
        return go["value"]

    def ask(self, question: Any) -> Any:
        """The judge's answer, where the truth must not be in the box. Both are what JSON can say."""
        self._channel.send({"ask": question})
        answer = self._channel.receive()
        if answer is None:
            os._exit(0)
        return answer["value"]


def run(module: types.ModuleType | None, order: Message, channel: Channel) -> None:
    try:
        scenario = shipped(order["source"], order["function"])
        channel.send({"value": scenario(module, Room(channel), *order["arguments"])})
    except BaseException as error:
        channel.send({"problem": explain(error, order["folder"])})


def begin(start: Message) -> Message:
    """Lower this process's rights and try the wall."""
    import ctypes

    # What `explain` and `answer_where` need later, when the program may have used up its descriptors or its memory.
    import signal  # noqa: F401
    import tokenize  # noqa: F401 - linecache's, which imports it late from Python 3.13 on
    import traceback  # noqa: F401

    os.umask(0o077)
    limit_resources(start["limits"])
    libc = ctypes.CDLL(None, use_errno=True)
    complaints = {}
    if start["boxed"]:
        abi = enter_landlock(libc, ("/tmp", "/dev/shm"))
        complaints = {name: PROBES[name](start["canary"]) for name in start["probes"]}
        if not abi:
            complaints["landlock"] = "the kernel has no Landlock"
    else:
        libc.prctl(1, 9, 0, 0, 0)  # PR_SET_PDEATHSIG, SIGKILL: nobody else would take it along
    return {"probes": complaints, "pid": os.getpid()}


def main() -> None:
    channel = Channel(socket.socket(fileno=int(sys.argv[1])))
    start = channel.receive()
    if start is None:
        return
    channel.send(begin(start))
    module: types.ModuleType | None = None
    lent: list[object] = []
    folder = ""
    while True:
        order = channel.receive()
        if order is None:
            return
        match order["op"]:
            case "lend":
                if order["fds"]:
                    channel.borrow(order["fds"])
                limit_resources(order["limits"])
            case "load":
                folder = order["folder"]
                try:
                    module = load(order, channel)
                except BaseException as error:
                    channel.send({"problem": explain(error, folder)})
                else:
                    channel.send({"loaded": True})
            case "serve":
                lent.append(serve(module, order, channel))
            case "run":
                run(module, order, channel)


if __name__ == "__main__":
    main()
