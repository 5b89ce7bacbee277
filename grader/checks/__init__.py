"""All that a check's author imports. `docs/checks.md` says of each what it takes, gives and raises.

The checks that all servers of the line protocol share stand in `grader.checks.line_server`.
"""

from grader.checks.budgets import NOISE_FACTOR, Budgets, Count
from grader.checks.expecting import expecting, require
from grader.checks.program import Program, quiet_for
from grader.checks.scenario import Run
from grader.checks.server import Server
from grader.checks.shapes import Plain
from grader.checks.submission import Submission
from grader.checks.windows import Calls, Instructions
from grader.failures import CheckFailed, Crashed, ForbiddenUse, Omitted, Unmeasured

__all__ = [
    "NOISE_FACTOR",
    "Budgets",
    "Calls",
    "CheckFailed",
    "Count",
    "Crashed",
    "ForbiddenUse",
    "Instructions",
    "Omitted",
    "Plain",
    "Program",
    "Run",
    "Server",
    "Submission",
    "Unmeasured",
    "expecting",
    "quiet_for",
    "require",
]
