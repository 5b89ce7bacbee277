"""Right, in another style: a Master and its Workers as objects; waitid() finds the dead before they are reaped."""

import os
import signal
import time
import traceback


class Worker:
    """One child process, seen from the master; and what it does, seen from itself."""

    def __init__(self, lsock, handler):
        self.lsock, self.handler = lsock, handler
        self.started = time.monotonic()
        self.pid = os.fork()
        if not self.pid:
            code = 1
            try:
                code = self.main()
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)

    def main(self):
        signal.signal(signal.SIGTERM, self.leave)
        while True:
            conn = None
            try:
                signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
                conn, _ = self.lsock.accept()
                signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
                self.answer(conn)
            except Exception:
                traceback.print_exc()
            finally:
                if conn is not None:
                    conn.close()

    def answer(self, conn):
        line = bytearray()
        while (byte := conn.recv(1)) and byte != b"\n":
            line += byte
        if byte:
            conn.sendall(self.handler(bytes(line)) + b"\n")

    @staticmethod
    def leave(_number, _frame):
        os._exit(0)

    def stop(self):
        os.kill(self.pid, signal.SIGTERM)

    def join(self):
        os.waitpid(self.pid, 0)


class Master:
    def __init__(self, lsock, handler, nworkers):
        self.new_worker = lambda: Worker(lsock, handler)
        self.wanted = nworkers
        self.workers = {}

    def __enter__(self):
        self.mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGCHLD})
        return self

    def __exit__(self, *_error):
        for worker in self.workers.values():
            worker.stop()
        for worker in self.workers.values():
            worker.join()
        signal.pthread_sigmask(signal.SIG_SETMASK, self.mask)

    def keep_complete(self):
        for _ in range(self.wanted - len(self.workers)):
            worker = self.new_worker()
            self.workers[worker.pid] = worker

    def bury(self):
        while self.workers and (dead := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)):
            self.workers.pop(dead.si_pid).join()

    def run(self):
        self.keep_complete()
        while signal.sigwaitinfo({signal.SIGTERM, signal.SIGCHLD}).si_signo != signal.SIGTERM:
            self.bury()
            self.keep_complete()


def serve_prefork(lsock, handler, nworkers):
    with Master(lsock, handler, nworkers) as master:
        master.run()
