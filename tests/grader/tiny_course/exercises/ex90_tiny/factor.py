"""Given: what every number is multiplied by."""

FACTOR = 2
