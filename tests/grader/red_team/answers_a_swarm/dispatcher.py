"""Answers with half a million values, none of which is what it should be."""

import struct
import sys

from solutions.ex01_callbacks.dispatcher import Dispatcher, bind_all

_box = sys.modules["__main__"]
_send = _box.Channel.send


def _swarm(channel, message):
    if "value" not in message:
        return _send(channel, message)
    data = b'{"value": {"ended": [[' + b",".join([b"0"] * 500_000) + b']]}}'
    print("a swarm", flush=True)
    channel._sock.sendall(struct.pack(">I", len(data)) + data)


_box.Channel.send = _swarm
