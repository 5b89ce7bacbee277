"""`grade` alone: where somebody stands in the course, and what to type next."""

from typing import TYPE_CHECKING

from grader.commands.environment import make_console

if TYPE_CHECKING:
    from grader.course.model import Course


def show_overview(course: "Course", language: str) -> None:
    """The exercises with the best results so far."""
    from grader.report import history, terminal

    best = history.best(course.root)
    rows, following = [], None
    for exercise in course.exercises:
        result = best.get(exercise.slug)
        rows.append(
            terminal.OverviewRow(
                slug=exercise.slug,
                title=exercise.title.in_(language),
                points=exercise.max_score,
                score=result.score if result else None,
                measurable_score=result.measurable_score if result else None,
            )
        )
        if following is None and (result is None or result.score < result.measurable_score):
            following = exercise
    command = f"grade {following.number}" if following else "grade --all"
    with make_console() as console:
        terminal.show_overview(console, course.title.in_(language), rows, command)
