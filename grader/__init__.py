"""tracegrade: grades how a concurrent server behaves, not only what it answers.

The floors, from the bottom up; import-linter holds them (see `pyproject.toml`):

    inside                              runs in the box, next to a student's program; imports nothing of the kit
    errors                              whose mistake is it, and what `grade` ends with
    failures                            what ends a check early
    located course submission stubs     files to values; they know nothing of processes
    kit digests report                  which kit this is; which files; the values that one grading comes to
    safetext scratch                    bytes from a stranger to text that is safe to print; temporary folders
    results outputs                     a folder of reports; where a command's texts go
    cells entries database              names in a notebook; what reports come to in a gradebook; one transaction
    promises playback                   what rules and wrong submissions promise; a run's answers, played back
    kernel filter                       namespaces, parent-death signals, mounts; the system call filter
    sandbox stepping strace vitals crowd budgets
                                        one fact about the machine, or about a limit, each; they do not know one another
    program policies                    a box, its trace and its vitals while a submission runs in it; rules about calls
                                        that hold in every box
    harness                             where all these meet: what a check's author holds
    line_server                         checks that every server of the line protocol shares
    plugin judge                        pytest, outcomes, deadlines: the process that decides a verdict
    grading                             the story of one grading, seen from outside the judge
    terminal progress formats gradebook parity
                                        what becomes of reports: a screen, own results, other tools, a comparison
    doctor audit audited publish        what a machine can do; what proves a course; what was proven; publications
                                        (one floor with the line above, and none of them knows another)
    border                              the only reader of the environment
    commands                            words on a command line, a subject each
    cli                                 grading an exercise; exceptions to text and exit codes
    aside                               a grading in a process of its own, for hosts that are not ours: it types `grade`
    notebook autograde                  a student's notebook; nbgrader's preprocessors
"""

__version__ = "0.1.0"
