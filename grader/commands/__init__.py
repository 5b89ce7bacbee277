"""The commands that an instructor or an author types, one module a subject; `main` adds them to `grade`.

The heavy imports stand in the functions that need them: a person sees the first line at once.
"""

from grader.commands.course import audit, doctor, schema, stubs
from grader.commands.forms import convert
from grader.commands.grades import gradebook, verify_parity
from grader.commands.publishing import publish

COMMANDS = (audit, convert, doctor, gradebook, publish, schema, stubs, verify_parity)
