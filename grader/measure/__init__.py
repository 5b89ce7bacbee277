"""Facts about a running program."""
