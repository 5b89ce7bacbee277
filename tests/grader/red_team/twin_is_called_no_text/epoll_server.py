"""Right; its process has a name that is no text, and holds what some take for the end of a line."""

import ctypes

from tests.grader.red_team.honest import serve


def serve_epoll(lsock, handler, stop_fd):
    ctypes.CDLL(None).prctl(15, b"\xff\xfe\r\x85\x0bState:\tT", 0, 0, 0)  # PR_SET_NAME
    serve(lsock, handler, stop_fd)
