"""Says what a whole run says, all at once, and leaves: loaded, serving, returned."""

import json
import os
import socket
import struct
import sys

print("all is said", flush=True)
channel = socket.socket(fileno=os.dup(int(sys.argv[1])))
for message in ({"loaded": True}, {"serving": True}, {"returned": True}, {"event": "finished"}):
    data = json.dumps(message).encode()
    channel.sendall(struct.pack(">I", len(data)) + data)
os._exit(0)
