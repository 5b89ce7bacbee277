"""Speaks on the channel in the scenario's name: asks the kernel for requests that are in no queue, and says @SAYS@."""

import os
import socket
import sys

from solutions.ex04_io_uring.reader import Ring, read_file


def read_file(ring, fd, size, block):
    frame = sys._getframe(1)
    room = frame.f_locals["room"]
    ask = room.ask
    print("asks by itself", flush=True)
    @ACT@
    return bytearray(size)
