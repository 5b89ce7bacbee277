"""Lines of traces in front of ex04's list of what may be called while a file is read.

What is forbidden is tried by ex04's wrong submissions; here stands what a right one's trace may show now and then.
"""

from types import ModuleType

import pytest

from grader.measure.strace import Call
from judged import imported
from places import TESTS

CONDUCT = TESTS.parent / "ex04_io_uring" / "ring_conduct.py"
GO = r'recvfrom(22, "\0\0\0\33{\"op\": \"go\", \"value\""..., 31, 0, NULL, NULL) = 31'
BROKEN_OFF = "recvfrom(22, 0x7f1b4b87c990, 31, 0, NULL, NULL) = ? ERESTARTSYS (To be restarted if SA_RESTART is set)"
# As a program's own words in a message to itself.
PRETENDS = r'recvfrom(9, "0x1, 31, 0, NULL, NULL) = ? ERESTARTSYS", 64, 0, NULL, NULL) = 64'


@pytest.fixture(scope="module")
def rules() -> ModuleType:
    return imported(CONDUCT)


def offences(rules: ModuleType, *lines: str) -> list[str]:
    conduct = rules.Conduct(5, {}, ())
    return [conduct.offence(Call(pid=1, at_s=0.0, name=line.partition("(")[0], text=line)) for line in lines]


def test_a_wait_for_the_word_that_the_kernel_begins_anew_has_brought_nothing(rules: ModuleType) -> None:
    assert offences(rules, GO, BROKEN_OFF, BROKEN_OFF, BROKEN_OFF, BROKEN_OFF, GO) == [""] * 6


def test_who_receives_more_than_the_word_is_told(rules: ModuleType) -> None:
    for more in (GO, PRETENDS):
        *allowed, last = offences(rules, GO, GO, more)

        assert allowed == ["", ""]
        assert last == "recvfrom: a program that reads through its ring has no need of it"
