"""What to try, by what was seen: hints that belong to a failure and not to a check. For text that cannot be compiled,
an import that fails, and exceptions that mean the same in whichever check they come.

Knows Python's messages; knows no exercise. What is not known here has the hint of its check.
"""

import difflib
import errno
import platform
import re
import sys
from collections.abc import Sequence
from typing import Final

from grader.checks.reading import SyntaxProblem
from grader.failures import CheckFailed, Crashed, NoAnswer, Raised
from grader.words.say import Words, say

VERSION: Final = platform.python_version()  # of the box's interpreter, too: it is the one behind this environment

# Quotes and dashes that are none of Python's: of word processors, of other languages, and what looks like them.
_QUOTES: Final = frozenset(map(chr, (0xAB, 0xB4, 0xBB, *range(0x2018, 0x2020), 0x2032, 0x2033, 0x2035, 0x2039, 0x203A)))
_DASHES: Final = frozenset(map(chr, (*range(0x2010, 0x2016), 0x2212)))
_CHARACTER: Final = re.compile(r"invalid (?:non-printable )?character .*\(?U\+(?P<number>[0-9A-F]{4,6})\)?")
_BEHIND_A_NUMBER: Final = re.compile(r"[0-9](?P<character>[^\x00-\x7f])")  # Python calls it an invalid literal
# What a line looks like that an older Python cannot read, and since when Python can.
_NEWER: Final = (
    (re.compile(r"""(?<![\w"'])(?:[tT][rR]?|[rR][tT])["']"""), "3.14"),
    (re.compile(r"^type\s+\w+\s*[\[=]"), "3.12"),
    (re.compile(r"^(?:async\s+def|def|class)\s+\w+\s*\["), "3.12"),
)
_LIKE: Final = 0.7  # how like a name must be to be the one that was meant
_NAME_CHARS: Final = 60


def for_syntax(problem: SyntaxProblem) -> Words:  # noqa: C901, PLR0912 - a row for each mistake
    """What to try with a text that cannot be compiled."""
    text, says = problem.text, problem.says
    if problem.merge:
        return say(
            "Git has left two versions of some lines, between the marks <<<<<<< and >>>>>>>. Keep the lines that you "
            "want, and delete the others and the marks."
        )
    if found := _CHARACTER.match(says):
        return _for_character(chr(int(found["number"], 16)))
    if says.endswith("literal") and (found := _BEHIND_A_NUMBER.search(text)):
        return _for_character(found["character"])
    if text.startswith(("%", "!")) or text.endswith("?"):
        return say("This is a command for a notebook, and no Python. Delete that line.")
    if text.startswith("```"):
        return say("``` stands around code in a chat or on a page. It is no Python: delete such lines.")
    if text.startswith(">>>"):
        return say(">>> is what Python itself prints before a line that you type. Delete it.")
    for pattern, since in _NEWER:
        if pattern.search(text):
            return say(
                "This is syntax of Python {since}, and the one that grades is {version}. Write it in the older way.",
                since=since,
                version=VERSION,
            )
    if says.startswith("f-string"):
        return say(
            "In the braces of an f-string, Python {version} takes no backslash and not the quotes that are around the "
            "string. Use the other quotes there, or a variable.",
            version=VERSION,
        )
    if says.startswith("Missing parentheses in call to"):
        return say("This is Python 2, and the one that grades is {version}. Call it with parentheses.", version=VERSION)
    if says.startswith("multiple exception types"):
        return say("Put the exceptions into parentheses: except (A, B). Or is it Python 2's: except A as error?")
    if problem.exception == "TabError":
        return say("Indent with four spaces everywhere: let your editor replace the tabs of the whole file.")
    if problem.exception == "IndentationError":
        return say(
            "The lines of a block begin in the same column, four spaces further in than the line above it that ends "
            "in a colon. A block that shall be empty needs `pass`."
        )
    if says.endswith("outside function"):
        return say("That line belongs into a function: indent it as the others in it.")
    if "never closed" in says or says.startswith("unterminated"):
        return say("What is opened there is closed nowhere: add the bracket or the quotes.")
    return say(
        "Look at that line, and at the one above it: a bracket, a quote, a comma or a colon is missing there, or is "
        "one too many. Python {version} grades.",
        version=VERSION,
    )


