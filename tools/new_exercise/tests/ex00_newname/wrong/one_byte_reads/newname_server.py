"""Wrong on purpose: reads byte by byte, so as not to read too much."""

import select


def split_lines(data):
    *lines, rest = data.split(b"\n")
    return lines, rest


def serve_newname(lsock, handler, stop_fd):
    while stop_fd not in select.select([lsock, stop_fd], [], [])[0]:
        sock, _ = lsock.accept()
        with sock:
            rest = b""
            while data := sock.recv(1):
                lines, rest = split_lines(rest + data)
                if lines:
                    sock.sendall(b"".join(handler(line) + b"\n" for line in lines))
