"""tracegrade: grades how a concurrent server behaves, not only what it answers.

The floors, from the bottom up; import-linter holds them (see `pyproject.toml`):

    inside                              runs in the box, next to a student's program; imports nothing of the kit
    errors failures                     whose mistake is it; what ends a check early
    located course submission stubs     files to values; they know nothing of processes
    report                              the values that one grading comes to
    safetext                            bytes from a stranger to text that is safe to print
    results outputs cells               a folder of reports; where a command's texts go; names in nbgrader's gradebook
    kernel filter                       namespaces, parent-death signals, mounts; the system call filter
    sandbox strace vitals crowd budgets one fact about the machine, or about a limit, each; they do not know one another
    program                             a box, its trace and its vitals while a submission runs in it
    harness                             where all these meet: what a check's author holds
    line_server                         checks that every server of the line protocol shares
    plugin judge                        pytest, outcomes, deadlines: the process that decides a verdict
    grading                             the story of one grading, seen from outside the judge
    terminal progress doctor            readers of reports, and what a machine can do
    audit audited                       what proves the course; what was proven
    formats                             reports in other tools' forms
    publish                             what students and platforms receive
    border                              the only reader of the environment
    cli commands                        words on a command line
    aside                               a grading in a process of its own, for hosts that are not ours
    notebook autograde                  a student's notebook; nbgrader's preprocessors
"""

__version__ = "0.1.0"