def _for_character(character: str) -> Words:
    if character in _QUOTES:
        return say(
            "{character} comes from a word processor, a chat or a page. Python's quotes are ' and \": type those of "
            "that line anew, in your editor.",
            character=character,
        )
    if character in _DASHES:
        return say(
            "{character} is a dash, as word processors and pages have them. Python's minus is -: type it anew, in your "
            "editor.",
            character=character,
        )
    if not character.isprintable() or character.isspace():
        return say(
            "There is a blank in that line that is none of Python's: it comes from a word processor, a chat or a page. "
            "Delete the blanks of that line, and type them anew."
        )
    if "\u3000" < character <= "\u303f" or "\uff00" <= character <= "\uffef":
        return say(
            "{character} is a wide character, of an East Asian keyboard. Switch it to English, and type it anew.",
            character=character,
        )
    return say(
        "Python takes {character} in strings and comments only. Delete it there, or type what you mean anew.",
        character=character,
    )


def for_import(failure: CheckFailed, *, file: str, given: Sequence[str] = (), beside: Sequence[str] = ()) -> str:
    """What to try with a submission whose import fails.

    Args:
        file: what is imported.
        given: the files of the course that lie beside it.
        beside: what was handed in and is not part of the exercise.
    """
    if failure.hint:
        return failure.hint
    if isinstance(failure, NoAnswer):
        return say(
            "An import has to come to its end. What serves, waits or runs for ever belongs into a function, and what "
            "only "
            'tries the program out below `if __name__ == "__main__":`, at the end of {file}.',
            file=file,
        )
    if isinstance(failure, Raised):
        return _for_raised_import(failure, file, given, beside)
    if isinstance(failure, Crashed):
        return _ends_at_import(file)
    return say("Mend what stands outside of all functions: it is run when {file} is imported.", file=file)


def _ends_at_import(file: str) -> Words:
    return say(
        "Nothing may end the program while {file} is imported: no exit(), quit(), sys.exit() or os._exit() outside of "
        "a "
        'function. What only tries the program out belongs below `if __name__ == "__main__":`.',
        file=file,
    )


def _for_raised_import(failure: Raised, file: str, given: Sequence[str], beside: Sequence[str]) -> Words:
    match failure.exception:
        case "SystemExit":
            return _ends_at_import(file)
        case "EOFError":
            return say(
                "Nobody is there to type anything: input() finds the end at once. What is typed comes through the "
                "function's arguments; delete that line."
            )
        case "FileNotFoundError":
            return say("{file} runs alone: no other file of yours is there. Do without it.", file=file)
    return for_raised(failure, file=file, given=given, beside=beside) or say(
        "What stands outside of all functions is run when {file} is imported. Mend that line; what only tries the "
        "program "
        'out belongs below `if __name__ == "__main__":`.',
        file=file,
    )


