"""What a probe of this machine has found: a facility that is there or is lacking, what it costs to lack it, and the one
line that mends that. Knows the costs and the cures that several probes share; knows no probe, and needs no Linux.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

# Docker's profiles of seccomp and AppArmor refuse namespaces and mounts; Linux mounts no /proc in a user namespace
# while parts of the one in sight are masked; and root, who makes a network without a user namespace, needs one
# capability to unshare and one to bring loopback up.
DOCKER_OPTIONS: Final = (
    "--cap-add=SYS_ADMIN --cap-add=NET_ADMIN --security-opt=seccomp=unconfined "
    "--security-opt=apparmor=unconfined --security-opt=systempaths=unconfined"
)
DOCKER: Final = f"docker run {DOCKER_OPTIONS} ..."
CONTAINER: Final = (
    f'docker run -it --rm -v "$PWD":/course -w /course {DOCKER_OPTIONS} python:3.12-bookworm '
    'sh -c "apt-get update && apt-get install -y strace bubblewrap && exec bash"'
)
NOT_LINUX: Final = (
    "grade counts Linux system calls, so it runs on Linux only. On macOS and Windows run it in a container; "
    f"in the course's folder, type:\n{CONTAINER}"
)

NO_BOX: Final = "No program can be boxed: other people's are not graded; your own run bare, never official."
CROWD_FILES: Final = 10_300  # 10,000 connections and the interpreter's, pytest's and the judge's own
_FEWEST_FILES: Final = 2_300  # 2,000 connections: fewer say nothing about a crowd
COSTS: Final[Mapping[str, str]] = {
    "system": "Nothing can be graded.",
    "kernel": NO_BOX,
    "python": "No submission can be started, boxed or bare.",
    "private network": NO_BOX,
    "bubblewrap": NO_BOX,
    "libseccomp": NO_BOX,
    "landlock": NO_BOX,
    "filter": "calls that are newer than the kit answer ENOSYS in a box, as on an older kernel.",
    "temporary folder": NO_BOX,
    "boxed": NO_BOX,
    "bare": "No submission can be started where there is no box.",
    "strace": "Checks that count system calls, or make some fail, are unmeasured.",
    "psutil": "Checks that count threads, processes, descriptors or memory are unmeasured.",
    "io_uring": "Checks that need the kernel's io_uring are unmeasured.",
    "open files": (
        f"Below {CROWD_FILES:,} the largest crowds of connections are made smaller; "
        f"below {_FEWEST_FILES:,} the checks that hold thousands are unmeasured."
    ),
    "backlog": "Crowds of thousands connect by retransmission: checks that hold them are slow and may time out.",
    "ports": "Crowds of 10,000 run out of ports: checks that hold them cannot connect them all.",
    "free space": "A trace that a full disk cuts short leaves its check unmeasured.",
    "processors": "on one processor everything is measured, but it takes longer.",
    "cgroup": "memory is limited for each process of a submission, not for all of them together.",
}
_NOTES: Final = frozenset({"filter", "processors", "cgroup"})  # nothing is ungraded or unmeasured for want of these
WHOLE_BOX: Final = "boxed"  # all of its parts together, as a grading has them
FOR_A_BOX: Final = frozenset({"system", "python"} | {name for name, costs in COSTS.items() if costs == NO_BOX})


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one probe found."""

    name: str
    ok: bool
    seen: str
    costs: str  # what it costs to lack it
    cure: str  # one line to type or to change; empty when ok

    @property
    def is_note(self) -> bool:
        """Whether grading does not depend on it."""
        return self.name in _NOTES


def found(name: str, seen: str) -> Finding:
    return Finding(name=name, ok=True, seen=seen, costs=COSTS[name], cure="")


def lacking(name: str, seen: str, cure: str) -> Finding:
    return Finding(name=name, ok=False, seen=seen, costs=COSTS[name], cure=cure)


def isolation_possible(findings: Sequence[Finding]) -> bool:
    """Whether all that a box is made of is there. Each grading still proves its box from the inside."""
    return {finding.name for finding in findings if finding.ok} >= FOR_A_BOX


def to_json(findings: Sequence[Finding]) -> str:
    """The findings as indented JSON, in the order they were made."""
    value = {
        "schema": "tracegrade/doctor/1",
        "isolation_possible": isolation_possible(findings),
        "findings": [dataclasses.asdict(finding) for finding in findings],
    }
    return json.dumps(value, indent=2)
