"""Which kit this is: its version, and a digest of its own files, so that an edited kit is not taken for the released
one. Knows nothing of what the files do.
"""

from pathlib import Path

from grader import __version__
from grader.digests import digest_of


def kit_version() -> str:
    """Such as "0.1.0+5c0b91c4b07d": version, `+`, and 12 digits of the SHA-256 of the kit's Python files. Where the kit
    stands does not matter."""
    top = Path(__file__).parent
    digest = digest_of({str(file.relative_to(top)): file.read_bytes() for file in modules(top)})
    return f"{__version__}+{digest[:12]}"


def modules(folder: Path) -> list[Path]:
    """The kit's Python files: what can be imported, so no editor's lock or copy (`.#cli.py`, `._cli.py`)."""
    return sorted(file for file in folder.rglob("*.py") if file.stem.isidentifier())
