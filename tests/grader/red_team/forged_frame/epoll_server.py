"""Sends one frame that no honest box sends: what it says, and how long it claims to be, stand in attacks.yaml."""

import os
import signal
import socket
import struct
import sys

body: bytes = eval("@BODY@")
claims: int = eval("@CLAIMS@")
channel = socket.socket(fileno=os.dup(int(sys.argv[1])))
print("a frame of", len(body), "bytes that claims", claims or len(body), flush=True)
channel.sendall(struct.pack(">I", claims or len(body)) + body)
if "@THEN@" == "wait":
    signal.pause()
os._exit(0)
