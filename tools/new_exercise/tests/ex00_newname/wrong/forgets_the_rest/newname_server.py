"""Wrong on purpose: throws away what follows the last newline."""

import select


def split_lines(data):
    return data.split(b"\n")[:-1], b""


def serve_newname(lsock, handler, stop_fd):
    while stop_fd not in select.select([lsock, stop_fd], [], [])[0]:
        sock, _ = lsock.accept()
        with sock:
            rest = b""
            while data := sock.recv(65536):
                lines, rest = split_lines(rest + data)
                sock.sendall(b"".join(handler(line) + b"\n" for line in lines))
