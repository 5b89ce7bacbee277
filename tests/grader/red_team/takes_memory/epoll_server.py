"""Takes memory of every kind until it is refused; the pages of the last one are touched."""

import mmap
import os

MIB = 1 << 20
LIMIT_MIB = 1024
taken = 0
blocks: list[object] = []
try:
    while taken < 4 * LIMIT_MIB:
        blocks.append(bytearray(64 * MIB))
        taken += 64
except MemoryError:
    pass
try:
    while taken < 8 * LIMIT_MIB:
        blocks.append(mmap.mmap(-1, 64 * MIB))
        taken += 64
except (OSError, MemoryError):
    pass
hog = os.memfd_create("hog")
written = 0
try:
    while written < 4 * LIMIT_MIB:
        os.write(hog, b"x" * MIB)
        written += 1
except (OSError, MemoryError):
    pass
held = taken <= LIMIT_MIB and written <= 64
blocks.clear()
print("taken:", taken, "MiB, in a memory file:", written, "MiB;", "held" if held else "bre" + "ached", flush=True)
os._exit(0)
