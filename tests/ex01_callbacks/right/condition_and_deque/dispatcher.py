"""Right, in another style: lists that are copied, a deque under a Condition, a worker from the first moment on."""

import threading
from collections import deque
from collections.abc import Callable, Iterable


def bind_all(ids: Iterable[int], fn: Callable[[int], object]) -> list[Callable[[], object]]:
    """One function without arguments for each id."""
    return [lambda one=one: fn(one) for one in ids]


class Dispatcher:
    """Callbacks by event."""

    def __init__(self) -> None:
        self.errors: list[tuple[str, BaseException]] = []
        self._subscribed: dict[str, list[list[object]]] = {}
        self._waiting: deque[tuple[str, tuple[object, ...]]] = deque()
        self._changed = threading.Condition()
        self._ending = False
        self._worker = threading.Thread(target=self._work)
        self._worker.start()

    def on(self, event: str, callback: Callable[..., object], *, once: bool = False) -> Callable[[], None]:
        """Subscribe; returns how to unsubscribe."""
        entry = [callback, once]  # known by identity
        entries = self._subscribed.setdefault(event, [])
        entries.append(entry)

        def unsubscribe() -> None:
            for place, other in enumerate(entries):
                if other is entry:
                    del entries[place]
                    return

        entry.append(unsubscribe)
        return unsubscribe

    def emit(self, event: str, *args: object) -> int:
        """Call them all, and count."""
        entries = list(self._subscribed.get(event, []))
        for callback, once, unsubscribe in entries:
            if once:
                unsubscribe()
            try:
                callback(*args)
            except BaseException as error:
                self.errors.append((event, error))
        return len(entries)

    def emit_async(self, event: str, *args: object) -> None:
        """Let the worker emit."""
        with self._changed:
            self._waiting.append((event, args))
            self._changed.notify()

    def close(self) -> None:
        """Drain and join."""
        with self._changed:
            self._ending = True
            self._changed.notify()
        self._worker.join()

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._waiting:
                    if self._ending:
                        return
                    self._changed.wait()
                event, args = self._waiting.popleft()
            self.emit(event, *args)
