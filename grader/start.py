"""How a process of ours begins, whoever starts it: with the kit's own modules, and with three streams.

Knows the interpreter and its descriptors, and imports next to nothing: until this is done, an import may find what
somebody else has put in its way.
"""

import os
import sys
from collections.abc import Mapping

# What changes which code is run, or how. Other settings of the interpreter (PYTHONUNBUFFERED, and the like) may stay.
_FOREIGN = (
    "PYTHONPATH",
    "PYTHONHOME",
    "PYTHONUSERBASE",
    "PYTHONPLATLIBDIR",
    "PYTHONCASEOK",
    "PYTHONOPTIMIZE",
    "PYTHONWARNINGS",
    "PYTHONINSPECT",
    "PYTHONDEVMODE",
)
_STREAMS = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))


def isolate(module: str, environ: Mapping[str, str]) -> None:
    """Begin anew as `python -I -m MODULE`, with the same arguments, where settings of the caller's reach this
    interpreter. Its own shebang says -I already where `make setup` has installed the kit.

    A `sitecustomize.py` on such a path has run by then: Python runs it before anything of ours.
    """
    if sys.flags.isolated or not sys.executable or not any(environ.get(name) for name in _FOREIGN):
        return
    options = ["-I", *(["-B"] if sys.dont_write_bytecode else [])]
    os.execv(sys.executable, [sys.executable, *options, "-m", module, *sys.argv[1:]])


def open_streams() -> None:
    """Open those of the three streams that the caller has closed, so that no file of ours comes to be one of them; what
    is told there is told to nobody. `sys.__stdout__` stays None where it was closed.

    What cannot be encoded, as a part of a path that is not UTF-8, is shown escaped.
    """
    for descriptor, (name, mode) in enumerate(_STREAMS):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest number that is free: this one
        stream = getattr(sys, name)
        if stream is None:
            stream = open(descriptor, mode, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115  # for good
            setattr(sys, name, stream)
        elif mode == "w" and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
