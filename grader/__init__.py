"""tracegrade: grades how a concurrent server behaves, not only what it answers.

A folder is a floor: its modules import from the floors below alone. The one list of floors is the import contract in
`pyproject.toml`; `docs/design.md` says what each holds.
"""

__version__ = "0.1.0"
