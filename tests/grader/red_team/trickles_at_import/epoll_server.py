"""Is never imported to its end, and sends a byte of an endless frame now and then, so that something always comes."""

import os
import struct
import sys
import time

print("trickling", flush=True)
os.write(int(sys.argv[1]), struct.pack(">I", 1 << 20))
while True:
    os.write(int(sys.argv[1]), b" ")
    time.sleep(0.2)
