"""Writes docs/commands.md from the help texts of `grade`: `python docs/commands.py`. A test fails when the page is not
what this gives.

Knows click's commands and the page's frame; every word about an option stands in grader/commands/.
"""

from collections.abc import Iterator
from pathlib import Path

import click

from grader.commands.main import commands

PAGE = Path(__file__).with_name("commands.md")
COLUMNS = 78  # what click writes on a terminal of 80
FRAME = """\
# Commands

What `grade --help` and `grade COMMAND --help` print. `grade ex03` is short for `grade exercise ex03`.

This page is generated: edit `grader/commands/`, then run `python docs/commands.py`.

"""


def page() -> str:
    """The whole page, in Markdown; the same on every machine and terminal."""
    sections = _sections(_context(commands, "grade", None))
    return FRAME + "\n".join(f"## `{one.command_path}`\n\n```\n{one.get_help()}\n```\n" for one in sections)


def _sections(context: click.Context) -> Iterator[click.Context]:
    """A command and all that it holds, in the order of the page."""
    yield context
    if isinstance(context.command, click.Group):
        inner = sorted(context.command.commands.items())
        inner.sort(key=lambda item: not item[1].hidden)  # only `exercise` is: it is typed most and may be left out
        for name, command in inner:
            yield from _sections(_context(command, name, context))


def _context(command: click.Command, name: str, parent: click.Context | None) -> click.Context:
    settings = {**command.context_settings, "terminal_width": COLUMNS}
    return command.context_class(command, info_name=name, parent=parent, **settings)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE.name)
