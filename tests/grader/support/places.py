"""Where tests find what they share. Knows folders alone."""

from pathlib import Path

TESTS = Path(__file__).parents[1]  # of the kit: golden files, the tiny course, the red team
ROOT = TESTS.parents[1]
