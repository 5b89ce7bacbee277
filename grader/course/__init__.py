"""The course on disk, as values: its files, what they must agree on, and the stubs made of the references."""
