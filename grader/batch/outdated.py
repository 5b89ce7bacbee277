"""Whether reports are about what is handed in now: by digest, so the time of neither counts. Knows nothing of what is
done with a report.
"""

from collections.abc import Collection, Sequence
from pathlib import Path

from grader.batch.worklist import digest_of, items_of
from grader.course.model import Course
from grader.errors import UsageError
from grader.report.folder import Result


def compare(results: Sequence[Result], submissions: Path, course: Course) -> tuple[Collection[str], Sequence[str]]:
    """Who has handed in something; and a line for each report that is about something else than what is there now.

    A report that does not say what it is about (of version 1), and one of a student who has nothing there, are not
    looked at.

    Raises:
        UsageError: there is no such folder of submissions, or a report is on an exercise that the course has not.
        GraderError: what was handed in could not be read, for a reason that is not the student's.
    """
    exercises = {one.slug: one for one in course.exercises}
    for result in results:
        if (slug := result.report.exercise) not in exercises:
            raise UsageError(f"{result.file}: the course has no exercise {slug!a}. Name its course with --course.")
    graded = [exercises[slug] for slug in sorted({result.report.exercise for result in results})]
    items = items_of(submissions, submissions, graded)
    work = {(item.student, item.exercise.slug): item.source for item in items}
    lines = []
    for result in results:
        report, source = result.report, work.get((result.student, result.report.exercise))
        if source is None or report.graded_at is None:
            continue
        if digest_of(source, exercises[report.exercise]) != report.submission_digest:
            lines.append(f"{result.file}: of {report.graded_at}, and {source} is another submission")
    return {item.student for item in items if item.source is not None}, lines
