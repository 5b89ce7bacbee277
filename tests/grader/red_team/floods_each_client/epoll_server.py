"""Right for one client; when there are several, each gets its reply and as much more as goes in, for the grader to keep."""

import socket

from tests.grader.red_team.honest import serve


def serve_epoll(lsock, handler, stop_fd):
    clients = []

    def send(sock, data):
        try:  # it outlives each client, so that nothing but the flood is told of it
            sock.sendall(data)
            if len(clients) > 1:
                print("flooding", flush=True)
                while sock.send(b"flood " * 10_922, socket.MSG_DONTWAIT):
                    pass
        except OSError:
            pass

    serve(lsock, handler, stop_fd, send=send, greet=clients.append)
