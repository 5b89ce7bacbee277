"""What the text of a Python file tells without being run: whether it can be compiled, and which functions are left to
write. It runs as a script, in a process of its own: a compiler can die of a hostile text, and no judge may.

    python -I -S -B parsing.py NAME < the file          one line of JSON on standard output

It holds nothing but the standard library, and imports no module of the kit. What it prints is looked at by `reading`.
"""

import ast
import json
import re
import resource
import sys
from collections.abc import Iterator
from typing import Any

_CPU_S = 5
_MEMORY_BYTES = 1 << 30
_TEXT_CHARS = 300
# What Git leaves around both versions, at the beginning of a line. The line between them is a heading's in many texts.
_MERGE_MARK = re.compile(rb"^(<<<<<<<|>>>>>>>)(?= |$)", re.MULTILINE)

Function = ast.FunctionDef | ast.AsyncFunctionDef


def main() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_S, _CPU_S))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    print(json.dumps(read(sys.stdin.buffer.read(), sys.argv[1])))


def read(source: bytes, name: str) -> dict[str, Any]:
    """`error` is what the compiler says, or null; its line is that of a merge's mark, where there is one. `left` are
    the functions that are left to write, each with its line; `begun` is whether there is any function that is not.
    """
    try:
        tree = ast.parse(source, name)
        compile(source, name, "exec", dont_inherit=True)  # some mistakes are not the parser's to find
    except SyntaxError as error:
        what = {"exception": type(error).__name__, "says": str(error.msg)[:_TEXT_CHARS]}
        mark = _MERGE_MARK.search(source)
        line = error.lineno or 0
        if mark is not None:
            line = source.count(b"\n", 0, mark.start()) + 1
        where = {"line": line, "text": line_of(source, line), "merge": mark is not None}
        return {"error": {**what, **where}, "left": [], "begun": True}
    left, begun = [], any(isinstance(node, ast.Lambda) for node in ast.walk(tree))
    for qualified, function in functions(tree, ""):
        line = left_at(function)
        begun = begun or not line
        left += [[qualified, line]] if line else []
    return {"error": None, "left": left, "begun": begun or not left}


def line_of(source: bytes, number: int) -> str:
    lines = source.decode("utf-8", "replace").split("\n")
    return lines[number - 1].strip()[:_TEXT_CHARS] if 0 < number <= len(lines) else ""


def functions(node: ast.AST, prefix: str) -> Iterator[tuple[str, Function]]:
    """Those of the module and of its classes, not those within a function."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Function):
            yield prefix + child.name, child
        elif isinstance(child, ast.ClassDef):
            yield from functions(child, f"{prefix}{child.name}.")
        elif not isinstance(child, ast.expr):
            yield from functions(child, prefix)


def left_at(function: Function) -> int:
    """The line of the `raise NotImplementedError()` that a stub's function ends with; 0 where there is none."""
    last = function.body[-1]
    error = last.exc if isinstance(last, ast.Raise) else None
    if isinstance(error, ast.Call) and not error.args:
        error = error.func
    return last.lineno if isinstance(error, ast.Name) and error.id == "NotImplementedError" else 0


if __name__ == "__main__":
    main()
