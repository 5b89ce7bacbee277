"""The target `classroom`: a student's repository with a workflow that grades each push. Knows GitHub's workflows and
what its Classroom reads; knows nothing of how a report becomes that (`grader.report.formats`).

Kit, checks and limits come from a repository of the instructor's, at one commit: whatever a student changes in their
own copy of them decides nothing. That repository is a publication too (the target `folder`), so it may be public: the
job needs no token, and a student who reads what it reads finds no solution.
"""

import re
from collections.abc import Sequence

from grader.course.model import Course, Exercise
from grader.errors import UsageError
from grader.publish import folder
from grader.publish.tree import Tree
from grader.report.formats.classroom import without_report

_PINNED = re.compile(r"(?P<repository>[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9._-]+)@(?P<commit>[0-9a-f]{40})")
_STEP = """\
      - name: {number}, {title}
        id: {number}
        if: ${{{{ !cancelled() && steps.setup.outcome == 'success' }}}}
        continue-on-error: true # the reporter says at the end whether something failed
        run: >-
          course/.venv/bin/grade {number} --course course --submission submission/exercises/{slug}
          --format github --output -
          --format github-summary --output "$GITHUB_STEP_SUMMARY"
          --format classroom --output "$GITHUB_OUTPUT"
"""


def tree(course: Course, exercises: Sequence[Exercise], *, pinned: str) -> Tree:
    """The target `folder` with `.github/workflows/classroom.yml`.

    Args:
        pinned: where kit and course come from, as OWNER/REPOSITORY@COMMIT, the commit in full: a branch or a tag may
            move, and with it what is asked of a student.

    Raises:
        UsageError: `pinned` is something else.
        CourseError, GraderError: as for the target `folder`.
    """
    match = _PINNED.fullmatch(pinned)
    if match is None:
        raise UsageError(
            f"--pinned {pinned}: write OWNER/REPOSITORY@COMMIT, with all 40 digits of the commit. Publish the target "
            "`folder`, push it, and name what `git rev-parse HEAD` prints there."
        )
    workflow = folder.template(
        "classroom.yml",
        REPOSITORY=match["repository"],
        COMMIT=match["commit"],
        GRADINGS="".join(
            _STEP.format(number=one.number, slug=one.slug, title=_quotable(one.title.in_("en"))) for one in exercises
        ).rstrip("\n"),
        RESULTS="\n".join(
            f"          {one.number.upper()}_RESULTS: "
            f"${{{{ steps.{one.number}.outputs.result || '{without_report()}' }}}}"
            for one in exercises
        ),
        RUNNERS=",".join(one.number for one in exercises),
    )
    return {**folder.tree(course, exercises), ".github/workflows/classroom.yml": workflow}


def _quotable(title: str) -> str:
    """A title that stands in YAML as it is."""
    return re.sub(r"[^\w ,()-]", "", title)
