"""Which kit this is: its version, and a digest of its own files, so that an edited kit is not taken for the released
one. Knows nothing of what the files do.
"""

import hashlib
from pathlib import Path

from grader import __version__


def kit_version() -> str:
    """Such as "0.1.0+5c0b91c4b07d": version, `+`, and 12 digits of the SHA-256 of the kit's Python files."""
    return f"{__version__}+{_digest(Path(__file__).parent)[:12]}"


def modules(folder: Path) -> list[Path]:
    """The kit's Python files: what can be imported, so no editor's lock or copy (`.#cli.py`, `._cli.py`)."""
    return sorted(file for file in folder.rglob("*.py") if file.stem.isidentifier())


def _digest(folder: Path) -> str:
    """Of the names and bytes of all modules below; where the folder stands does not matter."""
    digest = hashlib.sha256()
    for file in modules(folder):
        content = file.read_bytes()
        digest.update(f"{file.relative_to(folder)}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()
