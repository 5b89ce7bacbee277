"""Wrong on purpose: reports an exception that looks like the one that was raised."""

import queue
import threading
from collections.abc import Callable, Iterable


def bind_all(ids: Iterable[int], fn: Callable[[int], object]) -> list[Callable[[], object]]:
    """One function without arguments for each of ids: calling it calls fn with its own id and returns what fn returns.

    fn is not called before that. ids may be any iterable, one that can be walked only once included.
    """

    def bind(one: int) -> Callable[[], object]:
        return lambda: fn(one)  # closes over this call's `one`, not over a variable that a loop goes on changing

    return [bind(one) for one in ids]


class Dispatcher:
    """Callbacks by event, called synchronously by `emit` or asynchronously, by one worker thread, by `emit_async`.

    errors holds (event, exception) for each callback that raised, in the order in which they did, whichever thread it
    ran on. Callbacks may call every method but close. No lock is held while one runs.
    """

    errors: list[tuple[str, BaseException]]

    def __init__(self) -> None:
        self.errors = []
        self._lock = threading.Lock()  # for whoever changes what stands below; never held while a callback runs
        self._table: dict[str, tuple[_Registration, ...]] = {}
        self._jobs: queue.SimpleQueue[tuple[str, tuple[object, ...]] | None] = queue.SimpleQueue()
        self._worker: threading.Thread | None = None
        self._closed = False

    def on(self, event: str, callback: Callable[..., object], *, once: bool = False) -> Callable[[], None]:
        """Call callback at each event of that name from now on, with once only at the next one.

        Returns a function that ends this registration and no other, even one of the same callback. Called again, or
        when the callback has had its once, it does nothing.
        """
        mine = _Registration(callback, once)
        with self._lock:
            self._table[event] = (*self._table.get(event, ()), mine)

        def unsubscribe() -> None:
            self._take_out(event, mine)

        return unsubscribe

    def emit(self, event: str, *args: object) -> int:
        """Call callback(*args) of each registration, in the order of registration, on this thread; return how many ran.

        An exception of a callback goes to errors, and the next one is called. Who subscribes while this runs is called
        from the next event on.
        """
        ran = 0
        for one in self._table.get(event, ()):  # a tuple never changes: who subscribes meanwhile makes another one
            if one.once and not self._take_out(event, one):
                continue  # another emit was faster
            ran += 1
            try:
                one.callback(*args)
            except Exception as error:  # noqa: BLE001  # it is the callback's mistake: told, and nobody else suffers
                self.errors.append((event, type(error)(*error.args)))
        return ran

    def emit_async(self, event: str, *args: object) -> None:
        """Return at once; the worker thread does what emit does, one event after another, in the order of these calls.

        The worker is started by the first of them.
        """
        with self._lock:
            if self._closed:
                raise RuntimeError("emit_async() on a dispatcher that is closed")
            if self._worker is None:
                self._worker = threading.Thread(target=self._work, name="dispatcher", daemon=True)
                self._worker.start()
            self._jobs.put((event, args))

    def close(self) -> None:
        """Wait until every event of emit_async so far has been handled, then end the worker. Not for callbacks."""
        with self._lock:
            self._closed = True
            self._jobs.put(None)  # behind all that was queued before
        if self._worker is not None:
            self._worker.join()

    def _work(self) -> None:
        for event, args in iter(self._jobs.get, None):  # sleeps in get() while there is nothing to do
            self.emit(event, *args)

    def _take_out(self, event: str, mine: "_Registration") -> bool:
        """Whether it was still there."""
        with self._lock:
            before = self._table.get(event, ())
            after = tuple(one for one in before if one is not mine)
            self._table[event] = after
        return len(after) < len(before)


class _Registration:
    """One call of on(). Two of the same callback are two."""

    __slots__ = ("callback", "once")

    def __init__(self, callback: Callable[..., object], once: bool) -> None:
        self.callback = callback
        self.once = once
