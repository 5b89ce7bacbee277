"""Where this machine's programs are. Knows a search path alone and imports next to nothing: a command asks it first."""

import os
import shutil
from pathlib import Path
from typing import Final

# /usr/bin first: on Ubuntu the AppArmor profile that lets bwrap work names /usr/bin/bwrap alone.
SYSTEM_PATH: Final = "/usr/bin:/bin:/usr/local/bin"


def search_path() -> str:
    """The environment's PATH; the system's where that has none."""
    return os.environ.get("PATH", SYSTEM_PATH)


def find_program(name: str, *, path: str = SYSTEM_PATH) -> str | None:
    """The absolute path of a program, or None: a box has an empty environment."""
    found = shutil.which(name, path=path)
    return None if found is None else str(Path(found).absolute())
