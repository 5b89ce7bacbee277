"""A submission that knows all answers of another run, and nothing else: it plays them back. Knows what `--keep` wrote
down of a channel, and the frames of inside.py; grades nothing.

A check whose answers can be known beforehand gives it points, so the audit hands it in, to each check by itself: what
hides behind a check that it needs is no better for it. The run that is known has another seed, and what is asked gets
the answers of the scenario that is most like it.
"""

import base64
import json
import lzma
from pathlib import Path
from typing import Any

from grader.course.model import Exercise

_MOST_BYTES = 150_000  # of what is known, packed: a submission's file has a limit


def write_playback(kept: Path, file: Path) -> int:
    """Write the submission to `file`. Returns how many scenarios it knows, which may be none."""
    runs = sorted((run for path in kept.glob("*.channel") for run in _runs(path)), key=lambda run: len(str(run)))
    while len(packed := base64.b85encode(lzma.compress(json.dumps(runs).encode()))) > _MOST_BYTES:
        runs.pop()  # the longest
    file.write_text(_PROGRAM.replace("@KNOWN@", packed.decode()), encoding="utf-8")
    return len(runs)


def without_needs(exercise: Exercise) -> Exercise:
    """The exercise, but no check of it needs another one."""
    checks = tuple(check.model_copy(update={"needs": ()}) for check in exercise.checks)
    return exercise.model_copy(update={"checks": checks})


def _runs(path: Path) -> list[dict[str, Any]]:
    """The scenarios of one box, each with what it was asked and what it said."""
    runs: list[dict[str, Any]] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        who, _, text = line.partition(" ")
        message = json.loads(text)
        if who == "judge" and message.get("op") == "run":
            runs.append({"function": message["function"], "arguments": message["arguments"], "said": []})
        elif who == "box" and runs:
            runs[-1]["said"].append(message)
    return runs


_PROGRAM = '''\
"""Plays back what was said in another run."""

import base64
import difflib
import json
import lzma
import os
import socket
import struct
import sys

KNOWN = json.loads(lzma.decompress(base64.b85decode("@KNOWN@")))
channel = socket.socket(fileno=os.dup(int(sys.argv[1])))


def say(message):
    data = json.dumps(message).encode()
    channel.sendall(struct.pack(">I", len(data)) + data)


def exactly(size):
    got = b""
    while len(got) < size:
        more = channel.recv(size - len(got))
        if not more:
            os._exit(0)
        got += more
    return got


def hear():
    return json.loads(exactly(struct.unpack(">I", exactly(4))[0]))


def likeness(run, order):
    texts = [json.dumps(one["arguments"])[:3000] for one in (run, order)]
    return difflib.SequenceMatcher(None, *texts, autojunk=False).quick_ratio()


say({"loaded": True})
while True:
    order = hear()
    known = [run for run in KNOWN if run["function"] == order.get("function")]
    if not known:
        say({"problem": {"kind": "missing", "text": "nothing is known of that", "trace": []}})
        continue
    for message in max(known, key=lambda run: likeness(run, order))["said"]:
        say(message)
        if "paused" in message or "ask" in message:
            hear()
'''
