"""Says what a whole run says, all at once, and leaves: loaded, serving, returned."""

import json
import os
import socket
import struct
import sys

channel = socket.socket(fileno=os.dup(int(sys.argv[1])))
for message in ({"loaded": True}, {"serving": True}, {"returned": True}, {"event": "finished"}):
    data = json.dumps(message).encode()
    channel.sendall(struct.pack(">I", len(data)) + data)
print("everything was said", flush=True)
os._exit(0)
