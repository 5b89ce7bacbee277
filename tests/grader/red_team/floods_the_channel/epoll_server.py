"""Answers an order with ten thousand answers, out of order and unasked."""

import contextlib
import json
import os
import socket
import struct
import sys

channel = socket.socket(fileno=os.dup(int(sys.argv[1])))
answers = [{"value": 1}, {"loaded": True}, {"probes": {}, "pid": 1}, {"serving": True}, {"returned": True}]
data = [json.dumps(answer).encode() for answer in answers]
burst = b"".join(struct.pack(">I", len(one)) + one for one in data) * 2_000
print("so many answers", flush=True)
with contextlib.suppress(OSError):
    channel.sendall(burst)
os._exit(0)
