"""Raises what ends a test session quietly."""

import sys

sys.exit(0)
