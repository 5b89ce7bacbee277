"""A failure is data until somebody shows it: who catches one asks for its class and its values, never for its words."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import grader
from grader.failures import CheckFailed, Evidence, NoAnswer, Raised

KIT = Path(grader.__file__).parent
CHECKS = KIT.with_name("tests")

# What holds a sentence: of a failure, of a check that neither passed nor failed, of a report without a verdict.
SENTENCES = {"expected", "seen", "hint", "reason", "costs"}
LOOKS = {
    *("split", "rsplit", "splitlines", "partition", "rpartition", "startswith", "endswith", "find", "rfind", "index"),
    *("removeprefix", "removesuffix", "replace", "count", "strip", "translate"),
}
LOOKS_BY_PATTERN = {"match", "fullmatch", "search", "findall", "finditer", "split", "sub"}


def looks_into_sentences(source: str) -> Iterator[int]:
    """The lines at which a text that is somebody's sentence is taken apart, or compared with words."""
    for part in ast.walk(ast.parse(source)):
        if isinstance(part, ast.FunctionDef):
            yield from _looks(part)


def _looks(function: ast.FunctionDef) -> Iterator[int]:
    known: set[str] = set()  # names that stand for a sentence

    def is_sentence(part: ast.AST) -> bool:
        match part:
            case ast.Attribute(attr=name):
                return name in SENTENCES
            case ast.Call(func=ast.Attribute(attr="message")):
                return True
            case ast.Name(id=name):
                return name in known
            case ast.Subscript(value=inner) | ast.NamedExpr(value=inner):
                return is_sentence(inner)
            case _:
                return False

    for part in ast.walk(function):
        match part:
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if is_sentence(value):
                known.add(name)
            case ast.Call(func=ast.Attribute(value=text, attr=verb), args=args):
                taken = [text] if verb in LOOKS else args if verb in LOOKS_BY_PATTERN else []
                yield from [part.lineno] * any(map(is_sentence, taken))
            case ast.Compare(left=left, comparators=others):
                sides = (left, *others)
                yield from [part.lineno] * (any(map(is_sentence, sides)) and any(map(_holds_words, sides)))


def _holds_words(part: ast.AST) -> bool:
    """A text with something in it: that a sentence is empty may be asked."""
    texts = (inner.value for inner in ast.walk(part) if isinstance(inner, ast.Constant))
    return any(isinstance(text, str) and text for text in texts)


@pytest.mark.parametrize(
    "line",
    [
        'failure.seen.partition(" after ")',
        'if failure.expected in ("an answer", "b"): pass',
        're.fullmatch("it raised", failure.seen)',
        'check.message("en").splitlines()[:2]',
        'told = failure.seen\n    if "Errno" in told: pass',
        "_LABEL.match(report.reason)",
    ],
)
def test_who_looks_into_a_sentence_is_found(line: str) -> None:
    assert list(looks_into_sentences(f"def f():\n    {line}\n"))


@pytest.mark.parametrize(
    "line",
    [
        "raise failure.retold(seen=failure.seen + what)",
        "if not report.reason: pass",
        'if report.reason == "": pass',
        "calls.seen(names)",
        "isinstance(failure, NoAnswer)",
    ],
)
def test_who_only_tells_it_is_not(line: str) -> None:
    assert not list(looks_into_sentences(f"def f():\n    {line}\n"))


@pytest.mark.parametrize("file", sorted(KIT.rglob("*.py")), ids=lambda file: str(file.relative_to(KIT)))
def test_the_kit_looks_into_no_sentence(file: Path) -> None:
    assert not list(looks_into_sentences(file.read_text(encoding="utf-8")))


@pytest.mark.parametrize("file", sorted(CHECKS.glob("ex*/*.py")), ids=lambda file: file.stem)
def test_no_check_looks_into_a_sentence(file: Path) -> None:
    assert not list(looks_into_sentences(file.read_text(encoding="utf-8")))


# --- the exceptions -----------------------------------------------------------------------------------------------


def test_a_failure_that_is_told_again_stays_what_it_was() -> None:
    failure = Raised(expected="a", seen="b", evidence=["c"], exception="KeyError", says="d")

    again = failure.retold(expected="e")

    assert type(again) is Raised and again is not failure
    assert (again.expected, again.seen, again.exception, again.says) == ("e", "b", "KeyError", "d")
    assert (again.evidence, str(again)) == (failure.evidence, "expected e; seen b")
    assert failure.expected == "a"
    assert NoAnswer(expected="a", seen="b", got=b"x").retold(seen="c").got == b"x"


def test_evidence_is_rows_with_the_lines_that_they_are_about() -> None:
    row = Evidence("a.py:3 in f: 1 / 0", "a.py", 3)

    failure = CheckFailed(expected="a", seen="b", evidence=[row, "printed: c"])

    assert failure.evidence == (row, Evidence("printed: c", None, None))
    assert failure.retold(evidence=["d"]).evidence == (Evidence("d"),)