def for_raised(failure: Raised, *, file: str, given: Sequence[str] = (), beside: Sequence[str] = ()) -> Words | None:
    """What to try against an exception that means the same in whichever check it comes; None for any other.

    Args:
        file, given, beside: as those of `for_import`.
    """
    says, name = failure.says, failure.named[:_NAME_CHARS]
    match failure.exception:
        case "ModuleNotFoundError" | "ImportError":
            return _for_missing_module(failure, file, given, beside)
        case "NameError" | "UnboundLocalError" if name:
            return _for_name(failure, name)
        case "AttributeError" if failure.meant:
            return say("{name} is not there. Did you mean {meant}?", name=name, meant=failure.meant)
        case "AttributeError" | "TypeError" if "'NoneType' object" in says:
            return say(
                "Something is None there that should not be: what a function without `return` gives, or a name that "
                "nobody has set yet."
            )
        case "TypeError" | "AttributeError" if _bytes_and_text(says):
            return say(
                'What goes through a socket is bytes, not text: write b"\\n", and neither encode nor decode what you '
                "get."
            )
        case "TypeError" if not failure.evidence and "argument" in says:
            return say(
                "Keep each function's parameters as the stub has them: they are called as the handout's contract says."
            )
        case "TypeError" if says.startswith("'<' not supported"):
            return say(
                "A heap, and sort(), compare whole entries: where the first elements are equal, the next ones. Put a "
                "number that no two entries share behind what is sorted by: (deadline, next(numbers), task), with "
                "numbers = itertools.count()."
            )
        case "RuntimeError" if "changed size during iteration" in says:
            return say(
                "Nothing may come into a dict or a set, or leave it, while a loop walks it: walk list(...) of it."
            )
        case "BlockingIOError":
            return say(
                "A call on a non-blocking socket that cannot be done now raises BlockingIOError. Catch it, keep what "
                "is not done yet, and go on when the socket is ready."
            )
        case "ConnectionResetError" | "BrokenPipeError":
            return say(
                "recv() and send() raise {exception} when a client is gone. Catch it, close that connection, forget "
                "all that you know of it, and go on with the others.",
                exception=failure.exception,
            )
    if failure.errno == errno.EBADF or says.startswith("file descriptor cannot be a negative"):
        return say(
            "That descriptor has been closed already. Unregister before close(), or not at all, and take what you "
            "close out of each list and dict in which it stands."
        )
    return None


def _bytes_and_text(says: str) -> bool:
    return (
        "bytes-like object is required, not 'str'" in says
        or "can't concat str to bytes" in says
        or 'can only concatenate str (not "bytes")' in says
        or "'bytes' object has no attribute 'encode'" in says
    )


def _for_name(failure: Raised, name: str) -> Words:
    if name == "get_ipython":
        return say("This is a command for a notebook, and no Python. Delete that line.")
    if failure.exception == "UnboundLocalError" or "local variable" in failure.says:
        return say(
            "{name} is set somewhere in that function, so it is the function's own there, and has no value yet. Set it "
            "before that line; `nonlocal {name}` or `global {name}` says that it is another one's.",
            name=name,
        )
    if failure.meant:
        return say("{name} is not there. Did you mean {meant}?", name=name, meant=failure.meant)
    if name in sys.stdlib_module_names:
        return say("Write `import {name}` at the top.", name=name)
    return say("Nothing is called {name} there: import it, or define it above that line.", name=name)


def _for_missing_module(failure: Raised, file: str, given: Sequence[str], beside: Sequence[str]) -> Words:
    name = failure.named.partition(".")[0][:_NAME_CHARS]
    if failure.says.startswith("attempted relative import"):
        return say(
            "{file} is no part of a package, so no import may begin with a dot. It runs alone: put what you need of "
            "your other files into it.",
            file=file,
        )
    if failure.exception == "ImportError" and failure.meant:
        return say("{name} is not there. Did you mean {meant}?", name=failure.named[:_NAME_CHARS], meant=failure.meant)
    if failure.exception == "ImportError" and name:
        return say(
            "There is no {name} in that module of Python {version}, which grades. Newer versions may have it: do "
            "without.",
            name=failure.named[:_NAME_CHARS],
            version=VERSION,
        )
    if f"{name}.py" in beside:
        return say(
            "{name}.py is not handed in: {file} alone is. Put what you need of it into {file}.", name=name, file=file
        )
    known = [one for one in sys.stdlib_module_names if not one.startswith("_")]
    known += [one.removesuffix(".py") for one in given if one.endswith(".py")]
    if (like := difflib.get_close_matches(name, known, 1, _LIKE)) and like[0] != name:
        return say("There is no module {name}. Did you mean {meant}?", name=name, meant=like[0])
    return say(
        "{file} runs alone, with the standard library of Python {version}: no package that pip installs is there, and "
        "no other file of yours. Do without {name}, or put what you need of it into {file}.",
        file=file,
        version=VERSION,
        name=name or "that",
    )
