"""Writes docs/commands.md from the help texts of `grade`: `python docs/commands.py`. A test fails when the page is not
what this gives.

Knows click's commands and the page's frame; every word about an option stands in grader/cli.py and grader/commands/.
"""

from pathlib import Path

import click

from grader.cli import commands

PAGE = Path(__file__).with_name("commands.md")
COLUMNS = 78  # what click writes on a terminal of 80
FRAME = """\
# Commands

What `grade --help` and `grade COMMAND --help` print. `grade ex03` is short for `grade exercise ex03`.

This page is generated: edit `grader/cli.py` or `grader/commands/`, then run `python docs/commands.py`.

"""


def page() -> str:
    """The whole page, in Markdown; the same on every machine and terminal."""
    group = _context(commands, "grade", None)
    inner = [command for name in commands.list_commands(group) if (command := commands.get_command(group, name))]
    inner.sort(key=lambda command: not command.hidden)  # only `exercise` is: it is typed most and may be left out
    sections = [group, *(_context(command, command.name or "", group) for command in inner)]
    return FRAME + "\n".join(f"## `{one.command_path}`\n\n```\n{one.get_help()}\n```\n" for one in sections)


def _context(command: click.Command, name: str, parent: click.Context | None) -> click.Context:
    settings = {**command.context_settings, "terminal_width": COLUMNS}
    return command.context_class(command, info_name=name, parent=parent, **settings)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE.name)
