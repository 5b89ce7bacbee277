"""The reference, but that each callback runs in one of eight threads; its name is what a status says of one thread less."""

import ctypes
import queue
import threading

from solutions.ex01_callbacks.dispatcher import Dispatcher, bind_all

PR_SET_NAME = 15
ctypes.CDLL(None).prctl(PR_SET_NAME, b"Threads:\t2", 0, 0, 0)
_jobs = queue.SimpleQueue()
_emit = Dispatcher.emit


def _work():
    while True:
        _jobs.get()()


for _ in range(8):
    threading.Thread(target=_work, daemon=True).start()
print("called", open("/proc/self/comm").read().strip().encode(), flush=True)


def _in_a_pool(self, event, *args):
    if threading.current_thread() is not self._worker:
        return _emit(self, event, *args)
    done = threading.Semaphore(0)
    _jobs.put(lambda: (_emit(self, event, *args), done.release()))
    done.acquire()


Dispatcher.emit = _in_a_pool
