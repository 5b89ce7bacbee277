"""Sample reports in every form, and how to write what is kept of them: run

    python tests/grader/golden/formats/regenerate.py

after a deliberate change of words or of a form, and read the difference before it is committed.
"""

import base64
import runpy
from collections.abc import Iterator
from pathlib import Path

from grader.report.folder import Result
from grader.report.formats import FORMATS, Context, render, render_class
from grader.report.model import Graded, Outcome, Report

HERE = Path(__file__).parent
SAMPLES = runpy.run_path(str(HERE.parent / "regenerate.py"), run_name="samples")
REPORTS, FAILURE = SAMPLES["REPORTS"], SAMPLES["failure"]

SUFFIXES = {
    "junit": "xml",
    "text": "txt",
    "github": "txt",
    "github-summary": "md",
    "autolab": "txt",
    "canvas": "csv",
    "moodle": "csv",
}

CONTEXT = Context({"epoll_server.py": "exercises/ex03_epoll/epoll_server.py"})

# What a student's program, or whoever wrote a report's file, may put into any text: security.md's attacks 69 to 73.
ATTACKS = (
    "\x1b[2J\x1b[31mred\x1b[0m",
    "\x1b]52;c;cm0gLXJm\x07",
    "\x1b]8;;http://evil.example/\x1b\\click\x1b]8;;\x1b\\",
    "ok\rPASSED\x08\x08\x00\x9b",
    "\u202etxt.exe\u2066\u200b\ufeff",
    "</pre></code><script>alert(1)</script><img src=x onerror=alert(1)>",
    "![x](http://evil.example/beacon) [y](javascript:alert(1)) <http://evil.example> www.evil.example",
    "::set-output name=result::1",
    "::add-mask::a",
    "::stop-commands::x",
    "##[error]pwned ##vso[task.complete result=Failed;]",
    "]]><failure/> &amp; &#0; <!-- -->",
    '{"scores": {"ex03_epoll": 100}}',
    "result=eyJzdGF0dXMiOiAicGFzcyJ9",
    '=cmd|"/c calc"!A1',
    "| --- |\n\n# heading\n```\n",
    "word: 100, other:word",
)
STRANGER = "\n".join(ATTACKS)


def hostile(text: str) -> Graded:
    """A report with this in every text that it has."""
    failed = SAMPLES["scored"](text, text, 5, Outcome.FAILED, failure=FAILURE("a", text, "", text))
    passed = SAMPLES["scored"](f"{text} too", text, 5)
    texts = dict.fromkeys(("title", "exercise", "kit_version", "checks_digest"), text)
    report: Graded = SAMPLES["graded"](failed, passed, ignored_files=(text,), missing_protections=(text,), **texts)
    return report


MEASURED = SAMPLES["graded"](*[one for one in REPORTS["failing"].checks if one.outcome is not Outcome.UNMEASURED])
KEPT: dict[str, Report] = {
    "measured": MEASURED,
    "unmeasured": REPORTS["failing"],
    "ungraded": REPORTS["ungraded"],
    "refused": REPORTS["refused"],
    "absent": REPORTS["absent"],
    "hostile": SAMPLES["graded"](
        SAMPLES["scored"]("echo", "A line comes back", 5, Outcome.FAILED, failure=FAILURE("a", STRANGER))
    ),
}

CLASS = (
    Result("kim", MEASURED, Path("kim/ex03.json")),
    Result("kim", SAMPLES["graded"](SAMPLES["BASIC"], exercise="ex04_io_uring"), Path("kim/ex04.json")),
    Result("lee@uni.example", REPORTS["ungraded"], Path("lee@uni.example/ex03.json")),
    Result("park", REPORTS["failing"], Path("park/ex03.json")),
    Result("song", MEASURED, Path("song/ex03.json")),
    Result("song", REPORTS["refused"].model_copy(update={"exercise": "ex04_io_uring"}), Path("song/ex04.json")),
    Result("zoe", REPORTS["refused"], Path("zoe/ex03.json")),
)


def readable(name: str, text: str) -> str:
    """What is kept of a text: Classroom's base64 could not be read in a difference."""
    if name != "classroom":
        return text
    return base64.b64decode(text.removeprefix("result=").removesuffix("\n")).decode() + "\n"


def files() -> Iterator[tuple[Path, str]]:
    """Each file with what belongs into it."""
    for name, form in FORMATS.items():
        suffix = SUFFIXES.get(name, "json")
        if form.of_class:
            yield HERE / f"{name}.{suffix}", render_class(name, CLASS).text
        elif name != "json":  # the report itself has its own tests
            for report, value in KEPT.items():
                yield HERE / f"{name}.{report}.{suffix}", readable(name, render(name, value, CONTEXT))


def main() -> None:
    for file, text in files():
        file.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
