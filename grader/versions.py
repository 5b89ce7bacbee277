"""Which kit this is, and which files: versions and the one digest that they are told apart by, so that an edited kit is
not taken for the released one. Knows names and bytes, and nothing of what the files do.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from grader import __version__


def kit_version() -> str:
    """Such as "0.1.0+5c0b91c4b07d": version, `+`, and 12 digits of the SHA-256 of the kit's Python files. Where the kit
    stands does not matter."""
    top = Path(__file__).parent
    digest = digest_of({str(file.relative_to(top)): file.read_bytes() for file in modules(top)})
    return f"{__version__}+{digest[:12]}"


def modules(folder: Path) -> list[Path]:
    """The kit's Python files: what can be imported, so no editor's lock or copy (`.#cli.py`, `._cli.py`)."""
    return sorted(file for file in folder.rglob("*.py") if file.stem.isidentifier())


def digest_of(files: Mapping[str, bytes]) -> str:
    """SHA-256, in hex, over names and bytes; the order in which they are given does not matter."""
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(f"{name}\0{len(files[name])}\0".encode())  # the length keeps two files from reading as one
        digest.update(files[name])
    return digest.hexdigest()
