"""The reference, in a process and a thread that have names of their own: in Korean, with a tab and a space."""

import ctypes
import threading

from solutions.ex04_io_uring.reader import Ring, read_file

ctypes.CDLL(None).prctl(15, "읽기\t 1".encode(), 0, 0, 0)  # PR_SET_NAME
threading.Thread(target=ctypes.CDLL(None).prctl, args=(15, "실".encode(), 0, 0, 0)).start()
