"""ex01: a dispatcher calls back whoever subscribed to an event, now or later.

Knows events by name, and callbacks; knows nothing of what a callback does: that is the caller's business.
"""

import queue
import threading
from collections.abc import Callable, Iterable


def bind_all(ids: Iterable[int], fn: Callable[[int], object]) -> list[Callable[[], object]]:
    """One function without arguments for each of ids: calling it calls fn with its own id and returns what fn returns.

    fn is not called before that. ids may be any iterable, one that can be walked only once included.
    """
    # YOUR CODE HERE
    raise NotImplementedError()


class Dispatcher:
    """Callbacks by event, called synchronously by `emit` or asynchronously, by one worker thread, by `emit_async`.

    errors holds (event, exception) for each callback that raised, in the order in which they did, whichever thread it
    ran on. Callbacks may call every method but close. No lock is held while one runs.
    """

    errors: list[tuple[str, BaseException]]

    def __init__(self) -> None:
        # YOUR CODE HERE
        raise NotImplementedError()

    def on(self, event: str, callback: Callable[..., object], *, once: bool = False) -> Callable[[], None]:
        """Call callback at each event of that name from now on, with once only at the next one.

        Returns a function that ends this registration and no other, even one of the same callback. Called again, or
        when the callback has had its once, it does nothing.
        """
        # YOUR CODE HERE
        raise NotImplementedError()

    def emit(self, event: str, *args: object) -> int:
        """Call callback(*args) of each registration, in the order of registration, on this thread; return how many ran.

        An exception of a callback goes to errors, and the next one is called. Who subscribes while this runs is called
        from the next event on.
        """
        # YOUR CODE HERE
        raise NotImplementedError()

    def emit_async(self, event: str, *args: object) -> None:
        """Return at once; the worker thread does what emit does, one event after another, in the order of these calls.

        The worker is started by the first of them.
        """
        # YOUR CODE HERE
        raise NotImplementedError()

    def close(self) -> None:
        """Wait until every event of emit_async so far has been handled, then end the worker. Not for callbacks."""
        # YOUR CODE HERE
        raise NotImplementedError()
