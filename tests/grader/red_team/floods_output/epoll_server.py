"""Prints 200 MB of lines, one line of 100 MB, and bytes that are no text; then it leaves."""

import os

for fd in (1, 2):
    for _ in range(100):
        os.write(fd, b"y\n" * 500_000)
    for _ in range(50):
        os.write(fd, b"\xff\xfe\x00\x1b]" * 200_000)
os.write(1, b"\nflooded\n")
os._exit(0)
