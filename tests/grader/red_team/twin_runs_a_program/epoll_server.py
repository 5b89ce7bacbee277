"""An honest twin: another program helps while it is imported, and has ended before the first client comes. Python does
the same where it looks for a library."""

import socket
import subprocess
import threading
from collections.abc import Callable

from tests.grader.red_team.honest import serve

subprocess.run(["/bin/true"], check=True)
_early = threading.Thread(target=print, args=("a helper",))
_early.start()
_early.join()


def serve_epoll(lsock: socket.socket, handler: Callable[[bytes], bytes], stop_fd: int) -> None:
    serve(lsock, handler, stop_fd)
