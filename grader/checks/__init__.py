"""What the author of a check holds."""
