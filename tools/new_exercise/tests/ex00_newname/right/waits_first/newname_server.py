"""Right: waits for the client and for stop_fd before each read, so that a silent client cannot hold the server."""

import select


def split_lines(data):
    head, newline, rest = data.rpartition(b"\n")
    return (head.split(b"\n") if newline else []), rest


def serve_newname(lsock, handler, stop_fd):
    while stop_fd not in ready(lsock, stop_fd):
        sock, _ = lsock.accept()
        with sock:
            rest = b""
            while stop_fd not in ready(sock, stop_fd) and (data := sock.recv(4096)):
                lines, rest = split_lines(rest + data)
                for line in lines:
                    sock.sendall(handler(line) + b"\n")


def ready(*readers):
    return select.select(readers, [], [])[0]
