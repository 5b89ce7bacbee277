"""Wrong on purpose: returns when its first client leaves."""


def split_lines(data):
    *lines, rest = data.split(b"\n")
    return lines, rest


def serve_newname(lsock, handler, stop_fd):
    sock, _ = lsock.accept()
    with sock:
        rest = b""
        while data := sock.recv(65536):
            lines, rest = split_lines(rest + data)
            sock.sendall(b"".join(handler(line) + b"\n" for line in lines))
