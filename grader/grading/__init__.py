"""One grading, seen from outside the judge."""
