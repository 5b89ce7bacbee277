"""What a stranger prints is shown, never obeyed."""

import unicodedata

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from grader.safe_text import safe_text

# A busy machine is not a failure, and the folder that the tests start in may be read-only.
PATIENT = settings(deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])

HOSTILE = st.text(
    st.one_of(
        st.characters(),
        st.sampled_from("\x00\x07\x08\x1b\r\n\t\x7f\x85\x9b\xad\u061c\u200b\u200d\u2028\u2029\u202e\u2066\ufeff"),
        st.sampled_from("\ud800\udfff\ue000\U000e0041\u0301\u3164\ufe0f:#[] "),
    ),
    max_size=600,
)


@PATIENT
@given(HOSTILE, st.integers(0, 500), st.integers(0, 120))
def test_safe_text_is_bounded_and_has_no_control_character_but_the_line_feed(
    text: str, max_chars: int, max_line: int
) -> None:
    safe = safe_text(text, max_chars=max_chars, max_line=max_line)

    assert len(safe) <= max_chars
    assert all(len(line) <= max_line for line in safe.split("\n"))
    assert all(character == "\n" or character.isprintable() for character in safe)
    assert not {unicodedata.category(character) for character in safe.replace("\n", "")} & {
        "Cc",
        "Cf",
        "Cs",
        "Co",
        "Cn",
    }
    assert not any(line.lstrip().startswith("::") or "##[" in line for line in safe.split("\n"))


@PATIENT
@given(st.binary(max_size=600))
def test_any_bytes_become_text_that_can_be_encoded_again(data: bytes) -> None:
    safe = safe_text(data)

    assert safe.encode("utf-8").decode("utf-8") == safe


@PATIENT
@given(HOSTILE)
def test_safe_text_passes_a_second_time_unchanged(text: str) -> None:
    once = safe_text(text, max_chars=300, max_line=60)

    assert safe_text(once, max_chars=300, max_line=60) == once


@pytest.mark.parametrize(
    ("stranger", "shown"),
    [
        pytest.param("plain text: a\\b {x} <b>", "plain text: a\\b {x} <b>", id="plain text stays"),
        pytest.param("에코 서버가 응답하지 않음", "에코 서버가 응답하지 않음", id="Korean stays"),
        pytest.param("e\u0301t\u00e9 → ✓ 🐍", "e\u0301t\u00e9 → ✓ 🐍", id="accents, symbols and emoji stay"),
        pytest.param("one\n  two", "one\n  two", id="line feeds and indentation stay"),
        pytest.param("a\tb", "a    b", id="tab"),
        pytest.param("ok\rFAIL", "ok\\rFAIL", id="carriage return"),
        pytest.param("abc\x08\x08\x08", "abc\\x08\\x08\\x08", id="backspace"),
        pytest.param("\x00\x7f\x85\x9b2J", "\\x00\\x7f\\x85\\x9b2J", id="NUL, DEL and C1"),
        pytest.param("\x1b[2J\x1b]52;c;aGk=\x07", "\\x1b[2J\\x1b]52;c;aGk=\\x07", id="clear screen, clipboard"),
        pytest.param("\u202eeslaf\u2066", "\\u202eeslaf\\u2066", id="bidirectional controls"),
        pytest.param("a\u2028b\u2029c", "a\\u2028b\\u2029c", id="line and paragraph separators"),
        pytest.param("a\u200bb\ufeffc\u00add", "a\\u200bb\\ufeffc\\xadd", id="zero width"),
        pytest.param("a\u3164b\u034fc\ufe0f", "a\\u3164b\\u034fc\\ufe0f", id="letters and marks without a shape"),
        pytest.param("a\u00a0b\u3000c", "a\\xa0b\\u3000c", id="spaces that look like U+0020"),
        pytest.param("\ud800", "\\ud800", id="lone surrogate"),
        pytest.param("\ue000\U0010ffff\U000e0041", "\\ue000\\U0010ffff\\U000e0041", id="private, unassigned, tags"),
        pytest.param(b"caf\xc3\xa9 \xff\xfe", "café \\xff\\xfe", id="bytes that are not UTF-8"),
        pytest.param("a" + "\u0301" * 6, "a" + "\u0301" * 4 + "\\u0301" * 2, id="a tower of accents"),
    ],
)
def test_what_a_terminal_would_obey_is_shown_as_an_escape(stranger: bytes | str, shown: str) -> None:
    assert safe_text(stranger) == shown


@pytest.mark.parametrize(
    ("stranger", "shown"),
    [
        ("::error::pwned", "\\::error::pwned"),
        ("fine\n   ::add-mask::a", "fine\n   \\::add-mask::a"),
        ("\t::stop-commands::x", "    \\::stop-commands::x"),
        ("##[error]pwned", "#\\#[error]pwned"),
        ("said ##[group]x and ###[y", "said #\\#[group]x and ##\\#[y"),
        ("##vso[task.complete result=Failed;]", "#\\#vso[task.complete result=Failed;]"),
    ],
)
def test_what_a_ci_runner_would_obey_gets_a_visible_backslash(stranger: str, shown: str) -> None:
    assert safe_text(stranger) == shown


@pytest.mark.parametrize("text", ["x[::2]", "bound to ::1", "A::b()", "## [Unreleased]", "#[derive]"])
def test_what_only_resembles_a_command_stays(text: str) -> None:
    assert safe_text(text) == text


def test_a_long_line_says_how_much_is_missing_and_the_next_line_is_still_shown() -> None:
    safe = safe_text("a" * 1_000 + "\nnext", max_line=100)

    assert safe == "a" * 77 + "… 923 more characters\nnext"


def test_many_lines_end_in_a_notice_that_counts_the_rest() -> None:
    safe = safe_text("ab\n" * 1_000, max_chars=100)

    lines = safe.split("\n")
    assert set(lines[:-1]) == {"ab"}
    assert lines[-1] == f"… {3_000 - 3 * len(lines[:-1]):,} more characters"


def test_an_escape_is_never_cut_in_two_and_counts_as_the_one_character_it_stands_for() -> None:
    safe = safe_text("\x1b" * 100, max_line=50)

    assert safe == "\\x1b" * 7 + "… 93 more characters"


def test_a_flood_costs_no_more_than_what_is_shown_of_it() -> None:
    lines_shown = safe_text(b"\n" * 5_000_000).split("\n")

    assert len(safe_text(b"\x00" * 5_000_000)) <= 200
    assert len("\n".join(lines_shown)) <= 4096
    assert lines_shown[-1] == f"… {5_000_000 - len(lines_shown) + 1:,} more characters"


def test_no_character_of_unicode_comes_out_unprintable() -> None:
    planes_in_use = [*range(0x34000), *range(0xE0000, 0xE0200), 0x10FFFF]
    everything = "a".join(map(chr, planes_in_use))

    safe = safe_text(everything, max_chars=10**8, max_line=10**8)

    assert [character for character in safe if not character.isprintable()] == ["\n"]
