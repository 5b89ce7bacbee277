"""Right for one client; when there are several, each gets its reply and 12 MiB more, for the grader to keep."""

import threading

from tests.grader.red_team.honest import serve


def serve_epoll(lsock, handler, stop_fd):
    clients = []

    def pour(sock):
        sock.setblocking(True)
        try:
            for _ in range(192):
                sock.sendall(b"flood " * 10_922)
        except OSError:
            pass

    def send(sock, data):
        sock.sendall(data)
        if len(clients) > 1:
            print("flooding", flush=True)
            threading.Thread(target=pour, args=(sock.dup(),), daemon=True).start()

    serve(lsock, handler, stop_fd, send=send, greet=clients.append)
