"""The reference, in whose workers a process number has a thousand times a thousand digits, or is no number."""

import os

from solutions.ex06_prefork.prefork_server import serve_prefork

_right = serve_prefork


def serve_prefork(lsock, handler, workers):
    def garbled(line):
        order, *words = line.split(b" ")
        if order == b"meet":
            print("a word for a number", flush=True)
            os.write(int(words[0]), b"nobody\n")
            os.read(int(words[1]), 1)
        return b"9" * 5_000 + b" " + words[-1]

    _right(lsock, garbled if b"@WHEN@" == b"always" else meets_only(handler, garbled), workers)


def meets_only(handler, garbled):
    return lambda line: garbled(line) if line.startswith(b"meet") else handler(line)
