"""Which sentences a Python file says: the templates of its calls of `say`, read without running it."""

import ast
from collections.abc import Iterator


class NotWrittenOut(Exception):
    """A sentence that is made while the program runs: nobody can have translated it."""


def said(source: str, name: str) -> Iterator[str]:
    """The templates, as they stand in this file; none, if it does not import `say`.

    Raises:
        NotWrittenOut: a template is not written out where it is said.
    """
    tree = ast.parse(source, name)
    if not any(_imports_say(part) for part in ast.walk(tree)):
        return
    for part in ast.walk(tree):
        match part:
            case ast.Call(func=ast.Name(id="say"), args=[ast.Constant(value=str(template)), *_]):
                yield template
            case ast.Call(func=ast.Name(id="say")):
                raise NotWrittenOut(f"{name}:{part.lineno}: write the sentence out where it is said")


def _imports_say(part: ast.AST) -> bool:
    match part:
        case ast.ImportFrom(module="grader.words.say" | "grader.checks", names=names):
            return any(one.name == "say" for one in names)
        case _:
            return False
