"""The course on disk, as values."""
