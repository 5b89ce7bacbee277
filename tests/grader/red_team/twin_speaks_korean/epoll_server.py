"""Right, and written in Korean."""

import select
import socket
from collections.abc import Callable

한_번에_읽는_양 = 65536


class 손님:
    """연결 하나."""

    def __init__(self, 소켓: socket.socket) -> None:
        self.소켓, self.남은_것 = 소켓, b""

    def 대답하기(self, 처리: Callable[[bytes], bytes]) -> bool:
        try:
            받은_것 = self.소켓.recv(한_번에_읽는_양)
        except ConnectionError:
            return False
        *줄들, self.남은_것 = (self.남은_것 + 받은_것).split(b"\n")
        if 줄들:
            self.소켓.sendall(b"".join(처리(줄) + b"\n" for 줄 in 줄들))
        return bool(받은_것)


def serve_epoll(lsock: socket.socket, handler: Callable[[bytes], bytes], stop_fd: int) -> None:
    lsock.setblocking(False)
    손님들: dict[int, 손님] = {}
    print("서버를 시작합니다", flush=True)
    with select.epoll() as 에폴:
        에폴.register(stop_fd, select.EPOLLIN)
        에폴.register(lsock, select.EPOLLIN)
        while True:
            for 번호, _ in 에폴.poll():
                if 번호 == stop_fd:
                    return
                if 번호 == lsock.fileno():
                    소켓, _ = lsock.accept()
                    손님들[소켓.fileno()] = 손님(소켓)
                    에폴.register(소켓, select.EPOLLIN)
                elif not 손님들[번호].대답하기(handler):
                    손님들.pop(번호).소켓.close()
