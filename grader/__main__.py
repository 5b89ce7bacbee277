"""The command `grade`, as a script and as `python -m grader`: what has to be so before the first import.

Python puts the folder one stands in before its own library when it is started with -m. A `signal.py` that a student has
there would be ours. What Python imports before it comes here, such as `importlib`, nobody can take back: where other
people's files lie, type `grade`, or `python -P -m grader`.
"""

import os
import sys

TYPE_CHECKING = False  # `typing` imports much, and until `isolate` has been called an import may find anything
if TYPE_CHECKING:
    from typing import NoReturn

if __name__ == "__main__" and not sys.flags.safe_path:
    del sys.path[0]


def main() -> "NoReturn":
    """`grade`. While it is being imported there is nothing to clean up yet, so Ctrl-C just ends it."""
    # What `signal` is made of. It is built in; the other takes milliseconds, in which a Ctrl-C may come.
    import _signal  # type: ignore[import-not-found]

    if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
    from grader.start import isolate, open_streams

    isolate("grader", os.environ)
    open_streams()
    os.environ["PYDANTIC_DISABLE_PLUGINS"] = "1"  # none is used, and looking for them takes a tenth of a start
    from grader.commands.main import main as grade

    grade()


if __name__ == "__main__":
    main()
