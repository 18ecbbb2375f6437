"""Names that are nobody else's, and sort in the order in which a process made them."""

import os
import threading
import time


class _Names:
    """What one process calls what it makes."""

    def __init__(self) -> None:
        # Containers have the same process ids, and forks the same past: chance tells them apart.
        self._token = os.urandom(8).hex()
        self._lock = threading.Lock()
        self._last_ns = 0

    def fresh(self) -> str:
        with self._lock:
            # A clock that is set back, or is coarse, must not bring a name again.
            self._last_ns = max(self._last_ns + 1, time.time_ns())
            return f"{self._last_ns:016x}-{self._token}"


_names = _Names()


def fresh_name() -> str:
    """Return a name that no process, thread, fork or container has used.

    It sorts behind all that this process was given before.

    >>> earlier = fresh_name()
    >>> earlier < fresh_name()
    True
    """
    return _names.fresh()


def _after_fork() -> None:
    global _names  # noqa: PLW0603  # a process has one
    _names = _Names()


os.register_at_fork(after_in_child=_after_fork)
