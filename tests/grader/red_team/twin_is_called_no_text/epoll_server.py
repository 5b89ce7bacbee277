"""Right; its process and a thread have names that are no text, or hold what some take for the end of a line."""

import ctypes
import threading

from tests.grader.red_team.honest import serve


def serve_epoll(lsock, handler, stop_fd):
    named = ctypes.CDLL(None).prctl
    started = threading.Event()

    def helper():
        named(15, b"\xff\x85\x1c\xfe\r\x0bP", 0, 0, 0)  # PR_SET_NAME
        started.set()

    named(15, "\u2028State:\tZ".encode(), 0, 0, 0)
    thread = threading.Thread(target=helper)
    thread.start()
    thread.join()
    named(15, b"\xff\xfe\r\x85\x0bState:\tT", 0, 0, 0)
    serve(lsock, handler, stop_fd)
