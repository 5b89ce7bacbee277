"""How an attack speaks for the box: it finds the channel to the judge among its descriptors. Its text takes the place
of the import: a submission is one file.
"""

import json
import os
import socket
import struct
import sys
from typing import Any

CHANNEL = int(sys.argv[1])  # as the box was told


def say(message: dict[str, Any]) -> None:
    """One message, whoever waits for it."""
    data = json.dumps(message).encode()
    data = struct.pack(">I", len(data)) + data
    while data:
        data = data[os.write(CHANNEL, data) :]


def hear() -> dict[str, Any]:
    """What the judge says next; the end of this program when nobody is there any more."""
    with socket.socket(fileno=os.dup(CHANNEL)) as channel:
        head = channel.recv(4, socket.MSG_WAITALL)
        body = channel.recv(struct.unpack(">I", head)[0], socket.MSG_WAITALL) if len(head) == 4 else b""
    if not body:
        os._exit(0)
    order: dict[str, Any] = json.loads(body)
    return order
