"""The reference, of a student who looks around: open descriptors, frames and threads, a log, and the garbage collector."""

import gc
import inspect
import logging
import os
import sys
import threading

from solutions.ex01_callbacks.dispatcher import Dispatcher, bind_all

logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(threadName)s %(message)s")
logging.info("descriptors %s, called by %s", os.listdir("/proc/self/fd"), inspect.stack()[0].function)
_emit = Dispatcher.emit


def emit(self, event, *args):
    gc.collect(0)
    logging.info("%s, of %d threads: %r%r", sys._getframe(1).f_code.co_name, threading.active_count(), event, args)
    return _emit(self, event, *args)


Dispatcher.emit = emit
