"""What a process inherits of its caller's signals, and gives up. Knows signals alone, and imports next to nothing: it
is the first thing that a command does.
"""

import signal
from collections.abc import Collection


def begin_anew(*, but: Collection[int] = ()) -> None:
    """Give up what a caller leaves to those that it starts: signals that it ignores or blocks.

    A child whose end is ignored cannot be waited for, a check whose alarm is blocked has no deadline, and a program
    that ignores SIGTERM because somebody else did is another one.

    Args:
        but: signals that go on being ignored. SIGPIPE and SIGXFSZ are Python's own business.
    """
    never = {signal.SIGKILL, signal.SIGSTOP, signal.SIGPIPE, signal.SIGXFSZ}
    for number in signal.valid_signals() - never - set(but):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
