"""Writes the table of floors in docs/design.md: `python docs/floors.py`. A test fails when it is not what this gives.

The order is the import contract's in pyproject.toml, the words are the packages' own docstrings.
"""

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "design.md"
BEGIN, END = "<!-- floors -->\n", "<!-- end of floors -->\n"


def table() -> str:
    """The floors from the top, a row each, in Markdown."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = (one["layers"] for one in contracts if one["type"] == "layers")
    rows = "".join(f"| {names} | {words} |\n" for layer in layers for names, words in _rows(layer))
    return f"| floor | holds |\n|---|---|\n{rows}"


def page() -> str:
    """The whole page with the table in its place."""
    text = PAGE.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{table()}{END}{after}"


def _rows(layer: str) -> Iterator[tuple[str, str]]:
    """Rooms of one floor, each with what it says of itself first."""
    for name in layer.replace("|", ":").split(":"):
        place = ROOT / "grader" / name.strip()
        file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
        words = ast.get_docstring(ast.parse(file.read_text())) or ""
        yield f"`{name.strip()}`", " ".join(words.partition("\n\n")[0].split())


if __name__ == "__main__":
    PAGE.write_text(page())
    print(PAGE.name)
