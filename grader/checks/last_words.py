"""What a program said before it ended, as the failure that it is. The words come from a stranger."""

from typing import Any

from grader.failures import CheckFailed, Crashed, ForbiddenUse


def problem(found: Any, what: str, expected: str) -> CheckFailed:
    """What a box says went wrong, as the failure that it is. The words come from a stranger."""
    if not isinstance(found, dict):
        return Crashed(expected=expected, seen="the program garbled its last words")
    text, rows = found.get("text"), found.get("trace")
    text = text if isinstance(text, str) else ""
    trace = [row for row in rows if isinstance(row, str)][:12] if isinstance(rows, list) else []
    match found.get("kind"):
        case "forbidden":
            return ForbiddenUse(expected="a solution without it", seen=text, evidence=trace)
        case "missing":
            return CheckFailed(expected=expected, seen=text)
        case _:
            return Crashed(expected=expected, seen=f"{what} {text}", evidence=trace)


def last_lines(output: bytes, count: int = 5) -> list[str]:
    return [f"printed: {line}" for line in output.decode("utf-8", "backslashreplace").splitlines()[-count:]]
