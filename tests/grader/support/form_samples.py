"""Reports of every kind, for tests of forms. Knows where golden files are made; asserts nothing."""

import runpy
from pathlib import Path
from typing import Any

from grader.report.formats import Context
from grader.report.model import Graded, Outcome, Refused, Report
from places import TESTS

GOLDEN = (TESTS / "golden") / "formats"
KIT: dict[str, Any] = runpy.run_path(str(GOLDEN / "regenerate.py"))
SAMPLES: dict[str, Any] = KIT["SAMPLES"]
FAILURE = SAMPLES["failure"]
CONTEXT: Context = KIT["CONTEXT"]
MEASURED: Graded = KIT["MEASURED"]
FILES: dict[Path, str] = dict(KIT["files"]())


def all_outcomes() -> Graded:
    """One check of each outcome, none of which leaves points uncounted."""
    checks = [
        SAMPLES["scored"](outcome.value, f"ends {outcome}", 0 if outcome in {"unmeasured", "omitted"} else 10, outcome)
        for outcome in Outcome
    ]
    report: Graded = SAMPLES["graded"](*checks)
    return report


def hostile_refused(text: str) -> Refused:
    """A refusal with this in every text that it has."""
    refusal = {"what": text, "file": text, "line": 7, "why": text, "cure": text}
    texts = dict.fromkeys(("title", "exercise", "kit_version", "checks_digest"), text)
    return Refused.model_validate(SAMPLES["REFUSED"].model_dump(by_alias=True) | texts | {"refusal": refusal})


REPORTS: dict[str, Report] = {
    **SAMPLES["REPORTS"],
    **KIT["KEPT"],
    "all_outcomes": all_outcomes(),
    "every_text": KIT["hostile"](KIT["STRANGER"]),
    "hostile_refused": hostile_refused(KIT["STRANGER"]),
    "no_checks": SAMPLES["UNGRADED"].model_copy(update={"checks": ()}),
}
NO_GRADE = ["unmeasured", "ungraded", "refused", "absent", "no_checks", "bare"]  # the last is partial
