"""tracegrade: grades how a concurrent server behaves, not only what it answers.

The floors, from the bottom up; import-linter holds them (see `pyproject.toml`):

    inside                              runs in the box, next to a student's program; imports nothing of the kit
    course submission stubs report      files to values; they know nothing of processes
    safetext                            bytes from a stranger to text that is safe to print
    sandbox strace vitals crowd         one fact about the machine each; they do not know one another
    harness                             where these meet: what a check's author holds
    plugin judge                        pytest, outcomes, deadlines: the process that decides a verdict
    grading                             the story of one grading, seen from outside the judge
    terminal doctor audit               readers of reports, and what proves the course
    cli                                 words on a command line; the only reader of the environment
"""

__version__ = "0.1.0"
