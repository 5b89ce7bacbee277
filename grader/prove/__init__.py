"""The course proves itself: every promise about a submission is graded, and what was proven is remembered."""
