"""What one box may use, as numbers. Knows how the kernel names them, and how many files this machine lets anyone open;
knows nothing of how a box is made.
"""

import resource
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one box may use."""

    memory_mb: int
    processes: int
    tmp_mb: int
    open_files: int

    def as_rlimits(self) -> dict[str, int]:
        return {
            "AS": self.memory_mb << 20,
            "NPROC": self.processes,
            "NOFILE": self.open_files,
            "FSIZE": self.tmp_mb << 20,
            "CORE": 0,
        }


def raise_open_files() -> None:
    """Allow this process as many descriptors as its hard limit says."""
    hard = hard_open_files()
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def hard_open_files() -> int:
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]
