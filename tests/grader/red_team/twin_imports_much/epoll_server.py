"""Right, and imports what it does not use."""

import logging
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable

from tests.grader.red_team.honest import serve

LOG = logging.getLogger(__name__)
USED_BY_NOBODY = (signal.SIGUSR1, subprocess.PIPE, tempfile.gettempdir(), threading.Lock())


def serve_epoll(lsock: socket.socket, handler: Callable[[bytes], bytes], stop_fd: int) -> None:
    serve(lsock, handler, stop_fd)
