"""What a report of version 1 says, in the keys of version 2. Knows what both versions call a thing; guesses at nothing:
what is not exactly of version 1 is left alone.

In version 1 a check had one text, `message`, where version 2 has `failure` and `reason`. It said neither what it had
read nor when.
"""

from collections.abc import Mapping
from typing import Any, Final

_KINDS: Final = {"failed": "failed", "crashed": "crashed", "forbidden": "forbidden", "timed_out": "deadline"}
_UNTOLD: Final = "a report of version 1 does not say why"


def of_version_1(report: Mapping[str, Any]) -> dict[str, Any]:
    """The same report in version 2.

    Raises:
        KeyError: it lacks a key that each report of version 1 has.
        TypeError, AttributeError: it is none at all.
    """
    checks = [_check(dict(check)) for check in report["checks"]]
    return {**report, "schema": "tracegrade/report/2", "checks": checks}


def _check(check: dict[str, Any]) -> dict[str, Any]:
    message, outcome = check.pop("message"), check["outcome"]
    if outcome in _KINDS:
        failure = {"kind": _KINDS[outcome], "expected": "", "seen": message, "hint": ""}
        return check | {"failure": failure}
    return check if outcome == "passed" else check | {"reason": message or _UNTOLD}
