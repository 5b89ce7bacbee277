"""The course proves itself."""
