"""All that a check's author imports, through one door.

The checks that all servers of the line protocol share stand in `line_server`, which is imported from as well.
"""

from grader.box.limits import hard_open_files
from grader.checks import line_server
from grader.checks.budgets import NOISE_FACTOR, Budgets, Count, Sizes
from grader.checks.expecting import Spoilt, expecting, require, unless_noise
from grader.checks.growth import Growth
from grader.checks.meeting import Meeting, Pipe, is_pid
from grader.checks.program import Program, quiet_for
from grader.checks.scenario import Run, Stuck
from grader.checks.server import Server
from grader.checks.shapes import Plain
from grader.checks.submission import Submission
from grader.checks.windows import Calls, Instructions
from grader.failures import (
    CheckFailed,
    Crashed,
    Evidence,
    ForbiddenUse,
    NoAnswer,
    NotImported,
    Omitted,
    Raised,
    Unmeasured,
)
from grader.measure.clients import Client, Crowd, shown
from grader.measure.strace import CLONE_CALLS, Call
from grader.words.say import say

__all__ = [
    "CLONE_CALLS",
    "NOISE_FACTOR",
    "Budgets",
    "Call",
    "Calls",
    "CheckFailed",
    "Client",
    "Count",
    "Crashed",
    "Crowd",
    "Evidence",
    "ForbiddenUse",
    "Growth",
    "Instructions",
    "Meeting",
    "NoAnswer",
    "NotImported",
    "Omitted",
    "Pipe",
    "Plain",
    "Program",
    "Raised",
    "Run",
    "Server",
    "Sizes",
    "Spoilt",
    "Stuck",
    "Submission",
    "Unmeasured",
    "expecting",
    "hard_open_files",
    "is_pid",
    "line_server",
    "quiet_for",
    "require",
    "say",
    "shown",
    "unless_noise",
]
