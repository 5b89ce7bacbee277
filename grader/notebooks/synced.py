"""What a sync has written into a gradebook, or would have, in words. Knows no table and no database but by its URL."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from grader.notebooks.database import without_password

_EXPORTER: Final = "grader.notebooks.autograde.ExportVerdicts"  # leaves a score empty where there is no verdict


@dataclass(frozen=True, slots=True)
class Change:
    """One submission whose row in the gradebook is another one now. Scores are the automatic ones."""

    assignment: str
    student: str
    before: str
    after: str
    overridden: tuple[str, ...]  # checks whose score changed under one that a person gave, which stays


@dataclass(frozen=True, slots=True, kw_only=True)
class Synced:
    """What a sync has written, or would have.

    Attributes:
        no_verdict: who waits for a person, as "ex03 ada".
        refused: who waits for a person, as "ex03 ada: why, and the cure".
        absent: who has handed in nothing: by a report that says so, or with neither a report nor a row; as "ex03 ada".
        unknown: assignments that no report and no gradebook knows the checks of.
    """

    changes: tuple[Change, ...]
    unchanged: int
    no_verdict: tuple[str, ...]
    refused: tuple[str, ...]
    absent: tuple[str, ...]
    unknown: tuple[str, ...]

    def lines(self, db: str, *, dry_run: bool) -> Iterator[str]:
        for change in self.changes:
            yield f"{change.assignment} {change.student}: {change.before} -> {change.after}"
            for check in change.overridden:
                yield f"  {check}: a person's score stays; look again, as the automatic one has changed"
        for name in self.unknown:
            yield f"{name}: left out, as no report has a verdict: its checks are not known. Grade it again."
        verb = "would change" if dry_run else "changed"
        yield f"{len(self.changes)} {verb}, {self.unchanged} unchanged, in {without_password(db)}"
        if self.absent:
            yield f"No report: {', '.join(self.absent)}."
            yield "  Nothing was handed in, or it was not graded. nbgrader export counts that as 0."
        if self.refused:
            yield "Refused, so each waits for a person:"
            yield from (f"  {said}" for said in self.refused)
        if self.no_verdict:
            yield f"No verdict, or not on every check: {', '.join(self.no_verdict)}."
        if self.refused or self.no_verdict:
            yield "  formgrader marks them, and counts what has no verdict as 0 until it is graded, or scored by hand."
            yield f"  nbgrader export does so too, but not with --exporter={_EXPORTER}."
