"""The process that decides a verdict."""
