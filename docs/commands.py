"""Writes docs/commands.md from the help texts of `grade`: `python docs/commands.py`. A test fails when the page is not
what this gives.

Knows click's commands and the page's frame; every word about an option stands in grader/cli.py.
"""

from pathlib import Path

import click

from grader.cli import commands

PAGE = Path(__file__).with_name("commands.md")
FRAME = """\
# Commands

The help texts of `grade`, as `grade --help` and `grade COMMAND --help` print them.
This page is generated: edit `grader/cli.py`, then run `python docs/commands.py`.

"""


def page() -> str:
    """The whole page, in Markdown; the same on every machine and terminal."""
    group = _context(commands, "grade", None)
    parts = [_section("grade", group)]
    for name in ["exercise", *commands.list_commands(group)]:  # the first is hidden: it may be left out
        command = commands.get_command(group, name)
        assert command is not None  # it was listed
        if not command.hidden or name == "exercise":
            parts.append(_section(f"grade {name}", _context(command, name, group)))
    return FRAME + "\n".join(parts)


def _context(command: click.Command, name: str, parent: click.Context | None) -> click.Context:
    settings = {**command.context_settings, "terminal_width": 80, "max_content_width": 80}
    return command.context_class(command, info_name=name, parent=parent, **settings)


def _section(title: str, context: click.Context) -> str:
    return f"## `{title}`\n\n```\n{context.get_help()}\n```\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE.name)
