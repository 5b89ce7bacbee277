"""nbgrader's release of feedback, for those whom it can reach: `nbgrader_config.py` names the class.

Students find their feedback by what nbgrader wrote down when they submitted. nbgrader 0.9 stops at the first one for
whom it wrote nothing, because somebody copied the notebook by hand, and nobody behind gets any.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from nbgrader.exchange.default import ExchangeReleaseFeedback

_WRITTEN_DOWN = ("timestamp.txt", "submission_secret.txt")


class ReleaseFeedback(ExchangeReleaseFeedback):
    """nbgrader's own, but who was not collected by nbgrader is told, and left out."""

    def copy_files(self) -> None:
        before = self.coursedir.student_id_exclude
        unreachable = sorted(self._unreachable())
        for student, page in unreachable:
            self.log.warning(
                "No feedback for %s: nbgrader has not collected the notebook, so it could not be found. Hand out %s",
                student,
                page,
            )
        students = {student for student, _ in unreachable}
        try:
            self.coursedir.student_id_exclude = ",".join([*before.split(","), *students]) if students else before
            super().copy_files()
        finally:
            self.coursedir.student_id_exclude = before

    def _unreachable(self) -> Iterator[tuple[str, Path]]:
        """Students of whom nbgrader wrote nothing down, and their feedback."""
        folder = self.coursedir.format_path(
            self.coursedir.feedback_directory, "(?P<student>[^/]+)", self.coursedir.assignment_id, escape=True
        )
        for page in sorted(Path("/").glob(f"{str(self.src_path).lstrip('/')}/*.html")):
            match = re.fullmatch(folder, str(page.parent))
            if match and not all((page.parent / name).is_file() for name in _WRITTEN_DOWN):
                yield match["student"], page
