"""What to try, by what was seen: hints of imports that fail, and of exceptions."""

import errno
from typing import Any

import pytest

from grader.checks.advice import VERSION, for_import, for_raised
from grader.failures import CheckFailed, Crashed, Evidence, ForbiddenUse, NoAnswer, NotImported, Raised


def raised(exception: str, says: str = "", kind: type[Raised] = Raised, **more: Any) -> Raised:
    rows = [Evidence("it.py:1 in f: x", "it.py", 1)]
    words = {"expected": "it goes on", "seen": "it raised", "evidence": rows, **more}
    return kind(exception=exception, says=says, **words)


@pytest.mark.parametrize(
    ("failure", "says"),
    [
        (raised("ModuleNotFoundError", "No module named 'helper'", named="helper"), "helper.py is not handed in"),
        (raised("ModuleNotFoundError", "No module named 'numpy'", named="numpy.linalg"), "Do without numpy,"),
        (raised("ModuleNotFoundError", "No module named 'sokcet'", named="sokcet"), "Did you mean socket?"),
        (raised("ModuleNotFoundError", "No module named 'trap'", named="trap"), "Did you mean traps?"),
        (raised("ImportError", "attempted relative import with no known parent package"), "begin with a dot"),
        (raised("ImportError", "cannot import name", named="Quue", meant="Queue"), "Did you mean Queue?"),
        (raised("ImportError", "cannot import name", named="batched"), f"of Python {VERSION}"),
        (raised("EOFError", "EOF when reading a line"), "input() finds the end at once"),
        (raised("SystemExit", "0"), "Nothing may end the program while it.py is imported"),
        (Crashed(expected="", seen=""), "Nothing may end the program while it.py is imported"),
        (NoAnswer(expected="", seen=""), "An import has to come to its end"),
        (raised("NameError", "name 'qeue' is not defined", named="qeue", meant="queue"), "Did you mean queue?"),
        (raised("NameError", "name 'time' is not defined", named="time"), "Write `import time` at the top"),
        (raised("NameError", "name 'frobs' is not defined", named="frobs"), "Nothing is called frobs there"),
        (raised("NameError", "name 'get_ipython' is not defined", named="get_ipython"), "a command for a notebook"),
        (raised("FileNotFoundError", "No such file"), "no other file of yours"),
        (raised("ZeroDivisionError", "division by zero"), "run when it.py is imported"),
        (CheckFailed(expected="", seen=""), "run when it.py is imported"),
    ],
)
def test_each_import_that_fails_has_a_hint_of_its_own(failure: CheckFailed, says: str) -> None:
    hint = for_import(failure, file="it.py", given=["traps.py", "data.bin"], beside=["helper.py"])

    assert says in hint


def test_a_failure_that_brings_its_hint_along_keeps_it() -> None:
    failure = ForbiddenUse(expected="", seen="")
    failure.hint = "Take it out."

    assert for_import(failure, file="it.py") == "Take it out."


@pytest.mark.parametrize(
    ("failure", "says"),
    [
        (raised("UnboundLocalError", "cannot access local variable 'n'", named="n"), "`nonlocal n`"),
        (raised("NameError", "name 'errors' is not defined", named="errors", meant="self.errors"), "mean self.errors?"),
        (raised("AttributeError", "...", named="setblockin", meant="setblocking"), "Did you mean setblocking?"),
        (
            raised("AttributeError", "'NoneType' object has no attribute 'done'", named="done"),
            "Something is None there",
        ),
        (raised("TypeError", "'NoneType' object is not iterable"), "Something is None there"),
        (raised("TypeError", "a bytes-like object is required, not 'str'"), "is bytes, not text"),
        (raised("TypeError", "can't concat str to bytes"), "is bytes, not text"),
        (raised("TypeError", "serve() takes 2 positional arguments but 3 were given", evidence=[]), "as the stub has"),
        (raised("TypeError", "'<' not supported between instances of 'Task' and 'Task'"), "itertools.count()"),
        (raised("RuntimeError", "dictionary changed size during iteration"), "walk list(...) of it"),
        (raised("BlockingIOError", "[Errno 11] ...", errno=errno.EAGAIN), "Catch it, keep what is not done yet"),
        (raised("ConnectionResetError", "[Errno 104] ...", errno=errno.ECONNRESET), "when a client is gone"),
        (raised("OSError", "[Errno 9] Bad file descriptor", errno=errno.EBADF), "Unregister before close()"),
        (raised("ValueError", "file descriptor cannot be a negative integer (-1)"), "Unregister before close()"),
    ],
)
def test_an_exception_that_means_the_same_in_each_check_has_its_own_hint(failure: Raised, says: str) -> None:
    assert says in str(for_raised(failure, file="it.py"))


@pytest.mark.parametrize(
    "failure",
    [
        raised("KeyError", "5"),
        raised("TypeError", "f() takes 1 positional argument but 2 were given"),  # in a line of the student's
        raised("OSError", "[Errno 24] Too many open files", errno=errno.EMFILE),
        raised("AttributeError", "'It' object has no attribute 'frobs'", named="frobs"),
        raised("NameError", ""),
    ],
)
def test_of_any_other_its_check_knows_more(failure: Raised) -> None:
    assert for_raised(failure, file="it.py") is None


def test_a_name_is_cut() -> None:
    failure = raised("ModuleNotFoundError", "No module", kind=NotImported, named="x" * 1000)

    assert len(for_import(failure, file="it.py")) < 400
